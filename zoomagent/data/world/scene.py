"""The synthetic world's scenes: what lies where, free of pixels.

A scene is a square of side 1 with coloured shapes that carry short texts, on a background of one of four kinds. It is
drawn at any size by `render.py` and asked about by `questions.py`. `Level` says how rich the world is: `SMALL` and
`DEEP` (the same things, much smaller) are what the shipped nano model was trained on, `FINE` holds still smaller ones,
`FULL` is the whole world. Scenes are a pure function of (level, seed, index). `cut_out` makes a region of a scene a
scene of its own; `varied.py` makes it look otherwise."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Shape = Literal["circle", "square", "triangle", "diamond", "star", "cross"]
Ground = Literal["plain", "textured", "cluttered", "noisy", "mottled", "photograph"]
Region = tuple[float, float, float, float]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (208, 32, 36),
    "green": (30, 138, 52),
    "blue": (36, 72, 206),
    "yellow": (238, 204, 28),
    "purple": (132, 36, 156),
    "orange": (242, 128, 20),
    "black": (24, 24, 26),
    "white": (248, 248, 246),
}
GROUNDS: dict[str, tuple[int, int, int]] = {
    "gray": (150, 150, 150),
    "pink": (228, 168, 178),
    "cyan": (140, 208, 214),
    "brown": (150, 116, 86),
}
DARK_TEXT = frozenset({"yellow", "orange", "white"})
DIGITS = "0123456789"
LETTERS = "ABCDEFGHJKLMNPRTUVWXYZ"


@dataclass(frozen=True)
class Level:
    """How rich the world is. Sizes and distances are shares of the scene's side."""

    name: str
    shapes: tuple[Shape, ...]
    colours: tuple[str, ...]
    alphabet: str
    text_lengths: tuple[int, ...]
    items: tuple[int, int]
    sizes: tuple[float, float]
    small_share: float
    min_distance: float
    fonts: int


SMALL = Level(
    name="small",
    shapes=("circle", "square", "triangle", "diamond"),
    colours=("red", "green", "blue", "yellow", "purple", "orange"),
    alphabet=DIGITS,
    text_lengths=(2,),
    items=(6, 10),
    sizes=(0.055, 0.30),
    small_share=0.7,
    min_distance=0.13,
    fonts=3,
)
DEEP = replace(SMALL, name="deep", sizes=(0.016, 0.09), min_distance=0.05)
FULL = Level(
    name="full",
    shapes=("circle", "square", "triangle", "diamond", "star", "cross"),
    colours=tuple(COLOURS),
    alphabet=DIGITS + LETTERS,
    text_lengths=(2, 3, 4, 5, 6),
    items=(6, 60),
    sizes=(0.01, 0.30),
    small_share=0.85,
    min_distance=0.012,
    fonts=6,
)
FINE = replace(DEEP, name="fine", sizes=(0.01, 0.09))
LEVELS = {level.name: level for level in (SMALL, DEEP, FINE, FULL)}
NEVER_THERE = 4
SPLITS = {"train": 0, "held-out": 1_000_000_000, "test": 2_000_000_000}
"""Added to a seed, so that no scene is in two splits. Training streams use the bare seeds."""


@dataclass(frozen=True)
class Item:
    """A shape of width and height `size` centred on (x, y); `text` is written on it in font number `font`, or in the
    font file `face` where one is named. `tint` is added to the colour's red, green and blue, `shade` to all three;
    `tilt` is in degrees, clockwise."""

    shape: Shape
    colour: str
    x: float
    y: float
    size: float
    text: str
    font: int
    shade: int
    face: str = ""
    tint: tuple[int, int, int] = (0, 0, 0)
    tilt: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Corners x0, y0, x1, y1 as shares of the scene's side."""
        half = self.size / 2
        return self.x - half, self.y - half, self.x + half, self.y + half

    @property
    def inside(self) -> bool:
        """Whether it lies within the scene but for a sliver. Only cut-out scenes hold others."""
        return min(self.box) > -0.02 and max(self.box) < 1.02

    @property
    def text_height(self) -> float:
        """Height of the capital letters as a share of the scene's side."""
        return self.size * TEXT_HEIGHT[len(self.text)]


TEXT_HEIGHT = {0: 0.0, 1: 0.44, 2: 0.40, 3: 0.29, 4: 0.22, 5: 0.18, 6: 0.15}
"""Height of a text of n characters as a share of its item's size, so that it fits every shape."""


