"""Scenes of another hand, in the words of the synthetic world: what a promise must survive.

    other = other_scene(seed=7, index=0, materials=Materials.packaged())
    other.scene                          what lies where, as shares of the picture's width and height
    other.draw()                         the picture

Drawn with Pillow alone: other fonts, own tones of the named colours, grounds of one colour, of a faded photograph or of
a photograph as it is, pictures from 1:2 to 3:1, things turned by up to 8 degrees, blur, and JPEG quality 30 to 95. The
world's questions can be asked about the scene. Training never sees these pictures. Left out: the world's own look
(`data/world/render.py`).
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from zoomagent.data.world.scene import SMALL, SPLITS, Item, Scene, draw_scene
from zoomagent.media import Picture, open_picture

TONES: dict[str, tuple[tuple[int, int, int], ...]] = {
    "red": ((220, 20, 60), (190, 30, 30), (235, 60, 50)),
    "green": ((34, 139, 34), (20, 120, 70), (60, 160, 60)),
    "blue": ((30, 60, 200), (20, 90, 220), (50, 80, 180)),
    "yellow": ((245, 215, 40), (255, 225, 0), (230, 200, 60)),
    "purple": ((128, 30, 160), (110, 40, 140), (150, 60, 180)),
    "orange": ((250, 140, 20), (240, 120, 40), (255, 155, 0)),
}
GROUNDS = ((205, 205, 200), (120, 125, 130), (190, 215, 220), (225, 190, 190), (165, 140, 110), (235, 230, 215))
RATIOS = (1.0, 1.0, 4 / 3, 16 / 9, 2.0, 3.0, 0.5)
FAMILIES = ("shape", "muted", "photograph")
TILT = 8.0


@dataclass(frozen=True)
class Materials:
    """What to draw with: font files beside Pillow's own font, and picture files to lay behind."""

    fonts: tuple[str, ...]
    photographs: tuple[str, ...]

    @classmethod
    def packaged(cls) -> "Materials":
        """What matplotlib (extra `bench`) brings: fonts and a photograph that no training of ours uses."""
        import matplotlib

        data = Path(matplotlib.get_data_path())
        fonts = ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmr10", "cmss10", "cmb10")
        faces = tuple(str(data / "fonts" / "ttf" / f"{name}.ttf") for name in fonts)
        return cls(faces, (str(data / "sample_data" / "grace_hopper.jpg"),))

    def with_folders(self, fonts: Path | None, photographs: Path | None) -> "Materials":
        """These and what two folders hold."""
        from zoomagent.data.world.varied import Variety

        more = Variety.of(fonts, photographs)
        return Materials((*self.fonts, *more.faces), (*self.photographs, *more.photographs))


@dataclass(frozen=True)
class Ground:
    """What lies behind: a colour with a slope of light, or a part of a photograph, faded or with less colour."""

    base: tuple[int, int, int]
    slope: float = 0.0
    photograph: str = ""
    part: tuple[int, int, int, int] = (0, 0, 0, 0)
    muted: bool = False


@dataclass(frozen=True)
class Thing:
    """One thing with its text; the place and the side in pixels, the turn in degrees."""

    item: Item
    tone: tuple[int, int, int]
    x: float
    y: float
    side: float
    font: str
    tilt: float


@dataclass(frozen=True)
class OtherScene:
    """A picture before it is drawn: everything that decides it."""

    index: int
    width: int
    height: int
    ground: Ground
    things: tuple[Thing, ...]
    blur: float
    quality: int

    @property
    def scene(self) -> Scene:
        """What lies where."""
        return Scene(self.index, "photograph", "gray", tuple(thing.item for thing in self.things))

    def draw(self) -> Image.Image:
        """The picture, as a JPEG file of its quality gives it back."""
        canvas = _draw_ground(self.ground, self.width, self.height)
        for thing in self.things:
            _paste(canvas, thing)
        if self.blur:
            canvas = canvas.filter(ImageFilter.GaussianBlur(self.blur))
        buffer = io.BytesIO()
        canvas.save(buffer, "JPEG", quality=self.quality)
        return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")

    def open(self) -> Picture:
        return open_picture(self.draw())


