"""What many pictures look like, for `train scope`: scenes of the synthetic worlds, and a person's own files.

    zoomagent bench looks --worlds small,deep,fine,varied,other --foreign photographs --out runs/looks.jsonl
    zoomagent train scope nano runs/looks.jsonl --out arbiter.json

No model is asked. Scenes of the worlds are of the held-out split, in sizes from 1,024 to 8,192 pixels; files of
`--own`, for a model of your own, are pictures as it will be asked about. Every file is taken whole and in parts, so
that a few hundred of them show what a photograph or a screenshot is. Pictures behind the scenes should be among the
foreign ones too: what makes a picture one of the world's is what lies on it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from zoomagent.confidence.looks import looks_of
from zoomagent.data.world.render import drawn_picture
from zoomagent.data.world.scene import LEVELS, SPLITS, draw_scene
from zoomagent.data.world.varied import Variety, varied
from zoomagent.errors import InputRefused
from zoomagent.evaluation.sets.other_world import Materials, other_scene
from zoomagent.geometry import Size, whole
from zoomagent.media import Picture, open_picture
from zoomagent.models.profiles import Profile
from zoomagent.tools.viewing import ViewStore
from zoomagent.training.calibration.scope import Look

SIDES = (1024, 2048, 4096, 4096, 8192)
SEED = 900
VIEWS = (128, 128, 192, 256, 512)
"""Sides of whole views: other models, and other weights of this one, take other sizes."""
SLOW = 8
"""One scene of another hand is drawn for so many of the others: it is drawn at its full size."""
LEAST_SIDE, LONGEST = 32, 2048
"""Sides in pixels of parts that are taken, and of the file's picture that they are cut from."""


def every_look(
    profile: Profile,
    worlds: Sequence[str],
    n: int,
    folders: Sequence[tuple[Path, bool, bool]],
    parts: int,
    variety: Variety,
    materials: Materials,
    split: str,
) -> Iterator[Look]:
    """All of the worlds' pictures, then those of each folder: (folder, foreign, never fitted on)."""
    for world in worlds:
        yield from world_looks(world, n, profile, variety, materials, split, held_out=split == "test")
    for folder, foreign, held_out in folders:
        yield from file_looks(folder, profile, foreign, held_out, parts)


def world_looks(
    world: str,
    n: int,
    profile: Profile,
    variety: Variety,
    materials: Materials,
    split: str = "held-out",
    seed: int = SEED,
    held_out: bool = False,
) -> Iterator[Look]:
    """What `n` scenes of a world look like in whole views of several sizes."""
    for index in range(n // SLOW if world == "other" else n):
        rng = np.random.default_rng([seed, index, 37])
        side = int(rng.choice(VIEWS)) if index % 2 else 0
        larger = replace(profile, max_pixels=max(side * side, profile.max_pixels), whole_pixels=side * side)
        with _scene(world, seed, index, split, variety, materials, rng) as picture:
            looks = looks_of(whole_view(picture, larger if side else profile))
        yield Look(source=f"{world}-{seed}-{index}", world=world, held_out=held_out, looks=looks)


def file_looks(
    folder: Path, profile: Profile, foreign: bool, held_out: bool, parts: int, seed: int = SEED
) -> Iterator[Look]:
    """What the pictures of a folder look like, whole and in `parts` parts each. What cannot be opened is left out."""
    for number, name in enumerate(Variety.of(photographs=folder).photographs):
        rng = np.random.default_rng([seed, number, 41])
        try:
            with open_picture(name) as picture:
                size = picture.size
                shrink = min(1.0, LONGEST / max(size.width, size.height))
                small = Size(max(1, round(size.width * shrink)), max(1, round(size.height * shrink)))
                image = picture.view(whole(size), small)
        except InputRefused:
            continue
        for part in range(parts + 1):
            shown = image
            if part:  # a quarter to nine tenths of each side, somewhere
                share = float(rng.uniform(0.25, 0.9))
                width = min(image.width, round(image.width * share))
                height = min(image.height, round(image.height * share * float(rng.uniform(0.7, 1.3))))
                left = int(rng.integers(image.width - width + 1))
                top = int(rng.integers(image.height - height + 1))
                shown = image.crop((left, top, left + width, top + height))
            if min(shown.size) >= LEAST_SIDE:
                with open_picture(shown) as picture:
                    looks = looks_of(whole_view(picture, profile))
                yield Look(source=Path(name).name, world=folder.name, foreign=foreign, held_out=held_out, looks=looks)


def whole_view(picture: Picture, profile: Profile) -> Image.Image:
    """The picture as a run shows it to the model first."""
    views = ViewStore(picture, profile)
    return views.image(views.whole()["id"])


def _scene(
    world: str, seed: int, index: int, split: str, variety: Variety, materials: Materials, rng: np.random.Generator
) -> Picture:
    """A scene as an open picture."""
    if world == "other":
        return other_scene(seed, index, materials, split).open()
    level = world if world in LEVELS else ("small", "deep")[index % 2]
    scene = draw_scene(LEVELS[level], SPLITS[split] + seed, index)
    if world == "varied":
        scene = varied(scene, variety, rng)
    side = 8192 if level == "fine" else int(rng.choice(SIDES))
    return drawn_picture(scene, side, f"{world}-{seed}-{index}")
