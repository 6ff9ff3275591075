"""The packaged example is what it is said to be: drawn by its own command, small, and too small to be pointed at."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import zoomagent
from zoomagent.data.world.questions import SMALLEST
from zoomagent.data.world.scene import LEVELS, SPLITS, draw_scene
from zoomagent.data.world.writing import MACRO_SIDE

EXAMPLE = Path(zoomagent.__file__).parent / "data" / "example"
SCRIPT = Path(__file__).parent.parent / "benchmarks" / "make_scene.py"


@pytest.fixture(scope="module")
def asked() -> dict[str, Any]:
    told: dict[str, Any] = json.loads((EXAMPLE / "question.json").read_text())
    return told


def test_the_example_is_drawn_by_the_command_it_names(asked: dict[str, Any]) -> None:
    spec = importlib.util.spec_from_file_location("make_scene", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    _, _, _, _, level, _, seed, _, index = asked["made_by"].split()
    scene = draw_scene(LEVELS[level], SPLITS["test"] + int(seed), int(index))
    assert script.described(scene, level, int(seed), int(index)) == asked


def test_the_example_is_a_4k_picture_that_is_quickly_fetched() -> None:
    assert (EXAMPLE / "scene.jpg").stat().st_size <= 1.5e6
    with Image.open(EXAMPLE / "scene.jpg") as scene:
        assert scene.size == (4096, 4096)


def test_what_is_asked_about_is_too_small_to_be_pointed_at_from_the_whole(asked: dict[str, Any]) -> None:
    left, _, right, _ = asked["box"]
    assert (right - left) * MACRO_SIDE / 4096 < SMALLEST
