"""What the kinds of `hostile.py` share: a case, odd values, and a copy of any value with odd ones in it."""

import contextlib
import copy
import itertools
import json
import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONG = 10**400
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**31, 2**63, 2**64, LONG, -LONG, 0.5, 1e308, -1e308, math.nan, math.inf, -math.inf, 1e-320),
    *("", " ", "x", "7", "null", "é漢\U0001f600", "\ud800", "a\0b", "\x1b]0;x\x07\x1b[2J", "‮", "x" * 5000, "9" * 5000),
    *([], {}, [[]], [None], {"a": 1}, [1, 2, 3, 4], {"type": "text"}, [{}] * 50, [1e308] * 9, "../../etc/passwd"),
)


@dataclass(frozen=True)
class Case:
    """One input. `check` gives "" or what was wrong."""

    name: str
    check: Callable[[], str]


def processor_seconds() -> float:
    """What this process, its child processes that run, and those that have ended have cost so far."""
    own = os.times()
    spent = own.user + own.system + own.children_user + own.children_system
    listed = (file.read_text().split() for file in Path("/proc/self/task").glob("*/children"))
    for child in itertools.chain.from_iterable(listed):
        with contextlib.suppress(OSError):  # it has ended
            # After the name: the state, and twelve numbers on the ticks in user and in system mode.
            numbers = Path(f"/proc/{child}/stat").read_text(errors="replace").rpartition(")")[2].split()
            spent += (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def times(most: int, scale: float) -> range:
    """The numbers of the inputs that are drawn."""
    return range(max(1, int(most * scale)))


def spoiled(value: Any, rng: random.Random, changes: int = 3) -> Any:
    """A copy in which one to `changes` places hold something odd, or nothing any more."""
    spoilt = [copy.deepcopy(value)]
    for _ in range(rng.randint(1, changes)):
        _spoil(spoilt, rng)
    return spoilt[0] if spoilt else None


def _spoil(holder: Any, rng: random.Random) -> None:
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.85:
            holder = holder[key]
            continue
        if rng.random() < 0.15:
            del holder[key]
        elif isinstance(holder, dict) and rng.random() < 0.1:
            holder[rng.choice(["x", "", "é", "__class__", "model"])] = rng.choice(ODD)
        else:
            holder[key] = copy.deepcopy(rng.choice(ODD))
        return


def written(value: Any, rng: random.Random) -> bytes:
    """The value as JSON (with NaN and half characters, as careless programs write them), sometimes cut or changed."""
    text = json.dumps(value).encode()
    if rng.random() < 0.1:
        return text[: rng.randrange(len(text) + 1)]
    if rng.random() < 0.1:
        at = rng.randrange(len(text))
        return text[:at] + rng.randbytes(rng.choice([1, 3])) + text[at + 1 :]
    return text
