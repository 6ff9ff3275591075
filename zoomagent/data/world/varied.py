"""The same scenes, looking otherwise: other fonts, grounds, tints, tilts, and a worse camera.

    look = Variety.of(fonts=Path("/usr/share/fonts"), photographs=Path("photos"))
    scene = varied(scene, look, rng)

What is where, and what is written, stays; so do all questions and answers. A model that saw the plain world only reads
its three fonts and little else. Left out: drawing (`render.py`).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from zoomagent.data.world.scene import GROUNDS, Ground, Scene
from zoomagent.errors import SettingInvalid

FONT_FILES = (".ttf", ".otf")
PICTURE_FILES = (".jpg", ".jpeg", ".png")
UNREADABLE = (
    "Thin",
    "Hairline",
    "Symbol",
    "LastResort",
    "Siz",
    "NonUni",
    "D050000L",
    "Z003",
    "cmex",
    "cmsy",
    "cmmi",
    "_K.",
)
"""Parts of the names of fonts that hold no digits, or strokes too thin to be seen."""
TINT, SHADE = 16, 10
"""Standard deviations of an item's tint per channel and of its shade, in levels of 255."""
TILT = 8.0
"""Degrees by which items are turned at most."""


@dataclass(frozen=True)
class Variety:
    """What scenes may be drawn with: font files, and pictures to lay behind the items. Both may be none."""

    faces: tuple[str, ...] = ()
    photographs: tuple[str, ...] = ()

    @classmethod
    def of(cls, fonts: Path | None = None, photographs: Path | None = None) -> "Variety":
        """The font and picture files below two folders. Raises SettingInvalid where a folder holds none."""
        faces = _files(fonts, FONT_FILES)
        readable = tuple(name for name in faces if not any(part in Path(name).name for part in UNREADABLE))
        return cls(readable, _files(photographs, PICTURE_FILES))


def varied(scene: Scene, variety: Variety, rng: np.random.Generator) -> Scene:
    """The scene in another look. Half of the scenes keep one font for all texts, as real signs do."""
    shared = _face(variety, rng) if rng.random() < 0.5 else None
    tilted = rng.random() < 0.5
    items = []
    for item in scene.items:
        red, green, blue = (int(v) for v in np.clip(rng.normal(0, TINT, 3), -2.5 * TINT, 2.5 * TINT))
        other = replace(
            item,
            face=_face(variety, rng) if shared is None else shared,
            tint=(red, green, blue),
            shade=int(np.clip(rng.normal(0, SHADE), -2 * SHADE, 2 * SHADE)),
            tilt=float(rng.uniform(-TILT, TILT)) if tilted else 0.0,
        )
        items.append(other)
    wear = float(rng.uniform(0, 1)) if rng.random() < 0.5 else 0.0
    draw = rng.random()
    ground: Ground = scene.ground
    colour, backdrop = scene.ground_colour, ""
    if draw < 0.3 and variety.photographs:
        ground, backdrop = "photograph", variety.photographs[int(rng.integers(len(variety.photographs)))]
    elif draw < 0.55:
        ground = "mottled"
    else:
        colour = list(GROUNDS)[int(rng.integers(len(GROUNDS)))]
    return replace(scene, items=tuple(items), ground=ground, ground_colour=colour, backdrop=backdrop, wear=wear)


def _face(variety: Variety, rng: np.random.Generator) -> str:
    """A font file; one time in eight, or where there is none, the scene's own fonts."""
    if not variety.faces or rng.random() < 0.125:
        return ""
    return variety.faces[int(rng.integers(len(variety.faces)))]


def _files(folder: Path | None, endings: tuple[str, ...]) -> tuple[str, ...]:
    if folder is None:
        return ()
    found = sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in endings)
    if not found:
        raise SettingInvalid(f"The folder {folder.name!r} holds no {' or '.join(endings)} file. Name another.")
    return tuple(found)
