"""Lines of text found, characters read wrongly, and seconds: `zoomagent.read_text` beside rapidocr on the whole picture
and beside exhaustive tiling.

    python benchmarks/reading.py [--folder DIR] [--only NAME] [--json OUT]

The scans are generated (`scans.py`): five JPEG files of 4K to 12K with 600 lines of 8 to 200 pixels. Every way runs
in a process of its own, on one thread, with the same rapidocr; seconds are processor seconds of it and of its children,
decoding of the file included, loading of modules and models not.

whole    rapidocr with its own settings, which scale the picture to at most 2,000 pixels
tiling   every tile of 1,280 pixels of the original, 160 of them shared with the next, with rapidocr's scaling switched
         off and lines spelt one by one, which is two to three times quicker for each; of two readings of one place
         the longer is kept
zoom     zoomagent.read_text

A line is found where at most a fifth of its characters (spaces left out) are wrong; of several pieces that lie on it,
the best one or all in a row count. The character error is over all lines, a missed one counting in full.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scans import SCANS, TrueLine, draw_scan

WAYS = ("whole", "tiling", "zoom")
TILE, SHARED = 1280, 160
WRONG = 0.2
SIZES = ((8, 10), (11, 15), (16, 31), (32, 200))
Piece = tuple[str, np.ndarray]


@dataclass(frozen=True)
class Row:
    """One way on one scan. `found` and `errors` are for each true line."""

    scan: str
    way: str
    seconds: float
    peak_mb: int
    found: list[bool]
    errors: list[int]


def main() -> None:
    """Draw the scans once, read each in every way, print the tables."""
    options = _arguments()
    folder = Path(options.folder)
    if options.one:
        _read_one(folder, options.only, options.one)
        return
    folder.mkdir(parents=True, exist_ok=True)
    rows, truth = [], {}
    for scan in (scan for scan in SCANS if options.only in scan.name):
        image, lines = draw_scan(scan)
        image.save(folder / f"{scan.name}.jpg", quality=scan.quality)
        truth[scan.name] = lines
        for way in options.ways.split(","):
            result = folder / f"{scan.name}-{way}.json"
            if not (options.keep and way in options.keep.split(",") and result.exists()):
                command = [sys.executable, __file__, "--folder", str(folder), "--only", scan.name, "--one", way]
                subprocess.run(command, check=True)
            kept = json.loads(result.read_text(encoding="utf-8"))
            pieces = [(text, np.asarray(quad, float)) for text, quad in kept["pieces"]]
            seconds, peak = kept["seconds"], kept["peak_mb"]
            marks = [mark(line, pieces) for line in lines]
            rows.append(Row(scan.name, way, seconds, peak, *map(list, zip(*marks, strict=True))))
            print(_line(rows[-1], lines), flush=True)
    _print_tables(rows, truth)
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(row) for row in rows]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure reading of large scans.")
    parser.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "zoomagent-scans"))
    parser.add_argument("--only", default="", help="only scans whose name holds this")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--keep", default="", help="ways whose results in DIR are used again")
    parser.add_argument("--json")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    return parser.parse_args()


# What is right


def mark(line: TrueLine, pieces: list[Piece]) -> tuple[bool, int]:
    """Whether a line was found, and how many of its characters are wrong."""
    from zoomagent.tools.lines import area_of, shared

    quad = np.array(line.quad)
    along = quad[1] - quad[0]
    text = line.text.replace(" ", "")
    on = [p for p in pieces if shared(p[1], quad) > 0.5 * min(area_of(p[1]), area_of(quad))]
    on.sort(key=lambda piece: float(piece[1].mean(0) @ along))
    tries = ["", "".join(text for text, _ in on), *(text for text, _ in on)]
    wrong = min(distance(text, one.replace(" ", "")) for one in tries)
    return wrong <= WRONG * len(text), min(wrong, len(text))


def distance(a: str, b: str) -> int:
    """Characters to change, add or take away to make one text of the other."""
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, start=1):
            before, row[j] = row[j], min(before + (one != other), row[j] + 1, row[j - 1] + 1)
    return row[-1]


# One way on one scan


def _read_one(folder: Path, name: str, way: str) -> None:
    """Read one scan in this process."""
    import cv2

    cv2.setNumThreads(1)
    path = folder / f"{name}.jpg"
    readings: dict[str, Any] = {"whole": _whole, "tiling": _tiling, "zoom": _zoom}
    pieces, before = readings[way](path)
    seconds = _seconds() - before
    peak = max(_own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) // 1024
    kept = {"pieces": [(text, np.asarray(quad).tolist()) for text, quad in pieces], "seconds": seconds, "peak_mb": peak}
    (folder / f"{name}-{way}.json").write_text(json.dumps(kept), encoding="utf-8")


def _seconds() -> float:
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def _own_peak() -> int:
    """Kilobytes. `ru_maxrss` would count what the process had that started this one: it held a whole scan."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def _engine(**settings: Any) -> Any:
    """rapidocr on one thread, its models loaded."""
    from rapidocr import RapidOCR

    threads = {"EngineConfig.onnxruntime.intra_op_num_threads": 1, "Global.log_level": "critical"}
    engine = RapidOCR(params={**threads, **settings})
    engine(np.full((64, 64, 3), 255, np.uint8))
    engine(np.full((48, 96, 3), 255, np.uint8), use_det=False, use_cls=True, use_rec=True)
    return engine


