"""The synthetic world in the files of the published sets, quirks included, so that one pipeline serves both.

    write_set("refcoco", Path("OUT"), scenes=4, seed=1)

Pictures are drawn; of clips and sounds only the annotations are written: when each thing of a scene appears, and where
what sounds is. Same arguments, same bytes. The refs file is written as text opcodes by hand: nothing is pickled.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson

from zoomagent.data.grounding.annotation import Kind
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import SMALL, Item, Scene, draw_scene

SIDE = 512


def write_set(kind: Kind, out: Path, scenes: int = 4, seed: int = 1) -> None:
    """Write a small set into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    drawn = [draw_scene(SMALL, seed, index) for index in range(scenes)]
    if kind in ("refcoco", "flickr30k"):
        for number, scene in enumerate(drawn):
            cv2.imwrite(str(out / f"{name_of(kind, number)}.jpg"), render(scene, SIDE, SIDE)[..., ::-1])
    match kind:
        case "refcoco":
            _write_refcoco(drawn, out)
        case "flickr30k":
            _write_flickr30k(drawn, out)
        case "vggss":
            rows = [
                {"file": f"clip{n:07d}_{n:06d}", "class": scene.items[0].name, "bbox": [list(scene.items[0].box)]}
                for n, scene in enumerate(drawn)
            ]
            rows += [{"file": "empty000000_000000", "class": "nothing", "bbox": [[0.5, 0.5, 0.5, 0.7]]}]
            (out / "vggss.json").write_bytes(orjson.dumps(rows))
        case _:
            _write_moments(kind, drawn, out, seed)


def name_of(kind: Kind, number: int) -> str:
    """The picture's name, without its ending."""
    return f"COCO_train2014_{number:012d}" if kind == "refcoco" else str(1000 + number)


def split_of(number: int) -> str:
    return ("train", "train", "val", "test")[number % 4]


def named_once(scene: Scene) -> list[Item]:
    """The things whose name fits no other thing: only these can be referred to."""
    names = [item.name for item in scene.items]
    return [item for item in scene.items if names.count(item.name) == 1]


def corners_of(item: Item) -> tuple[int, int, int, int]:
    left, top, right, bottom = (min(SIDE, max(0, round(SIDE * corner))) for corner in item.box)
    return left, top, right, bottom


def _write_refcoco(drawn: list[Scene], out: Path) -> None:
    boxes, shots, refs = list[Any](), list[Any](), list[Any]()
    for number, scene in enumerate(drawn):
        shots.append({"id": number, "file_name": f"{name_of('refcoco', number)}.jpg", "width": SIDE, "height": SIDE})
        for item in named_once(scene):
            left, top, right, bottom = corners_of(item)
            identity = len(boxes)
            boxes.append({"id": identity, "image_id": number, "bbox": [left, top, right - left, bottom - top]})
            said = [{"sent_id": identity, "sent": f"the {item.name}", "raw": f"The {item.name}.", "tokens": []}]
            # As in the real file, the picture's name has one number too many.
            name = f"{name_of('refcoco', number)}_{identity}.jpg"
            split = split_of(number).replace("test", "testA")
            ref = {"ref_id": identity, "ann_id": identity, "image_id": number, "file_name": name, "split": split}
            refs.append({**ref, "category_id": 1, "sent_ids": [identity], "sentences": said})
    (out / "instances.json").write_bytes(orjson.dumps({"images": shots, "annotations": boxes}))
    (out / "refs(unc).p").write_bytes(_opcodes(refs) + b".")


def _opcodes(value: Any) -> bytes:
    """A plain value in the opcodes of protocol 0 and 1."""
    if isinstance(value, dict):
        return b"(" + b"".join(_opcodes(one) for pair in value.items() for one in pair) + b"d"
    if isinstance(value, list):
        return b"(" + b"".join(map(_opcodes, value)) + b"l"
    if isinstance(value, int):
        return b"I%d\n" % value
    text = str(value).encode()
    return b"X" + len(text).to_bytes(4, "little") + text


def _write_flickr30k(drawn: list[Scene], out: Path) -> None:
    for folder in ("Sentences", "Annotations"):
        (out / folder).mkdir(exist_ok=True)
    sides: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number, scene in enumerate(drawn):
        name, items = name_of("flickr30k", number), named_once(scene)
        sides[split_of(number)].append(name)
        things = [f"[/EN#{10 * number + place + 1}/other a {item.name}]" for place, item in enumerate(items)]
        (out / "Sentences" / f"{name}.txt").write_text(
            f"There is {' and '.join(things)} on [/EN#0/notvisual the ground] .\n"
        )
        objects = ""
        for place, item in enumerate(items):
            left, top, right, bottom = corners_of(item)
            # Corners are counted from 1 there.
            box = f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax>"
            objects += f"<object><name>{10 * number + place + 1}</name><bndbox>{box}</bndbox></object>"
        size = f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size>"
        scene_only = "<object><name>999</name><scene>1</scene><nobndbox>1</nobndbox></object>"
        (out / "Annotations" / f"{name}.xml").write_text(f"<annotation>{size}{objects}{scene_only}</annotation>")
    for side, names in sides.items():
        (out / f"{side}.txt").write_text("\n".join(names) + "\n")


def _write_moments(kind: Kind, drawn: list[Scene], out: Path, seed: int) -> None:
    """Each thing appears for a while in a clip of 30 seconds."""
    rng = np.random.default_rng([seed, len(drawn)])
    lines, captions, rows = list[str](), dict[str, Any](), list[Any]()
    for number, scene in enumerate(drawn):
        start = int(rng.integers(0, 5))
        end = start + int(rng.integers(0, 6 - start))
        words, video = f"a {scene.items[0].name} appears.", f"CLIP{number}"
        lines.append(f"{video} {5 * start:.1f} {5 * end + 5:.1f}##{words}")
        captions[f"v_{video}"] = {
            "duration": 30.0,
            "timestamps": [[5 * start, 5 * end + 5.02]],
            "sentences": [f" {words}"],
        }
        rows.append(
            {
                "annotation_id": number,
                "video": f"{video}.mp4",
                "description": words,
                "num_segments": 6,
                "times": 4 * [[start, end]],
            }
        )
    if kind == "charades-sta":
        (out / "charades_sta_train.txt").write_text("\n".join(lines) + "\n")
    elif kind == "activitynet":
        (out / "train.json").write_bytes(orjson.dumps(captions))
    else:
        (out / "train_data.json").write_bytes(orjson.dumps(rows))
