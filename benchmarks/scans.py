"""Generated scans whose every line of text is known: seeded, of fonts that matplotlib carries.

    for scan in SCANS:
        image, lines = draw_scan(scan)      # an RGB picture and its `TrueLine`s

A scan is paper of uneven tone with grain, rules, frames and patches of texture. Half of its lines stand in blocks of
one font, the others alone; some lean, some stand upright or upside down. Left out: handwriting, tables, other scripts.
"""

import math
import random
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FACES = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSans-Bold", "DejaVuSerif-Italic", "STIXGeneral")
# The words, in lines as they are written: a list of them would be a page long.
WORDS = """
    account address amount archive border bridge cargo castle certificate chapter circle city council current
    delivery distance district engine entrance estimate factory ferry figure garden harbour height history
    hospital index invoice island journal junction kitchen ladder letter library machine market measure meeting
    metal mountain museum number office orchard order page parcel platform pressure project quarter railway
    receipt record region report river school section service signal station street summary supplier surface
    table terminal theatre ticket total tower traffic valley vessel village volume warehouse water weight window
""".split()  # noqa: SIM905
CELL = 8
"""Pixels a side of the cells in which it is kept where something was drawn."""


@dataclass(frozen=True)
class Scan:
    """One page: its size, how many lines it holds, and the quality of its JPEG file."""

    name: str
    width: int
    height: int
    lines: int
    quality: int
    seed: int


SCANS = (
    Scan("plan-12k", 12_000, 9_000, 170, 80, 1),
    Scan("poster-8k", 8_192, 6_144, 140, 70, 2),
    Scan("page-6k", 6_000, 4_000, 110, 60, 3),
    Scan("notice-4k", 4_096, 3_072, 90, 85, 4),
    Scan("receipts-4k", 4_096, 3_072, 90, 60, 5),
)


@dataclass(frozen=True)
class TrueLine:
    """What stands there: the corners of the line, from its first letter's top on, and the font's size in pixels."""

    text: str
    quad: tuple[tuple[float, float], ...]
    pixels: int
    angle: float


