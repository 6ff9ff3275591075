"""A tiny Visual Genome that holds one of every quirk of the real one, and the count that each must lead to."""

import json
import zipfile
from pathlib import Path
from typing import Any

from PIL import Image

Json = dict[str, Any]

COUNTS = {
    "attributes: of no known picture": 1,
    "attributes: of no object": 1,
    "image_data: no id or size": 1,
    "image_data: one file under two ids": 1,
    "image_data: picture listed twice": 1,
    "objects: box is no numbers": 1,
    "objects: entry is no object": 1,
    "objects: id used twice": 1,
    "objects: marked twice": 1,
    "objects: negative corner, clipped": 1,
    "objects: numbers as text": 1,
    "objects: object without id or name": 1,
    "objects: outside the picture": 1,
    "objects: past the border, clipped": 1,
    "objects: zero size": 1,
    "pictures: another size than the tables say": 1,
    "pictures: corrupt": 1,
    "pictures: cut off or damaged": 1,
    "pictures: missing": 1,
    "pictures: usable": 1,
    "qa_to_region_mapping: no ids": 1,
    "question_answers: asked twice": 1,
    "question_answers: id used twice": 1,
    "question_answers: no id, question or answer": 1,
    "region_descriptions: id used twice": 1,
    "region_descriptions: negative corner, clipped": 1,
    "relationships: of no object": 1,
    "curation: dropped, several things of that name, not told apart": 1,
    "curation: dropped, the answer is a sentence": 1,
    "curation: dropped, nothing is marked in its picture": 4,
    "curation: dropped, names things, linked to none": 1,
}


def thing(number: int, x: Any, y: Any, w: Any, h: Any, *names: str) -> Json:
    return {"object_id": number, "x": x, "y": y, "w": w, "h": h, "names": list(names), "synsets": []}


OBJECTS = [
    thing(1, 100, 100, 20, 20, "cup"),
    thing(2, 200, 200, 20, 20, "plate"),
    thing(3, 300, 200, 20, 20, "plate"),
    {"id": 4, "x": "40", "y": 40, "w": 20, "h": 20, "name": "dog"},
    thing(5, -4, 10, 20, 20, "fence"),
    thing(6, 390, 10, 40, 20, "pole"),
    thing(7, 500, 10, 20, 20, "ghost"),
    thing(8, 10, 10, 0, 20, "line"),
    thing(9, None, 10, 5, 20, "nothing"),
    thing(10, 10, 60, 5, 20),
    thing(1, 10, 90, 5, 20, "clash"),
    thing(11, 100, 100, 20, 20, "cup"),
    thing(12, 150, 250, 20, 20, "café au lait"),
    "not an object",
]
QUESTIONS: list[Json] = [
    {"qa_id": 1, "question": "What is on the cup?", "answer": "A star.", "q_objects": [OBJECTS[0]]},
    {"qa_id": 2, "question": "What is on the plate?", "answer": "Bread.", "q_objects": [OBJECTS[1]]},
    {"qa_id": 3, "question": "What IS on  the cup?", "answer": "A star.", "q_objects": [OBJECTS[0]]},
    {"qa_id": 1, "question": "What colour is the dog?", "answer": "Brown."},
    {"qa_id": 5, "question": "Why?", "answer": ""},
    {"qa_id": 6, "question": "Who drinks?", "answer": "One does not know who is the one that drinks here."},
    {"qa_id": 7, "question": "What is written on the café au lait?", "answer": "Zoë"},
    {"qa_id": 8, "question": "Is a plate by the dog?", "answer": "Yes"},
    {"id": 9, "question": "What is in the corner?", "answer": "Ink"},
    {"qa_id": 10, "question": "What is the weather like?", "answer": "Sunny."},
]


def tables() -> Json:
    """The content of every file."""
    place = "https://example.org/VG_100K/"
    sizes: Json = {"width": 400, "height": 300}
    pictures: list[Json] = [{"image_id": i, "url": f"{place}{i}.jpg", **sizes} for i in range(1, 6)]
    pictures += [
        {"image_id": 6, "url": f"{place}1.jpg", **sizes},
        {"image_id": 1, "url": f"{place}1b.jpg", **sizes},
        {"image_id": 7, "url": f"{place}7.jpg", "width": 0, "height": 5},
    ]
    asked = [{"id": i, "qas": [{"qa_id": 100 + i, "question": "What is it?", "answer": "Art"}]} for i in range(2, 6)]
    regions = [
        {"region_id": 1, "image": 1, "x": -2, "y": 30, "width": 20, "height": 20, "phrase": "ink"},
        {"region_id": 1, "image": 1, "x": 2, "y": 30, "width": 20, "height": 20, "phrase": "ink again"},
    ]
    return {
        "image_data": pictures,
        "objects": [{"image_id": 1, "objects": OBJECTS}],
        "attributes": [
            {"image_id": 1, "attributes": [{"object_id": 1, "attributes": ["red"]}, {"attributes": ["lost"]}]},
            {"image_id": 99, "attributes": []},
        ],
        "relationships": [{"image_id": 1, "relationships": [{"predicate": "on", "subject": {}, "object": None}]}],
        "region_descriptions": [{"id": 1, "regions": regions}],
        "question_answers": [{"id": 1, "qas": QUESTIONS}, *asked],
        "qa_to_region_mapping": {"9": 1, "x": 3},
    }


def write_quirks(folder: Path, *, zipped: bool = False, suffix: str = "", backwards: bool = False) -> Path:
    """Write the files and pictures. `backwards`: every list begins with its last picture."""
    (folder / "VG_100K").mkdir(parents=True)
    for name, content in tables().items():
        turned = content[::-1] if backwards and isinstance(content, list) else content
        text = json.dumps(turned)
        if zipped:
            with zipfile.ZipFile(folder / f"{name}{suffix}.json.zip", "w") as archive:
                archive.writestr(f"data/{name}.json", text)
        else:
            (folder / f"{name}{suffix}.json").write_text(text)
    Image.new("RGB", (400, 300)).save(folder / "VG_100K" / "1.jpg")
    Image.effect_noise((400, 300), 90).save(folder / "VG_100K" / "2.jpg")
    whole = (folder / "VG_100K" / "2.jpg").read_bytes()
    (folder / "VG_100K" / "2.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "VG_100K" / "3.jpg").write_bytes(b"not a picture")
    Image.new("RGB", (200, 300)).save(folder / "VG_100K" / "4.jpg")
    return folder