def other_scene(seed: int, index: int, materials: Materials, split: str = "test") -> OtherScene:
    """Scene number `index` of a seed: a function of its arguments alone."""
    rng = np.random.default_rng([SPLITS[split] + seed, index, 17])
    ratio, long = RATIOS[int(rng.integers(len(RATIOS)))], int(rng.integers(2000, 4200))
    width, height = (long, round(long / ratio)) if ratio >= 1 else (round(long * ratio), long)
    ground = _ground(FAMILIES[int(rng.integers(len(FAMILIES)))], materials, rng)
    tilted = rng.random() < 0.5
    face = None if rng.random() < 0.3 else int(rng.integers(len(materials.fonts) + 1))
    things = []
    # Which things there are: as in a scene of the world, of which nothing else is kept.
    items = draw_scene(SMALL, SPLITS[split] + 77_000_000 + seed, index).items
    for item, (x, y, side) in zip(items, _places(width, height, rng), strict=False):
        number = int(rng.integers(len(materials.fonts) + 1)) if face is None else face
        font = materials.fonts[number] if number < len(materials.fonts) else ""
        tilt = float(rng.uniform(-TILT, TILT)) if tilted else 0.0
        text = f"{int(rng.integers(100)):02d}"
        tones = TONES[item.colour]
        tone = np.array(tones[int(rng.integers(len(tones)))]) + rng.integers(-10, 11, 3)
        red, green, blue = (int(v) for v in np.clip(tone, 0, 255))
        placed = Item(item.shape, item.colour, x / width, y / height, side / width, text, 0, 0)
        things.append(Thing(placed, (red, green, blue), x, y, side, font, tilt))
    blur = float(rng.uniform(0.3, 2.0)) if rng.random() < 0.5 else 0.0
    return OtherScene(index, width, height, ground, tuple(things), blur, quality=int(rng.integers(30, 96)))


def _places(width: int, height: int, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """(x, y, side) in pixels of things that do not touch; half are small, down to a fiftieth of the short side."""
    short, placed = min(width, height), list[tuple[float, float, float]]()
    for _ in range(int(rng.integers(5, 10))):
        share = rng.uniform(0.02, 0.07) if rng.random() < 0.5 else np.exp(rng.uniform(np.log(0.07), np.log(0.28)))
        side = max(40.0, float(share) * short)
        for _ in range(80):
            x, y = float(rng.uniform(side, width - side)), float(rng.uniform(side, height - side))
            if all(max(abs(x - a), abs(y - b)) > 0.7 * (side + s) for a, b, s in placed):
                placed.append((x, y, side))
                break
    return placed


def _ground(family: str, materials: Materials, rng: np.random.Generator) -> Ground:
    base = GROUNDS[int(rng.integers(len(GROUNDS)))]
    if family == "shape" or not materials.photographs:
        return Ground(base, slope=float(rng.uniform(-1, 1)))
    photograph = materials.photographs[int(rng.integers(len(materials.photographs)))]
    with Image.open(photograph) as header:
        width, height = header.size
    share = float(rng.uniform(0.5, 1.0))
    across, down = round(width * share), round(height * share)
    left, top = int(rng.integers(width - across + 1)), int(rng.integers(height - down + 1))
    return Ground(base, photograph=photograph, part=(left, top, left + across, top + down), muted=family == "muted")


def _draw_ground(ground: Ground, width: int, height: int) -> Image.Image:
    """One colour with a faint slope of light, or a photograph: faded to 45 per cent, or with its colours at 60."""
    if not ground.photograph:
        slope = np.linspace(-12, 12, width, dtype=np.float32)[None, :, None] * ground.slope
        lit = np.clip(np.array(ground.base, np.float32) + slope, 0, 255).astype(np.uint8)
        return Image.fromarray(np.broadcast_to(lit, (height, width, 3)))
    with Image.open(ground.photograph) as photograph:
        part = photograph.convert("RGB").crop(ground.part)
    small = part.resize((width, height), Image.Resampling.BILINEAR)
    if ground.muted:
        return Image.blend(Image.new("RGB", (width, height), ground.base), small, 0.45)
    return Image.blend(small.convert("L").convert("RGB"), small, 0.6)


def _paste(canvas: Image.Image, thing: Thing) -> None:
    """Draw a thing with its text at twice its size on a patch, turn it, and lay it on the canvas."""
    n, pad, tone = round(2 * thing.side), round(0.5 * thing.side), thing.tone
    patch = Image.new("RGBA", (n + 2 * pad, n + 2 * pad), (*tone, 0))
    draw, far, middle = ImageDraw.Draw(patch), n + pad, pad + n / 2
    outline: dict[str, list[tuple[float, float]]] = {
        "square": [(pad, pad), (far, pad), (far, far), (pad, far)],
        "triangle": [(middle, pad), (far, far), (pad, far)],
        "diamond": [(middle, pad), (far, middle), (middle, far), (pad, middle)],
    }
    if thing.item.shape == "circle":
        draw.ellipse((pad, pad, far, far), fill=(*tone, 255))
    else:
        draw.polygon(outline[thing.item.shape], fill=(*tone, 255))
    light = 0.299 * tone[0] + 0.587 * tone[1] + 0.114 * tone[2] > 140
    size = round(0.4 * n / 0.72)
    face = ImageFont.truetype(thing.font, size) if thing.font else ImageFont.load_default(size)
    down = pad + n * (0.7 if thing.item.shape == "triangle" else 0.5)
    ink = (10, 10, 10, 255) if light else (250, 250, 250, 255)
    draw.text((middle, down), thing.item.text, fill=ink, font=face, anchor="mm")
    turned = patch.rotate(-thing.tilt, Image.Resampling.BICUBIC).resize((patch.width // 2, patch.height // 2))
    canvas.paste(turned, (round(thing.x - turned.width / 2), round(thing.y - turned.height / 2)), turned)
