"""The world writes Visual Genome's own files."""

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from zoomagent.data.world.scene import FULL, SMALL
from zoomagent.data.world.writing import write_world

FIELDS = {
    "image_data": {"image_id", "url", "width", "height", "coco_id", "flickr_id"},
    "objects": {"image_id", "image_url", "objects"},
    "attributes": {"image_id", "attributes"},
    "relationships": {"image_id", "relationships"},
    "region_descriptions": {"id", "regions"},
    "question_answers": {"id", "qas"},
}


def load(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world")
    write_world(out, FULL, 3, 3, 512)
    return out


@pytest.mark.parametrize("name", FIELDS)
def test_each_file_has_visual_genomes_fields(world: Path, name: str) -> None:
    rows = load(world, name)
    assert len(rows) == 3 and all(set(row) == FIELDS[name] for row in rows)


def test_boxes_are_integers_inside_the_picture(world: Path) -> None:
    for row in load(world, "objects"):
        for thing in row["objects"]:
            x, y, w, h = (thing[k] for k in "xywh")
            assert all(isinstance(v, int) for v in (x, y, w, h))
            assert 0 <= x < x + w <= 512 + 1 and 0 <= y < y + h <= 512 + 1


def test_questions_point_to_objects_and_regions_that_exist(world: Path) -> None:
    objects = {t["object_id"] for row in load(world, "objects") for t in row["objects"]}
    regions = {r["region_id"] for row in load(world, "region_descriptions") for r in row["regions"]}
    questions = {q["qa_id"]: q for row in load(world, "question_answers") for q in row["qas"]}
    assert len(questions) >= 15
    assert all(o["object_id"] in objects for q in questions.values() for o in q["q_objects"])
    mapping = load(world, "qa_to_region_mapping")
    assert mapping and all(int(q) in questions and r in regions for q, r in mapping.items())
    assert set(load(world, "question_kinds")) == {str(q) for q in questions}


def test_pictures_have_the_size_the_files_say(world: Path) -> None:
    for row in load(world, "image_data"):
        picture = cv2.imread(str(world / row["url"]))
        assert picture is not None and picture.shape == (row["height"], row["width"], 3)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    hashes = []
    for name in ("a", "b"):
        write_world(tmp_path / name, SMALL, 8, 2, 256)
        files = sorted((tmp_path / name).rglob("*.*"))
        hashes.append([hashlib.sha256(f.read_bytes()).hexdigest() for f in files])
    assert hashes[0] == hashes[1] and len(hashes[0]) == 10
