"""Trajectories written by hand about one drawn scene, of every sort that a trainer must tell apart."""

import json
from pathlib import Path
from typing import Any

from PIL import Image
from zoom_world import ALSO, FAR, NEAR, SCENE, SIDE, pixels_of

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.trajectories.trajectory import (
    CallPart,
    Function,
    ImagePart,
    TextPart,
    Trajectory,
    Turn,
    ViewBox,
    write_parquet,
)
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import Item
from zoomagent.geometry import Box, Size
from zoomagent.prompts import macro_prompt
from zoomagent.tools.definitions import NOT_FOUND, SEARCH, ZOOM_IN, shown
from zoomagent.tools.zooming import surroundings

PICTURE = Size(SIDE, SIDE)
WHOLE = (0, 0, SIDE, SIDE)


def zoom_row(item: Item, number: int, wrong: Item | None = None) -> Trajectory:
    """One zoom on `item`; after one on `wrong`, which is not to be learned, where that is given."""
    boxes = [pixels_of(one) for one in (wrong, item) if one is not None]
    turns: list[Turn] = []
    for index, box in enumerate(boxes, 1):
        crop = surroundings(box, PICTURE, 0.6, 0)
        arguments = {"bbox_2d": thousandths(box), "label": item.name, "img_idx": 0}
        turns += [
            Turn(role="assistant", tool_calls=(call(ZOOM_IN, arguments),), learn=index == len(boxes)),
            Turn(role="tool", content=(TextPart(text=shown(index, thousandths(crop), 0)),)),
            Turn(role="user", content=(ImagePart(view=f"view-{index}"),)),
        ]
    crops = [surroundings(box, PICTURE, 0.6, 0) for box in boxes]
    views = tuple(ViewBox(id=f"view-{i}", source="view-0", box=corners(crop)) for i, crop in enumerate(crops, 1))
    return trajectory(item, number, "recovered" if wrong else "one_zoom", item.text, turns, views)


def absent_row(item: Item, number: int) -> Trajectory:
    """A search in vain."""
    turns = [
        Turn(role="assistant", tool_calls=(call(SEARCH, {"label": "teal ring", "img_idx": 0}),)),
        Turn(role="tool", content=(TextPart(text=NOT_FOUND),)),
    ]
    return trajectory(item, number, "cannot_tell", CANNOT_TELL, turns, ())


def trajectory(
    item: Item, number: int, kind: Any, answer: str, turns: list[Turn], views: tuple[ViewBox, ...]
) -> Trajectory:
    question = f"What is written on the {item.name}?"
    return Trajectory(
        id=f"row-{number}",
        image="scene.png",
        image_id=number,
        width=SIDE,
        height=SIDE,
        kind=kind,
        question=question,
        answer=answer,
        targets=(corners(pixels_of(item)),),
        tools=(ZOOM_IN, SEARCH),
        views=(ViewBox(id="view-0", source="", box=WHOLE), *views),
        messages=(
            Turn(role="user", content=(ImagePart(view="view-0"), TextPart(text=macro_prompt(question)))),
            *turns,
            Turn(role="assistant", content=(TextPart(text=answer),)),
        ),
    )


def trajectories(count: int) -> list[Trajectory]:
    """`count` rows of three sorts in turn."""
    items = (NEAR, FAR, ALSO)
    made = []
    for number in range(count):
        item, other = items[number % 3], items[(number + 1) % 3]
        sort = number // 3 % 3
        made.append(absent_row(item, number) if sort == 2 else zoom_row(item, number, other if sort else None))
    return made


def write_data(folder: Path, count: int = 18, held_out: int = 3) -> Path:
    """A folder as `zoomagent data trajectories` writes it."""
    for name, rows in (("train", trajectories(count)), ("held-out", trajectories(held_out)), ("images", [])):
        (folder / name).mkdir(parents=True)
        if rows:
            write_parquet(rows, folder / name / "part-00000.parquet")
    Image.fromarray(render(SCENE, SIDE, SIDE, full_side=SIDE)).save(folder / "images" / "scene.png")
    (folder / "card.json").write_text(json.dumps({"format": 1, "images": "images"}))
    return folder


def call(name: str, arguments: dict[str, Any]) -> CallPart:
    return CallPart(function=Function(name=name, arguments=arguments))


def thousandths(box: Box) -> list[int]:
    return [round(1000 * edge / SIDE) for edge in box.as_list()]


def corners(box: Box) -> tuple[int, int, int, int]:
    return (box.left, box.top, box.right, box.bottom)
