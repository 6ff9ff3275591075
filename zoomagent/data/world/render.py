"""Draw any region of a scene at any size, directly: a 64-pixel view of a corner costs no 4K picture.

Shapes are drawn at a multiple of the wanted size and averaged down, which is what a good resize of the full picture
gives. Photographic noise is white at full size and shrinks with averaging. Leaves out perspective, light and shadow.
"""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from zoomagent.data.world.scene import COLOURS, DARK_TEXT, GROUNDS, TEXT_HEIGHT, Item, Region, Scene, within
from zoomagent.geometry import Size
from zoomagent.media.picture import Picture, Request

Pixels = npt.NDArray[np.uint8]
WHOLE: Region = (0.0, 0.0, 1.0, 1.0)
_SHIFT = 4
_FONTS = (("sans", 400), ("sans", 700), ("italic", 500), ("sans", 250), ("italic", 800), ("sans", 550))


def render(scene: Scene, width: int, height: int, region: Region = WHOLE, full_side: int = 4096) -> Pixels:
    """RGB pixels, shape (height, width, 3), of `region` (x0, y0, x1, y1 as shares of the side).

    `full_side` is the side of the picture that this view stands for; it sets how much noise is left after averaging.
    """
    over = 1 if min(width, height) >= 1024 else 2
    world = within(scene.frame, region)
    canvas = _background(scene, width * over, height * over, world)
    for item in scene.items:
        x0, y0, x1, y1 = item.box
        if x0 >= region[2] or x1 <= region[0] or y0 >= region[3] or y1 <= region[1]:
            continue
        colour = np.clip(np.array(COLOURS[item.colour]) + item.shade + np.array(item.tint), 0, 255).tolist()
        cv2.fillPoly(canvas, [_to_canvas(_outline(item), canvas, region)], colour, cv2.LINE_AA, _SHIFT)
        pixels = item.text_height * canvas.shape[0] / (region[3] - region[1])
        if item.text and pixels >= 2:
            _write(canvas, item, region, pixels)
    averaged = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA) if over > 1 else canvas
    view = np.asarray(averaged, np.uint8)
    if scene.ground == "noisy":
        # White noise of the full picture, averaged down (never up) to this view's scale.
        shrink = max(1.0, (world[2] - world[0]) * full_side / width)
        rng = np.random.default_rng([scene.seed, width, int(world[0] * 1e6), int(world[1] * 1e6)])
        noisy = view + rng.normal(0, max(2.0, 22.0 / shrink), view.shape).astype(np.float32)
        view = np.clip(noisy, 0, 255).astype(np.uint8)
    if scene.wear <= 0:
        return view
    # By wear from 0 to 1: blur of up to 0.7 pixels, and JPEG noise of quality 95 down to 30.
    blurred = cv2.GaussianBlur(view, (0, 0), max(0.05, 0.7 * scene.wear))
    _, coded = cv2.imencode(".jpg", blurred, [cv2.IMWRITE_JPEG_QUALITY, round(95 - 65 * scene.wear)])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def _background(scene: Scene, width: int, height: int, region: Region) -> Pixels:
    base = np.array(GROUNDS[scene.ground_colour], np.float32)
    if scene.ground in ("plain", "noisy"):
        return np.full((height, width, 3), base.astype(np.uint8))
    if scene.ground == "photograph":
        # From the smallest copy of the backdrop that is fine enough.
        copies, wanted = _backdrop(scene.backdrop), width / (region[2] - region[0])
        copy = next((copy for copy in copies if copy.shape[0] >= wanted), copies[-1])
        return _sample(copy, width, height, region)
    rng = np.random.default_rng(scene.seed)
    if scene.ground == "mottled":
        # Patches of many colours in four sizes, as leaves, walls and crowds have them; the scene's seed decides all.
        mixed = float(rng.uniform(70, 200)) + rng.normal(0, 25, 3)
        patches = np.full((height, width, 3), mixed, np.float32)
        for cells, most in ((4, 60.0), (12, 40.0), (40, 30.0), (120, 22.0)):
            light = rng.normal(0, float(rng.uniform(0.1, 1.0)) * most, (cells, cells, 1))
            hue = rng.normal(0, float(rng.uniform(0.0, 0.35)) * most, (cells, cells, 3))
            patches += _sample((light + hue + 128).astype(np.float32), width, height, region).astype(np.float32) - 128
        return np.clip(patches, 0, 255).astype(np.uint8)
    cells = 24 if scene.ground == "textured" else 7
    grid = base + rng.normal(0, 13 if scene.ground == "textured" else 7, (cells, cells, 1))
    canvas = _sample(grid.astype(np.float32), width, height, region)
    if scene.ground == "cluttered":
        # Short thin strokes in tones near the background.
        starts, turns = rng.random((70, 2)), rng.normal(0, 0.035, (70, 2))
        tones = np.clip(base + rng.normal(0, 26, (70, 1)), 0, 255)
        stroke = max(1, round(0.004 * width / (region[2] - region[0])))
        for start, turn, tone in zip(starts, turns, tones, strict=True):
            ends = _to_canvas(np.stack([start, start + turn]), canvas, region)
            cv2.line(canvas, ends[0].tolist(), ends[1].tolist(), tone.tolist(), stroke, cv2.LINE_AA, _SHIFT)
    return canvas