def _opened(path: Path) -> np.ndarray:
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))[:, :, ::-1]


def _whole(path: Path) -> tuple[list[Piece], float]:
    engine, before = _engine(), _seconds()
    found = engine(_opened(path), use_det=True, use_cls=True, use_rec=True)
    return _pieces(found, 0, 0), before


def _tiling(path: Path) -> tuple[list[Piece], float]:
    from zoomagent.tools.lines import area_of, shared

    plain = {"Global.max_side_len": 100_000, "Det.limit_type": "max", "Det.limit_side_len": 100_000}
    engine = _engine(**plain, **{"Rec.rec_batch_num": 1})
    before = _seconds()
    pixels = _opened(path)
    all_pieces = []
    for top in range(0, max(1, pixels.shape[0] - SHARED), TILE - SHARED):
        for left in range(0, max(1, pixels.shape[1] - SHARED), TILE - SHARED):
            tile = pixels[top : top + TILE, left : left + TILE]
            all_pieces += _pieces(engine(tile, use_det=True, use_cls=True, use_rec=True), left, top)
    kept: list[Piece] = []
    for piece in sorted(all_pieces, key=lambda piece: -area_of(piece[1])):
        if all(shared(piece[1], other[1]) < 0.5 * area_of(piece[1]) for other in kept):
            kept.append(piece)
    return kept, before


def _zoom(path: Path) -> tuple[list[Piece], float]:
    from zoomagent import open_picture
    from zoomagent.media.limits import own_limits
    from zoomagent.tools.reader import ReaderModels, rapid_reader
    from zoomagent.tools.reading import read_text

    reader = rapid_reader(ReaderModels(threads=1))
    reader.find(np.full((64, 64, 3), 255, np.uint8))
    reader.spell(np.full((48, 96, 3), 255, np.uint8))
    before = _seconds()
    with open_picture(path, limits=own_limits()) as picture:
        text = read_text(picture, reader=reader)
    return [(line.text, line.quad) for line in text.lines], before


def _pieces(found: Any, left: int, top: int) -> list[Piece]:
    if found.boxes is None or found.txts is None:
        return []
    return [(text, np.asarray(quad, float) + (left, top)) for text, quad in zip(found.txts, found.boxes, strict=True)]


# Tables


def _line(row: Row, lines: list[TrueLine]) -> str:
    share = f"{sum(row.found)} of {len(row.found)}"
    letters = sum(len(line.text.replace(" ", "")) for line in lines)
    return (
        f"{row.scan:12} {row.way:7} {share:>10} {sum(row.errors) / letters:6.1%} {row.seconds:7.1f} s {row.peak_mb} MB"
    )


def _print_tables(rows: list[Row], truth: dict[str, list[TrueLine]]) -> None:
    print("\n| way | lines found | " + " | ".join(f"{low} to {high} px" for low, high in SIZES), end="")
    print(" | leaning or upright | character error | seconds | median of scans, times tiling | peak MB |")
    print("|---|" + "--:|" * (len(SIZES) + 6))
    base = {row.scan: row.seconds for row in rows if row.way == "tiling"}
    for way in dict.fromkeys(row.way for row in rows):
        own = [row for row in rows if row.way == way]
        marks = [
            (line, ok, e) for row in own for line, ok, e in zip(truth[row.scan], row.found, row.errors, strict=True)
        ]
        cells = [_share([ok for _, ok, _ in marks])]
        cells += [_share([ok for line, ok, _ in marks if low <= line.pixels <= high]) for low, high in SIZES]
        cells += [_share([ok for line, ok, _ in marks if line.angle])]
        cells += [f"{sum(e for *_, e in marks) / sum(len(line.text.replace(' ', '')) for line, *_ in marks):.1%}"]
        times = [row.seconds / base[row.scan] for row in own if row.scan in base]
        cells += [f"{sum(row.seconds for row in own):.0f}", f"{statistics.median(times):.2f}" if times else "–"]
        print(f"| {way} | {' | '.join([*cells, str(max(row.peak_mb for row in own))])} |")


def _share(marks: list[bool]) -> str:
    return f"{sum(marks)} of {len(marks)}"


if __name__ == "__main__":
    main()
