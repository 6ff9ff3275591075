"""The synthetic world: the same every time, drawn where it says, asked about without ambiguity."""

from collections import Counter

import cv2
import numpy as np
import pytest

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.questions import ask, group_of
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import COLOURS, FULL, SMALL, SPLITS, Item, Level, Scene, draw_scene
from zoomagent.training.nano.branches import KINDS
from zoomagent.training.nano.located import crop_region, true_box

LEVELS = pytest.mark.parametrize("level", [SMALL, FULL], ids=lambda level: level.name)


@LEVELS
def test_a_scene_is_a_function_of_level_seed_and_index(level: Level) -> None:
    assert draw_scene(level, 3, 4) == draw_scene(level, 3, 4)
    assert len({draw_scene(level, 3, i) for i in range(20)} | {draw_scene(level, 4, i) for i in range(20)}) == 40


@LEVELS
def test_items_lie_inside_and_apart(level: Level) -> None:
    for index in range(30):
        items = draw_scene(level, 1, index).items
        assert 3 <= len(items) <= level.items[1]
        for i, a in enumerate(items):
            assert min(a.box) >= 0 and max(a.box) <= 1
            assert level.sizes[0] <= a.size <= level.sizes[1] + 1e-9
            for b in items[:i]:
                assert max(abs(a.x - b.x), abs(a.y - b.y)) > (a.size + b.size) / 2


def test_sizes_of_the_full_world_span_one_to_thirty_percent() -> None:
    sizes = [item.size for i in range(150) for item in draw_scene(FULL, 1, i).items]
    assert min(sizes) < 0.011 and max(sizes) > 0.25


def test_splits_never_share_a_seed() -> None:
    starts = sorted(SPLITS.values())
    assert all(b - a >= 1_000_000 for a, b in zip(starts, starts[1:], strict=False))


@pytest.mark.parametrize("shape", FULL.shapes)
def test_a_drawn_shape_is_found_again_at_its_box(shape: str) -> None:
    item = Item(shape, "red", 0.42, 0.63, 0.2, "", 0, 0)  # type: ignore[arg-type]
    view = render(Scene(1, "plain", "gray", (item,)), 400, 400)
    ys, xs = np.nonzero(np.abs(view.astype(int) - COLOURS["red"]).sum(-1) < 60)
    found = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / 400
    assert np.abs(found - item.box).max() < 0.016


@pytest.mark.parametrize("ground", ["plain", "textured", "cluttered", "noisy"])
def test_a_direct_view_looks_like_the_resized_full_picture(ground: str) -> None:
    scene = Scene(5, ground, "brown", draw_scene(SMALL, 2, 1).items)  # type: ignore[arg-type]
    full = render(scene, 2048, 2048, full_side=2048)
    region = (0.25, 0.5, 0.5, 0.75)
    resized = cv2.resize(full[1024:1536, 512:1024], (80, 80), interpolation=cv2.INTER_AREA)
    direct = render(scene, 80, 80, region, full_side=2048)
    assert np.abs(resized.astype(float) - direct).mean() < 6


@LEVELS
def test_answers_are_true_and_questions_unambiguous(level: Level) -> None:
    rng = np.random.default_rng(0)
    for index in range(60):
        scene = draw_scene(level, 9, index)
        names = Counter(item.name for item in scene.items)
        for kind in KINDS:
            question = ask(kind, scene, level, rng)
            if question is None:
                continue
            about = [scene.items[i] for i in question.targets]
            if kind == "read":
                assert question.answer == about[0].text and names[about[0].name] == 1
                assert about[0].name in question.text
            elif kind == "absent":
                assert question.answer == CANNOT_TELL
                assert not any(f"the {name}?" in question.text for name in names)
            elif kind == "count":
                assert int(question.answer) == len(about)
            elif kind == "side":
                assert (question.answer == "Left") == (about[0].x < 0.5)
            elif kind == "relation":
                a, b = about
                true = {
                    "left": a.x < b.x, "right": a.x > b.x, "above": a.y < b.y, "below": a.y > b.y,
                    "larger": a.size > b.size,
                }  # fmt: skip
                [word] = set(true) & set(question.text.split())
                assert (question.answer == "Yes") == true[word]
            elif kind == "presence":
                assert (question.answer == "Yes") == bool(about)
            elif kind in ("colour", "shape"):
                assert question.answer in about[0].name.split()


def test_close_means_the_letters_are_too_small_in_the_whole_view() -> None:
    rng, seen = np.random.default_rng(1), set()
    for index in range(80):
        scene = draw_scene(SMALL, 2, index)
        question = ask("read", scene, SMALL, rng)
        if question:
            height = scene.items[question.targets[0]].text_height * 128
            group = group_of(question, scene, 128)
            assert (group == "close") == (height < 6.5)
            seen.add(group)
    assert seen == {"close", "global"}


def test_a_crop_holds_the_box_it_was_made_for() -> None:
    rng = np.random.default_rng(1)
    for index in range(40):
        scene = draw_scene(SMALL, 2, index)
        question = ask("read", scene, SMALL, rng)
        if question:
            box, crop = true_box(question, scene), crop_region(true_box(question, scene))
            assert crop[0] <= box[0] and crop[1] <= box[1] and crop[2] >= box[2] and crop[3] >= box[3]
            assert min(crop) >= 0 and max(crop) <= 1
