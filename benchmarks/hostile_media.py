"""Hostile pictures for `hostile.py`: kinds by name, each a stream of cases that is drawn anew with the same seeds.

The zoo and the header bombs are the tests' own (`tests/zoo.py`, `tests/header_bombs.py`); mutations, data URLs, kills
and boxes are drawn here. A case's check gives "" when the outcome was right, else what it was.
"""

import base64
import io
import itertools
import math
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import header_bombs
import zoo
from hostile_case import Case, processor_seconds, times
from PIL import Image

from zoomagent.errors import BoxInvalid, InputRefused
from zoomagent.geometry import Size, View, box_from_model, whole
from zoomagent.media import Limits, open_picture
from zoomagent.media.decoding import worker

MOST_BUSY = 0.1
"""Processor seconds of this process that a file may cost before it is opened or refused."""
MOST_SECONDS = 3.0
"""Processor seconds that opening a file and drawing it may cost, in this process and in its decoders. Not by the clock:
a machine with other work says nothing of a file."""
MUTATIONS, KILLS, URLS, BOXES = 16_000, 40, 2_000, 40_000


def outcome(source: Any, **options: Any) -> str:
    """ "opened", or the code of the refusal."""
    try:
        with open_picture(source, **options) as picture:
            picture.view(whole(picture.size), Size(56, 56))
            return "opened"
    except InputRefused as refusal:
        return refusal.code


# Files as they are made


def zoo_cases(scale: float) -> Iterator[Case]:
    for animal in zoo.ZOO[: max(1, int(len(zoo.ZOO) * scale))]:
        yield Case(animal.name, partial(_as_expected, animal.make(), animal.code or "opened"))


def _as_expected(data: bytes, wanted: str) -> str:
    got = outcome(data)
    return "" if got == wanted else f"{got}, not {wanted}"


def bomb_cases(scale: float) -> Iterator[Case]:
    open_picture(zoo.jpeg()).close()
    bombs = list(header_bombs.bombs()) if scale >= 1 else itertools.islice(header_bombs.bombs(), int(200 * scale) + 1)
    for name, data in bombs:
        yield Case(name, partial(_cheap, data))


def _cheap(data: bytes) -> str:
    busy = time.process_time()
    got = "opened"
    try:
        open_picture(data).close()
    except InputRefused as refusal:
        got = refusal.code
    busy = time.process_time() - busy
    return "" if busy <= MOST_BUSY else f"{got} after {busy:.2f} s of this process"


# Files changed at random

SEEDS: dict[str, Callable[[], bytes]] = {
    "jpeg": zoo.jpeg,
    "jpeg progressive": lambda: zoo.jpeg(progressive=True),
    "jpeg cmyk": lambda: zoo.jpeg(zoo.photo().convert("CMYK")),
    "jpeg exif": lambda: zoo.with_exif(zoo.exif(6)),
    "png": zoo.png,
    "png palette": lambda: zoo.png(zoo.photo().quantize(16)),
    "png alpha": lambda: zoo.png(zoo.photo().convert("RGBA")),
    "apng": lambda: zoo.animation("PNG", 4),
    "gif": lambda: zoo.animation("GIF", 4),
    "webp": lambda: zoo.saved(zoo.photo(), "WEBP"),
    "webp lossless": lambda: zoo.saved(zoo.photo(), "WEBP", lossless=True),
    "webp animated": lambda: zoo.animation("WEBP", 4),
    "bmp": lambda: zoo.saved(zoo.photo(), "BMP"),
    "bmp grey": lambda: zoo.saved(zoo.photo().convert("L"), "BMP"),
}


def mutation_cases(scale: float) -> Iterator[Case]:
    """Each opened twice: typed both times, in time, and the same both times."""
    files = {name: make() for name, make in SEEDS.items()}
    for number in times(MUTATIONS, scale):
        name = list(files)[number % len(files)]
        rng = random.Random(f"mutation {number}")
        yield Case(f"{name} {number}", partial(_twice_the_same, mutated(files[name], rng)))


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to four changes, more often near the start, where headers are."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = int(len(changed) * rng.random() ** rng.choice([1, 4]))
        length = rng.choice([1, 1, 2, 4, 30])
        part = changed[at : at + length]
        by = rng.choice(
            [
                bytes(byte ^ 1 << rng.randrange(8) for byte in part),
                rng.randbytes(length),
                bytes(length),
                b"\xff" * length,
                b"",
                bytes(part) * rng.choice([2, 50]),
            ]
        )
        changed[at : at + length] = by
    return bytes(changed[: rng.randrange(1, len(changed) + 1)]) if rng.random() < 0.1 else bytes(changed)


def _twice_the_same(data: bytes) -> str:
    busy, results = processor_seconds(), list[str | bytes]()
    for _ in range(2):
        try:
            with open_picture(data) as picture:
                results.append(picture.view(whole(picture.size), Size(64, 64)).tobytes())
        except InputRefused as refusal:
            results.append(refusal.code)
    if results[0] != results[1]:
        return "not the same the second time"
    busy = processor_seconds() - busy
    return "" if busy < 2 * MOST_SECONDS else f"took {busy:.1f} s of processors"


