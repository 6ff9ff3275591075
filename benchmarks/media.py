"""How long, and with how much memory, a 108-megapixel picture is looked at: zoomagent beside Pillow.

    python benchmarks/media.py [--folder DIR] [--repeat 3] [--json OUT]

Makes a natural-like JPEG and PNG of 12000x9000 (once, in DIR), then has fresh processes make an overview and 20
crops of 1024x1024 from each. Pillow decodes once and crops from memory. zoomagent runs with an empty cache one view
at a time (told beforehand by `prepare` that there will be crops, or not), all at once, and with the cache that a
former run left. Times are of the whole process, imports included, the median of the repeats; on a busy machine
believe the processor seconds. Memory is the highest sum of resident sizes of the process and its children, sampled
every 5 ms (shared libraries count twice against us); decoded levels lie in files, whose page cache is not counted.
Nothing here is a test: figures depend on the machine.
"""

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 12_000, 9_000
CROP, CROPS = 1024, 20
OVERVIEW = (1024, 768)
WAYS = ("pillow", "one by one, cold", "prepared, cold", "all at once, cold", "one by one, warm")


@dataclass(frozen=True)
class Row:
    """One way on one file: seconds of the stages, of the process by the clock and on processors; peak memory."""

    file: str
    way: str
    overview: float
    first_crop: float
    crops: float
    total: float
    processor: float
    peak_mb: float


def main() -> None:
    """Measure everything and print a table."""
    options = _arguments()
    if options.one:
        print(json.dumps(_one(options.one, options.file)))
        return
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for file in (file for file in _files(folder) if options.only in file.name):
        for way in WAYS:
            rows.append(_measured(file, way, options.repeat))
            print(_line(rows[-1], rows), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps({"rows": [asdict(row) for row in rows]}, indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure views of a 108-megapixel picture.")
    parser.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "zoomagent-bench"))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", default="", help="measure only files whose name holds this")
    parser.add_argument("--json")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    return parser.parse_args()


def _line(row: Row, rows: list[Row]) -> str:
    base = next(other for other in rows if other.file == row.file)
    return (
        f"{row.file:22} {row.way:18} overview {row.overview:6.2f} s  first crop {row.first_crop:6.2f} s  "
        f"20 crops {row.crops:6.2f} s  total {row.total:6.2f} s ({row.total / base.total:4.0%})  "
        f"processor {row.processor:6.2f} s ({row.processor / base.processor:4.0%})  "
        f"peak {row.peak_mb:5.0f} MB ({row.peak_mb / base.peak_mb:4.0%})"
    )


# The pictures


def _files(folder: Path) -> list[Path]:
    """JPEG (4:2:0, quality 90, no restart marks) and PNG."""
    files = [folder / "plain.jpg", folder / "plain.png"]
    if not all(file.exists() for file in files):
        image = _natural()
        image.save(files[0], quality=90)
        image.save(files[1], compress_level=3)
    return files


def _natural() -> Any:
    """Soft light, mid-sized texture, sensor noise, and small writing everywhere."""
    import cv2
    import numpy as np
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(108)
    light = rng.normal(128, 60, (18, 24, 3)).astype(np.float32)
    scene = np.clip(cv2.resize(light, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
    texture = cv2.resize(rng.normal(0, 25, (560, 750, 3)).astype(np.float32), (3000, 2250))
    for top in range(0, HEIGHT, 2250):
        for left in range(0, WIDTH, 3000):
            noise = rng.normal(0, 4, (2250, 3000, 1)).astype(np.float32)
            tile = scene[top : top + 2250, left : left + 3000]
            tile[:] = np.clip(tile + np.roll(texture, (top % 777, left % 555), (0, 1)) + noise, 0, 255)
    image = Image.fromarray(scene)
    draw = ImageDraw.Draw(image)
    for number in range(2000):
        place = (int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT)))
        colour = tuple(int(value) for value in rng.integers(0, 255, 3))
        draw.text(place, f"T{number:04d}", fill=colour, font_size=int(rng.integers(14, 80)))
    return image


def _boxes() -> list[tuple[int, int, int, int]]:
    choose = random.Random(1)
    corners = [(choose.randrange(WIDTH - CROP), choose.randrange(HEIGHT - CROP)) for _ in range(CROPS)]
    return [(left, top, left + CROP, top + CROP) for left, top in corners]


# One process


def _one(way: str, file: str) -> dict[str, float]:
    """The stages' seconds in this process."""
    return _pillow(file) if way == "pillow" else _zoomagent(way, file)


def _pillow(file: str) -> dict[str, float]:
    """Open, decode once, shrink once, crop 20 times."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    start = time.perf_counter()
    image: Image.Image = Image.open(file)
    image.load()
    image.resize(OVERVIEW, Image.Resampling.BICUBIC, reducing_gap=2.0)
    overview = time.perf_counter()
    first = overview
    for number, box in enumerate(_boxes()):
        image.crop(box)
        first = time.perf_counter() if number == 0 else first
    return _stages(start, overview, first)


def _zoomagent(way: str, file: str) -> dict[str, float]:
    from zoomagent.geometry import Box, Size, whole
    from zoomagent.media import Limits, open_picture

    start = time.perf_counter()
    limits = Limits(max_pixels=WIDTH * HEIGHT, max_bytes=1_000_000_000)
    with open_picture(Path(file), limits=limits) as picture:
        look = (whole(picture.size), Size(*OVERVIEW))
        crops = [(Box(*box), Size(CROP, CROP)) for box in _boxes()]
        if way.startswith("all"):
            return _all_at_once(start, picture.views([look, *crops]))
        if way.startswith("prepared"):
            picture.prepare()
        picture.view(*look)
        overview = time.perf_counter()
        picture.view(*crops[0])
        first = time.perf_counter()
        for crop in crops[1:]:
            picture.view(*crop)
        return _stages(start, overview, first)


def _all_at_once(start: float, views: Iterator[object]) -> dict[str, float]:
    next(views)
    overview = time.perf_counter()
    next(views)
    first = time.perf_counter()
    for _ in views:
        pass
    return _stages(start, overview, first)


def _stages(start: float, overview: float, first: float) -> dict[str, float]:
    return {
        "overview": overview - start,
        "first_crop": first - overview,
        "crops": time.perf_counter() - overview,
    }


# Around it


def _measured(file: Path, way: str, repeat: int) -> Row:
    """The median of `repeat` fresh processes."""
    runs = []
    cache = Path(tempfile.mkdtemp(prefix="zoomagent-bench-cache-"))
    try:
        if way.endswith("warm"):
            _run(file, way, cache)
        for _ in range(repeat):
            if not way.endswith("warm"):
                shutil.rmtree(cache, ignore_errors=True)
            runs.append(_run(file, way, cache))
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    return Row(file.name, way, **{key: round(value, 3) for key, value in middle.items()})


def _run(file: Path, way: str, cache: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", way, "--file", str(file)]
    start, used = time.perf_counter(), _used()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"ZOOMAGENT_CACHE": str(cache)}
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(_resident(pid) for pid in _tree(process.pid)))
        time.sleep(0.005)
    total = time.perf_counter() - start
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{way} on {file.name} failed with status {process.returncode}.")
    stages: dict[str, float] = json.loads(output)
    return stages | {"total": total, "processor": _used() - used, "peak_mb": peak / 1e6}


def _used() -> float:
    """Processor seconds of all finished children and theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _tree(pid: int) -> list[int]:
    """The process and its children, as they are now."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return [pid]
    return [pid, *children]


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
