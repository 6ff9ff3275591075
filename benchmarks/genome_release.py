"""Files of the full release's size and shape, without pictures: to measure memory and speed with, and nothing else.

    python benchmarks/genome_release.py OUT --images 108077
    zoomagent data trajectories OUT SET --no-check

A picture has as many objects, attributes, relations, regions and questions as Visual Genome 1.4 has on average, and one
region in a thousand begins before the picture, as in the release. Words are drawn from short lists, so what a question
says is true of nothing. Written row by row. Left out: pictures; for those `zoomagent data world`.
"""

import argparse
import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import orjson

Json = dict[str, Any]

PICTURES = 108_077
"""Pictures of the release; the counts per picture below are its totals over this."""
OBJECTS, ATTRIBUTES, RELATIONS, REGIONS, QUESTIONS = 35, 26, 21, 50, 16
NEGATIVE = 0.001
"""Share of regions with a negative corner: 5,654 of 5,408,689 (visual_genome_python_driver#21)."""
NAMES = (
    "man", "woman", "tree", "car", "shirt", "sign", "window", "table", "chair", "dog", "cat", "cup", "plate",
    "bag", "clock", "lamp", "book", "phone", "wheel", "door", "hat", "shoe", "bench", "pole", "fence", "bird",
    "boat", "train", "bus", "horse", "cow", "sheep", "umbrella", "kite", "ball", "glove", "bat", "helmet",
    "bottle", "vase", "pillow", "mirror", "laptop",
)  # fmt: skip
ATTRIBUTES_OF = (
    "red",
    "green",
    "blue",
    "white",
    "black",
    "brown",
    "small",
    "large",
    "wooden",
    "metal",
    "round",
    "striped",
)
PREDICATES = ("on", "near", "under", "holding", "wearing", "behind", "with", "next to")
LISTS = ("image_data", "objects", "attributes", "relationships", "region_descriptions", "question_answers")


def write_release(
    out: Path, pictures: int, seed: int, progress: Callable[[int], None] = lambda done: None
) -> dict[str, int]:
    """Write the seven files into `out`; the bytes of each, by name."""
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files = {name: stack.enter_context((out / f"{name}.json").open("wb")) for name in LISTS}
        mapping = stack.enter_context((out / "qa_to_region_mapping.json").open("wb"))
        for index in range(pictures):
            rows = picture_rows(index + 1, random.Random(f"{seed}|{index}"))
            pairs = rows.pop("qa_to_region_mapping")
            for name, row in rows.items():
                files[name].write((b"," if index else b"[") + orjson.dumps(row))
            _write_pairs(mapping, pairs, first=index == 0)
            progress(index + 1)
        for name in LISTS:
            files[name].write(b"]")
        mapping.write(b"}")
    return {file.name: file.stat().st_size for file in sorted(out.glob("*.json"))}


def _write_pairs(stream: IO[bytes], pairs: Json, first: bool) -> None:
    stream.write((b"{" if first else b",") + orjson.dumps(pairs)[1:-1])


def picture_rows(image: int, rng: random.Random) -> Json:
    """One picture's row of every table; `qa_to_region_mapping` is its part of the mapping."""
    width, height = rng.choice(((500, 375), (800, 600), (1024, 768), (375, 500)))
    things = [_thing(image * 100 + i, width, height, rng) for i in range(OBJECTS)]
    regions = [_region(image, image * 100 + i, things, rng) for i in range(REGIONS)]
    questions = [_question(image, image * 20 + i, things, rng) for i in range(QUESTIONS)]
    url, other = f"https://example.org/VG_100K/{image}.jpg", {"coco_id": None, "flickr_id": None}
    mapping = {str(one["qa_id"]): rng.choice(regions)["region_id"] for one in questions[: QUESTIONS // 2]}
    return {
        "image_data": {"image_id": image, "url": url, "width": width, "height": height, **other},
        "objects": {"image_id": image, "image_url": url, "objects": things},
        "attributes": {
            "image_id": image,
            "attributes": [{**t, "attributes": [rng.choice(ATTRIBUTES_OF)]} for t in things[:ATTRIBUTES]],
        },
        "relationships": {
            "image_id": image,
            "relationships": [_relation(image * 100 + i, things, rng) for i in range(RELATIONS)],
        },
        "region_descriptions": {"id": image, "regions": regions},
        "question_answers": {"id": image, "qas": questions},
        "qa_to_region_mapping": mapping,
    }


def _thing(number: int, width: int, height: int, rng: random.Random) -> Json:
    w, h = (max(4, round(side * rng.uniform(0.03, 0.9) ** 2)) for side in (width, height))
    name = rng.choice(NAMES)
    box = {"x": rng.randint(0, width - w), "y": rng.randint(0, height - h), "w": w, "h": h}
    return {"synsets": [f"{name}.n.01"], "object_id": number, "merged_object_ids": [], "names": [name], **box}


def _named(thing: Json) -> Json:
    return {**{key: value for key, value in thing.items() if key != "names"}, "name": thing["names"][0]}


def _relation(number: int, things: list[Json], rng: random.Random) -> Json:
    subject, target = rng.sample(things, 2)
    return {
        "relationship_id": number,
        "predicate": rng.choice(PREDICATES),
        "synsets": ["along.r.01"],
        "subject": _named(subject),
        "object": _named(target),
    }


def _region(image: int, number: int, things: list[Json], rng: random.Random) -> Json:
    thing = rng.choice(things)
    words = f"{rng.choice(ATTRIBUTES_OF)} {thing['names'][0]} {rng.choice(PREDICATES)} the {rng.choice(NAMES)}"
    x = -rng.randint(1, 3) if rng.random() < NEGATIVE else thing["x"]
    box = {"x": x, "y": thing["y"], "width": thing["w"], "height": thing["h"]}
    return {"region_id": number, "image_id": image, **box, "phrase": words, "synsets": []}


def _question(image: int, number: int, things: list[Json], rng: random.Random) -> Json:
    thing = rng.choice(things)
    text = rng.choice(
        ("What color is the {}?", "What is the {} made of?", "What is written on the {}?", "Where is the {}?")
    )
    about = [_named(thing)] if rng.random() < 0.5 else []
    return {
        "qa_id": number,
        "image_id": image,
        "question": text.format(thing["names"][0]),
        "answer": rng.choice(ATTRIBUTES_OF).capitalize() + ".",
        "q_objects": about,
        "a_objects": [],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write into")
    parser.add_argument("--images", type=int, default=1000, help="108077 are as many as the release has")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same bytes")
    given = parser.parse_args()
    sizes = write_release(given.out, given.images, given.seed)
    print(f"{given.images} pictures' tables, {sum(sizes.values()) / 1e6:.0f} MB, in {given.out}")