@dataclass(frozen=True)
class Scene:
    """One picture's content. `seed` also drives the background's details; `frame` is the region of the drawn world
    (x0, y0, x1, y1 as shares of its side) that this scene is, all of it unless cut out. `backdrop` is the picture file
    behind the items where the ground is a photograph. `wear`, 0 to 1, is how much the camera and the file took away:
    blur and JPEG noise."""

    seed: int
    ground: Ground
    ground_colour: str
    items: tuple[Item, ...]
    frame: Region = (0.0, 0.0, 1.0, 1.0)
    backdrop: str = ""
    wear: float = 0.0


def draw_scene(level: Level, seed: int, index: int) -> Scene:
    """Scene number `index` of the world `seed`: at least one pair of items differs in one attribute only."""
    rng = np.random.default_rng([seed, index])
    count = int(rng.integers(level.items[0], level.items[1] + 1))
    places = _place_items(level, rng, count)
    names = _draw_names(level, rng, len(places))
    items = []
    for (shape, colour), place in zip(names, places, strict=True):
        length = int(rng.choice(level.text_lengths))
        text = "".join(rng.choice(list(level.alphabet), length))
        font, shade = int(rng.integers(level.fonts)), int(rng.integers(-14, 15))
        items.append(Item(shape, colour, *place, text, font, shade))
    ground: Ground = ("plain", "textured", "cluttered", "noisy")[int(rng.integers(4))]
    ground_colour = list(GROUNDS)[int(rng.integers(len(GROUNDS)))]
    return Scene(int(rng.integers(2**31)), ground, ground_colour, tuple(items))


def cut_out(scene: Scene, region: Region) -> Scene:
    """The square `region` of a scene as a scene of side 1: what lies outside is gone, what is cut stays, cut."""
    x0, y0, x1, y1 = region
    side = x1 - x0
    moved = (replace(i, x=(i.x - x0) / side, y=(i.y - y0) / side, size=i.size / side) for i in scene.items)
    kept = tuple(i for i in moved if min(i.box[2:]) > 0 and max(i.box[:2]) < 1)
    return replace(scene, items=kept, frame=within(scene.frame, region))


def within(frame: Region, region: Region) -> Region:
    """`region` of `frame`, in the coordinates in which `frame` is given."""
    width, height = frame[2] - frame[0], frame[3] - frame[1]
    x0, y0, x1, y1 = region
    return frame[0] + x0 * width, frame[1] + y0 * height, frame[0] + x1 * width, frame[1] + y1 * height


def _place_items(level: Level, rng: np.random.Generator, count: int) -> list[tuple[float, float, float]]:
    """(x, y, size) of non-overlapping items, largest first; those that find no room are left out."""
    low, high = level.sizes
    split, sizes = low * 1.45, list[float]()
    for _ in range(count):
        if rng.random() < level.small_share:
            sizes.append(float(rng.uniform(low, split)))
        else:
            sizes.append(float(np.exp(rng.uniform(np.log(split), np.log(high)))))
    placed: list[tuple[float, float, float]] = []
    for size in sorted(sizes, reverse=True):
        for _ in range(60):
            half = size / 2 + 0.005
            x, y = (float(v) for v in rng.uniform(half, 1 - half, 2))
            gaps = (
                max(abs(x - ox), abs(y - oy)) > max((size + other) / 2 + 0.01, level.min_distance)
                for ox, oy, other in placed
            )
            if all(gaps):
                placed.append((x, y, size))
                break
    return placed


def _draw_names(level: Level, rng: np.random.Generator, count: int) -> list[tuple[Shape, str]]:
    """(shape, colour) pairs: mostly different ones, with neighbours in one attribute, now and then a twin.

    At least NEVER_THERE - 1 pairs stay out, so that something can be asked for that is not there.
    """
    every = [(shape, colour) for shape in level.shapes for colour in level.colours]
    order = [every[i] for i in rng.permutation(len(every))][:-NEVER_THERE]
    names = [order[i % len(order)] for i in range(count)]
    if count >= 3:
        names[1] = (names[0][0], next(c for c in level.colours if c != names[0][1]))
    if count >= 4 and rng.random() < 0.3:
        names[3] = names[2]
    return [names[i] for i in rng.permutation(count)]