def draw_scan(scan: Scan) -> tuple[Image.Image, list[TrueLine]]:
    """The page and the lines on it."""
    dice = random.Random(scan.seed)
    page = _paper(scan)
    taken = np.zeros((scan.height // CELL + 1, scan.width // CELL + 1), bool)
    for _ in range(3):
        _draw_texture(page, taken, dice, scan.seed)
    for _ in range(12):
        _draw_rule(page, dice)
    lines: list[TrueLine] = []
    tries = 0
    while len(lines) < scan.lines and tries < 20_000:
        tries += 1
        pixels = round(8 * (200 / 8) ** (dice.random() ** 1.5))
        count = dice.randint(3, 9) if dice.random() < 0.2 and pixels < 90 else 1
        count = min(count, scan.lines - len(lines))
        # Blocks stand straight; a line alone may lean or stand upright.
        kind = dice.random()
        angle = (
            0.0 if count > 1 or kind < 0.65 else dice.uniform(-20, 20) if kind < 0.85 else dice.choice((90.0, 270.0))
        )
        lines += _draw_block(page, taken, dice, pixels, count, angle)
    return page, lines


def _paper(scan: Scan) -> Image.Image:
    """Uneven paper with grain."""
    noise = np.random.default_rng(scan.seed)
    tone = Image.fromarray(noise.integers(225, 250, (6, 8), np.uint8)).resize((scan.width, scan.height), 3)
    grain = noise.normal(0, 2.5, (512, 512)).round().astype(np.int16)
    pixels = np.asarray(tone).astype(np.int16)
    rows, columns = -(-scan.height // 512), -(-scan.width // 512)
    pixels += np.tile(grain, (rows, columns))[: scan.height, : scan.width]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert("RGB")


def _draw_texture(page: Image.Image, taken: np.ndarray, dice: random.Random, seed: int) -> None:
    """A patch like a photograph: clouds of several sizes."""
    side = round(min(page.size) * dice.uniform(0.1, 0.18))
    left, top = dice.randrange(page.width - side), dice.randrange(page.height - side)
    noise = np.random.default_rng(seed * 100 + side)
    clouds = np.zeros((side, side))
    for cells, weight in ((4, 60), (16, 35), (64, 20), (side // 4, 10)):
        coarse = Image.fromarray(noise.normal(0, 1, (cells, cells)).astype(np.float32))
        clouds += weight * np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    page.paste(Image.fromarray((120 + clouds).clip(0, 255).astype(np.uint8)).convert("RGB"), (left, top))
    taken[top // CELL : (top + side) // CELL + 1, left // CELL : (left + side) // CELL + 1] = True


def _draw_rule(page: Image.Image, dice: random.Random) -> None:
    """A rule across a part of the page. Text may be drawn over it; it is drawn first."""
    x, y, thick = dice.randrange(page.width), dice.randrange(page.height), dice.randint(1, 6)
    reach = dice.randint(page.width // 8, page.width // 2)
    end = (min(page.width, x + reach), y) if dice.random() < 0.6 else (x, min(page.height, y + reach))
    ImageDraw.Draw(page).line((x, y, *end), fill=(150, 150, 160), width=thick)


def _draw_block(
    page: Image.Image, taken: np.ndarray, dice: random.Random, pixels: int, count: int, angle: float
) -> list[TrueLine]:
    """`count` lines one under the other where there is room for all; none where there is not."""
    font = ImageFont.truetype(str(FONTS / f"{dice.choice(FACES)}.ttf"), pixels)
    ink = dice.choice(((20, 20, 30), (30, 30, 120), (120, 20, 20), (70, 70, 70)))
    longest = max(9, min(48, round(0.8 * page.width / (0.6 * pixels))))
    masks = []
    for _ in range(count):
        text = _sentence(dice, dice.randint(8, longest))
        left, top, right, bottom = font.getbbox(text)
        mask = Image.new("L", (math.ceil(right - left) + 4, math.ceil(bottom - top) + 4))
        ImageDraw.Draw(mask).text((2 - left, 2 - top), text, font=font, fill=255)
        masks.append((text, mask))
    step = round(pixels * 1.5)
    turned = [mask.rotate(angle, Image.Resampling.BICUBIC, expand=True) for _, mask in masks]
    width, height = max(one.width for one in turned), turned[0].height + step * (count - 1)
    gap = max(2 * CELL, pixels)
    if width + 2 * gap >= page.width or height + 2 * gap >= page.height:
        return []
    x, y = dice.randrange(gap, page.width - width - gap), dice.randrange(gap, page.height - height - gap)
    area = np.s_[(y - gap) // CELL : (y + height + gap) // CELL + 1, (x - gap) // CELL : (x + width + gap) // CELL + 1]
    if taken[area].any():
        return []
    taken[area] = True
    lines = []
    for number, ((text, mask), shown) in enumerate(zip(masks, turned, strict=True)):
        top = y + number * step
        page.paste(ink, (x, top), shown)
        lines.append(TrueLine(text, _corners(mask.size, shown.size, x, top, angle), pixels, angle))
    return lines


def _corners(
    flat: tuple[int, int], shown: tuple[int, int], x: int, y: int, angle: float
) -> tuple[tuple[float, float], ...]:
    """Where the corners of a mask lie once it is turned around its centre and pasted at (x, y)."""
    across, down = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    points = []
    for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        u, v = dx * flat[0] / 2, dy * flat[1] / 2
        points.append((x + shown[0] / 2 + u * across + v * down, y + shown[1] / 2 - u * down + v * across))
    return tuple(points)


def _sentence(dice: random.Random, length: int) -> str:
    """Words and numbers of about so many characters."""
    words: list[str] = []
    while not words or len(" ".join(words)) < length:
        word = dice.choice(WORDS)
        kind = dice.random()
        words.append(str(dice.randrange(10, 99_999)) if kind < 0.2 else word.capitalize() if kind < 0.45 else word)
    return " ".join(words)
