"""Rows of the contract written by hand, from one drawn scene: what reinforcement learns from in the tests."""

import json
from pathlib import Path
from typing import Any

from PIL import Image
from zoom_world import ALSO, FAR, NEAR, SCENE, SIDE, pixels_of

from zoomagent.data.trajectories.trajectory import FORMAT, ImagePart, TextPart, Trajectory, Turn, ViewBox, write_parquet
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import Item
from zoomagent.geometry import Box, Size, moved_inside
from zoomagent.prompts import macro_prompt

IMAGE = "scene.png"


def write_scene(folder: Path) -> Path:
    """The scene as a file in `folder`."""
    Image.fromarray(render(SCENE, SIDE, SIDE, full_side=SIDE)).save(folder / IMAGE)
    return folder


def row(item: Item = NEAR, number: int = 0, **changes: Any) -> dict[str, Any]:
    """A row that asks what is written on `item`, as Arrow gives it back."""
    question = f"What is written on the {item.name}?"
    target = pixels_of(item)
    nested = [target, _wider(target, 0.5), _wider(target, 1.5)]
    made = Trajectory(
        id=f"row-{number}",
        image=IMAGE,
        image_id=1,
        width=SIDE,
        height=SIDE,
        kind="one_zoom",
        question=question,
        answer=item.text,
        targets=(_corners(target),),
        nested=tuple(_corners(box) for box in nested),
        views=(ViewBox(id="view-0", source="", box=(0, 0, SIDE, SIDE)),),
        messages=(
            Turn(role="user", content=(ImagePart(view="view-0"), TextPart(text=macro_prompt(question)))),
            Turn(role="assistant", content=(TextPart(text=item.text),)),
        ),
    )
    return {**made.to_row(), **changes}


def rows(count: int) -> list[dict[str, Any]]:
    """`count` rows about three items in turn."""
    return [row((NEAR, FAR, ALSO)[i % 3], i) for i in range(count)]


def pointing(item: Item, **changes: Any) -> dict[str, Any]:
    """The arguments of a zoom into the whole, exactly at `item`."""
    box = [round(1000 * edge) for edge in item.box]
    return {"bbox_2d": box, "label": item.name, "img_idx": 0, **changes}


def _corners(box: Box) -> tuple[int, int, int, int]:
    return box.left, box.top, box.right, box.bottom


def _wider(box: Box, share: float) -> Box:
    more = round(box.width * share)
    return moved_inside(Box(box.left - more, box.top - more, box.right + more, box.bottom + more), Size(SIDE, SIDE))


def write_data(folder: Path, made: list[dict[str, Any]], split: str = "train") -> Path:
    """The rows as `zoomagent data trajectories` writes them, pictures in a folder beside them."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    (folder / "data" / split).mkdir(parents=True, exist_ok=True)
    write_scene(folder / "pictures")
    write_parquet([Trajectory.from_row(one) for one in made], folder / "data" / split / "part-0.parquet")
    (folder / "data" / "card.json").write_text(json.dumps({"format": FORMAT, "images": "../pictures"}))
    return folder / "data"