@functools.lru_cache(maxsize=32)
def _backdrop(file: str) -> tuple[npt.NDArray[np.float32], ...]:
    """A picture file as squares of 64 to 1024 pixels, smallest first, its colours dimmed to six tenths: things on it
    must stand out."""
    image = cv2.imread(file, cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(f"There is no picture {Path(file).name!r} to draw a background from.")
    square = image[: min(image.shape[:2]), : min(image.shape[:2]), ::-1].astype(np.float32)
    grey = square.mean(-1, keepdims=True)
    muted = grey + 0.6 * (square - grey)
    sides = [side for side in (64, 128, 256, 512, 1024) if side <= len(muted)] or [len(muted)]
    return tuple(cv2.resize(muted, (side, side), interpolation=cv2.INTER_AREA) for side in sides)


def _sample(grid: npt.NDArray[np.float32], width: int, height: int, region: Region) -> Pixels:
    """The region of a coarse grid that is stretched over the scene, smoothly interpolated."""
    cells = grid.shape[0] - 1
    sx, sy = (region[2] - region[0]) * cells / width, (region[3] - region[1]) * cells / height
    matrix = np.array([[sx, 0, region[0] * cells + sx / 2], [0, sy, region[1] * cells + sy / 2]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    flat = cv2.warpAffine(grid, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(flat, 0, 255).astype(np.uint8).reshape(height, width, 3)


def _to_canvas(points: npt.NDArray[np.float64], canvas: Pixels, region: Region) -> npt.NDArray[np.int32]:
    """Scene points, shape (n, 2), as fixed-point canvas pixels (OpenCV's `shift`)."""
    height, width = canvas.shape[:2]
    scale = np.array([width / (region[2] - region[0]), height / (region[3] - region[1])])
    fixed = np.round(((points - region[:2]) * scale - 0.5) * (1 << _SHIFT))
    return np.asarray(fixed, np.int32)


def _outline(item: Item) -> npt.NDArray[np.float64]:
    """Corners of the shape in scene coordinates, shape (n, 2)."""
    half = item.size / 2
    unit: list[tuple[float, float]]
    match item.shape:
        case "square":
            unit = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
        case "triangle":
            unit = [(0, -1), (1, 1), (-1, 1)]
        case "diamond":
            unit = [(0, -1), (1, 0), (0, 1), (-1, 0)]
        case "cross":
            a = 0.42
            unit = [
                (-a, -1),
                (a, -1),
                (a, -a),
                (1, -a),
                (1, a),
                (a, a),
                (a, 1),
                (-a, 1),
                (-a, a),
                (-1, a),
                (-1, -a),
                (-a, -a),
            ]
        case "star":
            angles = -np.pi / 2 + np.arange(10) * np.pi / 5
            radii = np.where(np.arange(10) % 2 == 0, 1.0, 0.55)
            x, y = np.cos(angles) * radii / 0.951, np.sin(angles) * radii
            unit = list(zip(x, (y + 1) / 1.809 * 2 - 1, strict=True))
        case "circle":
            angles = np.arange(48) * np.pi / 24
            unit = list(zip(np.cos(angles), np.sin(angles), strict=True))
    turn = np.deg2rad(item.tilt)
    turned = np.array(unit, np.float64) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    corners: npt.NDArray[np.float64] = turned * half + (item.x, item.y)
    return corners


def text_box(item: Item) -> Region:
    """Where the item's text lies, in scene coordinates."""
    name, weight = font_of(item)
    _, _, width, height = cv2.getTextSize((0, 0), item.text, (0, 0), _face(name), 100, weight)
    half = item.text_height / 2, item.text_height / 2 * width / max(1, height)
    y = item.y + _drop(item) * item.size / 2
    return item.x - half[1], y - half[0], item.x + half[1], y + half[0]


def font_of(item: Item) -> tuple[str, int]:
    """OpenCV's name of the item's font, or its file, and the weight. A file decides its weight itself."""
    return (item.face, 400) if item.face else _FONTS[item.font]


@functools.cache
def _face(name: str) -> cv2.FontFace:
    return cv2.FontFace(name)


def _drop(item: Item) -> float:
    """How far below the centre the text lies, as a share of half the size: where the shape has most room."""
    return 0.5 if item.shape == "triangle" else 0.0


def _write(canvas: Pixels, item: Item, region: Region, pixels: float) -> None:
    """The item's text, its capitals `pixels` high, centred where the shape has most room."""
    name, weight = font_of(item)
    face = _face(name)
    turn, drop = np.deg2rad(item.tilt), _drop(item) * item.size / 2
    centre = np.array([[item.x - np.sin(turn) * drop, item.y + np.cos(turn) * drop]])
    cx, cy = _to_canvas(centre, canvas, region)[0] / (1 << _SHIFT)
    size = max(3, round(pixels / 0.72))
    left, top, width, height = cv2.getTextSize((0, 0), item.text, (0, 0), face, size, weight)
    ink = (12, 12, 12) if item.colour in DARK_TEXT else (252, 252, 252)
    if not item.tilt:
        origin = (round(cx - width / 2 - left), round(cy - height / 2 - top))
        cv2.putText(canvas, item.text, origin, ink, face, size, weight)
        return
    # A tilted text is written on a square of its own, turned clockwise about its middle, and painted through.
    side = width + height + 4
    stamp = np.zeros((side, side, 3), np.uint8)
    origin = (round(side / 2 - width / 2 - left), round(side / 2 - height / 2 - top))
    cv2.putText(stamp, item.text, origin, (255, 255, 255), face, size, weight)
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), -item.tilt, 1.0)
    share = cv2.warpAffine(stamp[..., 0], matrix, (side, side)).astype(np.float32)[..., None] / 255
    left, top = round(cx - side / 2), round(cy - side / 2)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + side, canvas.shape[1]), min(top + side, canvas.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    part = share[y0 - top : y1 - top, x0 - left : x1 - left]
    behind = canvas[y0:y1, x0:x1]
    canvas[y0:y1, x0:x1] = (behind * (1 - part) + np.array(ink, np.float32) * part).astype(np.uint8)


__all__ = ["TEXT_HEIGHT", "WHOLE", "Region", "render"]


class Drawn:
    """Satisfies `zoomagent.media.picture.Pixels`."""

    def __init__(self, scene: Scene, side: int) -> None:
        self._scene, self._side = scene, side

    def regions(self, requests: Sequence[Request]) -> Iterator[Image.Image]:
        for box, size in requests:
            left, top, right, bottom = (v / self._side for v in box.as_list())
            region = (left, top, right, bottom)
            yield Image.fromarray(render(self._scene, size.width, size.height, region, full_side=self._side))

    def prepare(self) -> None:
        """All is ready."""

    def close(self) -> None:
        """Nothing to give back."""


def drawn_picture(scene: Scene, side: int, name: str) -> Picture:
    """The scene as a picture of `side` x `side` pixels, called `name`."""
    return Picture(name, Size(side, side), (), Drawn(scene, side))
