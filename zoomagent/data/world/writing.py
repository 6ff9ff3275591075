"""Write a synthetic world in Visual Genome's own files, images beside them.

    zoomagent data world OUT --scenes 20 --seed 1 --size 4096

Files and fields are those of Visual Genome 1.4 (image_data, objects, attributes, relationships,
region_descriptions, question_answers, qa_to_region_mapping; pixels, integers), so one pipeline reads both.
`question_kinds.json` is ours: what each question needs. The same level, seed and size give the same bytes. Video
and segmentation are left out.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from zoomagent.data.world.questions import LEGIBLE, Kind, ask, group_of
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import Level, Scene, draw_scene

KINDS: tuple[Kind, ...] = (
    "read", "read", "colour", "shape", "side", "count", "presence", "relation", "ground", "absent",
)  # fmt: skip
MACRO_SIDE = 128
"""The whole-picture width by which question_kinds.json tells what is readable only up close."""

Json = dict[str, Any]


@dataclass
class Files:
    """The lists that become Visual Genome's files."""

    image_data: list[Json] = field(default_factory=list)
    objects: list[Json] = field(default_factory=list)
    attributes: list[Json] = field(default_factory=list)
    relationships: list[Json] = field(default_factory=list)
    region_descriptions: list[Json] = field(default_factory=list)
    question_answers: list[Json] = field(default_factory=list)
    qa_to_region_mapping: dict[str, int] = field(default_factory=dict)
    question_kinds: dict[str, Json] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        for name, content in vars(self).items():
            (folder / f"{name}.json").write_text(json.dumps(content, indent=None, ensure_ascii=True) + "\n")


def write_world(
    out: Path,
    level: Level,
    seed: int,
    scenes: int,
    size: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Files:
    """Write `scenes` pictures of `size` pixels a side and the files that describe them into `out`."""
    pictures = out / "VG_100K"
    pictures.mkdir(parents=True, exist_ok=True)
    files = Files()
    for index in range(scenes):
        scene = draw_scene(level, seed, index)
        image = index + 1
        picture = render(scene, size, size, full_side=size)
        cv2.imwrite(str(pictures / f"{image}.jpg"), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        describe(files, scene, level, seed, index, size)
        progress(index + 1)
    files.write(out)
    return files


def describe(files: Files, scene: Scene, level: Level, seed: int, index: int, size: int) -> None:
    """Add everything Visual Genome would say about scene number `index`."""
    image = index + 1
    url = f"VG_100K/{image}.jpg"
    files.image_data.append(
        {"image_id": image, "url": url, "width": size, "height": size, "coco_id": None, "flickr_id": None}
    )
    things: list[Json] = []
    for item in scene.items:
        x0, y0, x1, y1 = (int(np.clip(round(v * size), 0, size)) for v in item.box)
        place = {"x": x0, "y": y0, "w": max(1, x1 - x0), "h": max(1, y1 - y0)}
        words = {"names": [item.shape], "synsets": [f"{item.shape}.n.01"]}
        things.append({"object_id": image * 1000 + len(things), **place, **words})
    files.objects.append({"image_id": image, "image_url": url, "objects": things})
    attributes = [{**t, "attributes": [i.colour]} for t, i in zip(things, scene.items, strict=True)]
    files.attributes.append({"image_id": image, "attributes": attributes})
    files.relationships.append({"image_id": image, "relationships": _relate_neighbours(scene, things, image)})
    regions = [
        {
            "region_id": thing["object_id"],
            "image_id": image,
            "x": thing["x"],
            "y": thing["y"],
            "width": thing["w"],
            "height": thing["h"],
            "phrase": f"a {item.name} that says {item.text}",
        }
        for thing, item in zip(things, scene.items, strict=True)
    ]
    files.region_descriptions.append({"id": image, "regions": regions})
    _add_questions(files, scene, level, things, regions, size, np.random.default_rng([seed, index, 3]))


def _relate_neighbours(scene: Scene, things: list[Json], image: int) -> list[Json]:
    """Each item and its nearest neighbour: left of, right of, above, below."""
    found = []
    for i, item in enumerate(scene.items):
        others = [j for j in range(len(scene.items)) if j != i]
        if not others:
            continue
        j = min(others, key=lambda o: abs(scene.items[o].x - item.x) + abs(scene.items[o].y - item.y))
        dx, dy = item.x - scene.items[j].x, item.y - scene.items[j].y
        word = ("left of" if dx < 0 else "right of") if abs(dx) > abs(dy) else ("above" if dy < 0 else "below")
        number = image * 1000 + i
        subject, target = (_name_thing(things[k]) for k in (i, j))
        row = {
            "relationship_id": number,
            "predicate": word,
            "synsets": [],
            "subject": subject,
            "object": target,
        }
        found.append(row)
    return found


def _name_thing(thing: Json) -> Json:
    return {**{k: v for k, v in thing.items() if k != "names"}, "name": thing["names"][0]}


def _add_questions(
    files: Files,
    scene: Scene,
    level: Level,
    things: list[Json],
    regions: list[Json],
    size: int,
    rng: np.random.Generator,
) -> None:
    image = files.image_data[-1]["image_id"]
    rows: list[Json] = []
    asked: set[str] = set()
    for kind in KINDS:
        question = ask(kind, scene, level, rng)
        # Whether the letters asked for are too small even in the full picture.
        if (
            question is None
            or question.text in asked
            or (question.kind == "read" and scene.items[question.targets[0]].text_height * size < LEGIBLE)
        ):
            continue
        asked.add(question.text)
        number = image * 1000 + len(rows)
        about = [_name_thing(things[i]) for i in question.targets]
        rows.append(
            {
                "qa_id": number,
                "image_id": image,
                "question": question.text,
                "answer": question.answer,
                "q_objects": about,
                "a_objects": [],
            }
        )
        group = group_of(question, scene, MACRO_SIDE)
        files.question_kinds[str(number)] = {"kind": question.kind, "needs": group}
        if len(question.targets) == 1:
            files.qa_to_region_mapping[str(number)] = regions[question.targets[0]]["region_id"]
    files.question_answers.append({"id": image, "qas": rows})