# Data URLs, decoders that die, boxes


def url_cases(scale: float) -> Iterator[Case]:
    """Right or refused; what is opened is the very picture."""
    known = open_picture(zoo.png()).id
    good = base64.b64encode(zoo.png()).decode()
    for number in times(URLS, scale):
        rng = random.Random(f"url {number}")
        head = rng.choice(
            ["data:image/png;base64,", "DATA:;BASE64,", "data:,", "data:;base64", "data:text/html;x=y;base64,"]
        )
        body = list(good)
        for _ in range(rng.choice([0, 0, 1, 3])):
            body[rng.randrange(len(body))] = rng.choice(["=", "%", "%2B", "\n", " ", "é", "\0", "A", "", ",", "\ud800"])
        yield Case(f"url {number}", partial(_known_or_refused, head + "".join(body), known))


def _known_or_refused(url: str, known: str) -> str:
    try:
        with open_picture(url) as picture:
            changed = "".join(url.split(",")[1:]) != base64.b64encode(zoo.png()).decode()
            return "" if changed or picture.id == known else "another picture"
    except InputRefused as refusal:
        allowed = (
            "bad_data_url",
            "corrupt_image",
            "unsupported_image",
            "metadata_too_large",
            "too_many_pixels",
            "bad_aspect",
        )
        return "" if refusal.code in allowed else refusal.code


def kill_cases(scale: float) -> Iterator[Case]:
    """A decoder that is killed costs at most one refusal; the next picture opens."""
    for number in times(KILLS, scale):
        how = (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGTERM)[number % 4]
        yield Case(f"{how.name} {number}", partial(_survives, how))


def _survives(how: signal.Signals) -> str:
    open_picture(zoo.jpeg()).close()
    for idle in list(worker._POOL._idle):
        os.kill(idle._process.pid, how)
    first, second = outcome(zoo.jpeg()), outcome(zoo.jpeg())
    allowed = first in ("opened", "decode_crashed", "decode_memory")
    return "" if allowed and second == "opened" else f"{first}, then {second}"


def box_cases(scale: float) -> Iterator[Case]:
    """Whatever a model writes as a box lies in the picture as whole numbers, or is BoxInvalid."""
    values: list[Any] = [
        0,
        1,
        -1,
        0.5,
        999,
        1000,
        1e308,
        -1e308,
        math.inf,
        -math.inf,
        math.nan,
        2**31,
        2**63,
        10**400,
        True,
        None,
    ]
    values += ["7", "", [], {}, 0.999999, 1.0000001, -0.0]
    picture = Size(1600, 1200)
    for number in times(BOXES, scale):
        rng = random.Random(f"box {number}")
        drawn = [
            rng.choice(values) if rng.random() < 0.3 else rng.uniform(-2000, 3000)
            for _ in range(rng.choice([4, 4, 4, 3, 5]))
        ]
        space = rng.choice(["pixels", "unit", "thousand", "square"])
        yield Case(f"box {number}", partial(_inside, drawn, space, picture))


def _inside(drawn: list[Any], space: Any, picture: Size) -> str:
    try:
        box = box_from_model(drawn, space, View("p", whole(picture), Size(800, 600)), picture)
    except BoxInvalid:
        return ""
    plain = all(type(edge) is int for edge in box.as_list())
    inside = plain and 0 <= box.left < box.right <= picture.width and 0 <= box.top < box.bottom <= picture.height
    return "" if inside else f"{box}"


def limit_cases(scale: float) -> Iterator[Case]:
    """A good file under any limits opens or is refused, and is not called damaged."""
    for number in times(200, scale):
        rng = random.Random(f"limits {number}")
        limits = Limits(
            max_pixels=rng.choice([1, 1000, 100_000_000]),
            max_bytes=rng.choice([0, 100, 25_000_000]),
            max_aspect=rng.choice([1.0, 200.0]),
            max_metadata=rng.choice([0, 4_000_000]),
            decode_bytes=rng.choice([0, 1_000_000, 256_000_000]),
        )
        data = rng.choice([zoo.jpeg, zoo.png, SEEDS["webp"], SEEDS["gif"]])()
        yield Case(f"limits {number}", partial(_not_damaged, data, limits))


def _not_damaged(data: bytes, limits: Limits) -> str:
    got = outcome(data, limits=limits)
    return got if got == "corrupt_image" else ""


def python_cases(scale: float) -> Iterator[Case]:
    """Objects that no picture is."""
    for number in times(300, scale):
        rng = random.Random(f"python {number}")
        made: Any = rng.choice(
            [None, 5, [], {}, object(), io.StringIO("x"), Image, b"", "", "\ud800", bytearray(9), 1j]
        )
        yield Case(f"{type(made).__name__} {number}", partial(_refused, made))


def _refused(source: Any) -> str:
    got = outcome(source)
    return "" if got in ("unsupported_image", "not_a_file") else got


KINDS: dict[str, Callable[[float], Iterator[Case]]] = {
    "zoo": zoo_cases,
    "bombs": bomb_cases,
    "mutations": mutation_cases,
    "urls": url_cases,
    "kills": kill_cases,
    "boxes": box_cases,
    "limits": limit_cases,
    "python": python_cases,
}
