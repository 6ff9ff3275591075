"""Everything hostile that is known, thrown at zoomagent, and a table of what came of it.

    python benchmarks/hostile.py                        # all kinds, some minutes
    python benchmarks/hostile.py --scale 0.1 mutations  # a tenth of one kind

Each input has one right outcome, or one of a few; an exception that is none of zoomagent's own is "untyped". Inputs are
drawn with fixed seeds. The exit status is 1 where anything was not right. Left out: sockets and kept runs, which have
tests only.
"""

import argparse
import contextlib
import gc
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import hostile_files  # noqa: E402
import hostile_floods  # noqa: E402
import hostile_media  # noqa: E402
import hostile_replies  # noqa: E402
import hostile_runs  # noqa: E402
import hostile_serving  # noqa: E402
from hostile_case import Case  # noqa: E402

from zoomagent.media.decoding import worker  # noqa: E402

KINDS: dict[str, Callable[[float], Iterator[Case]]] = {
    **hostile_media.KINDS,
    **hostile_replies.KINDS,
    **hostile_runs.KINDS,
    **hostile_serving.KINDS,
    **hostile_files.KINDS,
    **hostile_floods.KINDS,
}

SETTLED = 5.0
"""Seconds in which threads and loops that nobody needs any more have ended."""
SHOWN = 10
"""Wrong outcomes of a kind that are told one by one."""


@dataclass
class Count:
    """What came of one kind. `slowest` are seconds by the clock, `busiest` processor seconds of this process;
    `memory` is by how many bytes it grew at most, `left` what it left behind."""

    name: str
    inputs: int = 0
    right: int = 0
    untyped: int = 0
    slowest: float = 0.0
    busiest: float = 0.0
    memory: int = 0
    left: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def row(self) -> str:
        share = f"{self.right:,} / {self.inputs:,}"
        times = f"{self.slowest:.2f} s | {1000 * self.busiest:.0f} ms"
        return f"| {self.name} | {share} | {self.untyped} | {times} | {self.memory >> 20} MB | {len(self.left)} |"


HEAD = """| kind | right / inputs | untyped | slowest | its processor time here | memory | left behind |
|---|--:|--:|--:|--:|--:|--:|"""


def tried(name: str, cases: Iterator[Case], folder: Path) -> Count:
    """All inputs of one kind, one after the other."""
    count = Count(name)
    before = _memory()
    held = _held()
    for case in cases:
        began, busy = time.monotonic(), time.process_time()
        try:
            wrong = case.check()
        except Exception as error:  # this is what is counted here
            wrong = f"untyped {type(error).__name__}: {str(error)[:100]}"
            count.untyped += 1
        count.inputs += 1
        count.right += not wrong
        if wrong:
            count.wrong.append(f"{case.name}: {wrong}")
        count.slowest = max(count.slowest, time.monotonic() - began)
        count.busiest = max(count.busiest, time.process_time() - busy)
        count.memory = max(count.memory, _memory() - before)
    count.left = [path.name for path in folder.iterdir()]
    count.left += _more_than(held)
    return count


def _more_than(held: dict[str, int]) -> list[str]:
    """What is held beyond that, when what ends by itself has had its time."""
    end = time.monotonic() + SETTLED
    while True:
        found = {thing: most - held[thing] for thing, most in _held().items()}
        for thing in ("descriptors", "child processes"):  # decoders wait for the next picture
            found[thing] -= worker.SPARE
        left = [f"{more} {thing}" for thing, more in found.items() if more > 0]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.1)


def _held() -> dict[str, int]:
    """What this process holds that ends with it only."""
    gc.collect()
    children = sum(parent == os.getpid() for parent in _parents())
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "child processes": children,
    }


def _parents() -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            yield int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])


def _memory() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Try the kinds that are named, else all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], help="Kinds to try; none are all.")
    parser.add_argument("--scale", type=float, default=1.0, help="Share of the drawn inputs.")
    asked = parser.parse_args()
    counts = []
    print(HEAD)
    with tempfile.TemporaryDirectory() as place:
        tempfile.tempdir = place
        os.environ["ZOOMAGENT_CACHE"] = "off"
        for name in asked.kinds or KINDS:
            make: Callable[[float], Iterator[Case]] = KINDS[name]
            counts.append(tried(name, make(asked.scale), Path(place)))
            print(counts[-1].row(), flush=True)
    whole = sum(count.inputs for count in counts)
    right = sum(count.right for count in counts)
    print(f"\n{right:,} of {whole:,} right, {sum(count.untyped for count in counts)} untyped.")
    for count in counts:
        for line in [*count.wrong[:SHOWN], *count.left[:SHOWN]]:
            print(f"{count.name}: {line}")
    return 0 if right == whole and not any(count.left for count in counts) else 1


if __name__ == "__main__":
    sys.exit(main())
