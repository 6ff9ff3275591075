"""Rival procedures do what their authors say, find what a truthful model lets them find, and keep to a budget."""

import asyncio
from dataclasses import dataclass, replace

import numpy as np
import pytest
from fake_model import FAKE_PROFILE, FakeModel
from PIL import Image
from tiny_checkpoint import save_tiny
from truthful_model import Truth, last_text

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.questions import Question
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import Item, Scene
from zoomagent.errors import RunError, SettingInvalid
from zoomagent.evaluation.rivals.asking import Desk, Procedure, RivalAnswer
from zoomagent.evaluation.rivals.p2r import p2r
from zoomagent.evaluation.rivals.tiling import depth_for, tiles, tiling_to
from zoomagent.evaluation.rivals.vicrop import attention, sharpest, to_box, vicrop
from zoomagent.evaluation.rivals.zoomeye import PER_ROUND, Region, Search, parts, zoomeye, zoomeye_with
from zoomagent.geometry import Box, Size, coverage
from zoomagent.graphs.context import Budget
from zoomagent.media import open_picture
from zoomagent.models.local.in_process import InProcessModel
from zoomagent.prompts import CLOSER, CUES, MARKED, SEE, VISIBLE
from zoomagent.tools.viewing import ViewStore

SIDE = 1024
PROFILE = replace(FAKE_PROFILE, multiple=16, min_pixels=16 * 16, max_pixels=128 * 128, crop_pixels=80 * 80, min_side=16)
NEAR = Item("circle", "red", 0.72, 0.30, 0.08, "47", 0, 0)
"""10 pixels in the whole: seen there, its letters (4 pixels) are not."""
FAR = Item("square", "blue", 0.31, 0.81, 0.03, "83", 0, 0)
"""4 pixels in the whole: not seen there."""
SCENE = Scene(1, "plain", "gray", (NEAR, FAR))
READ_NEAR = Question("What is written on the red circle?", "47", "read", (0,), ("red circle",))
READ_FAR = Question("What is written on the blue square?", "83", "read", (1,), ("blue square",))
BACKGROUND = Question("What colour is the background?", "gray", "ground")
LEFT_OF = Question(
    "Is the blue square left of the red circle?", "Yes", "relation", (1, 0), ("blue square", "red circle")
)
ABSENT = Question("What is written on the green star?", CANNOT_TELL, "absent", (), ("green star",))


@dataclass(frozen=True)
class Trial:
    """What came of a question, and what the model was asked."""

    tried: RivalAnswer
    model: FakeModel

    def asked(self, start: str) -> int:
        """How many calls ended with a prompt that starts so."""
        return sum(last_text(call).startswith(start) for call in self.model.history)


def attempt(
    procedure: Procedure,
    question: Question,
    options: tuple[str, ...] = (),
    budget: Budget = Budget(calls=500),  # noqa: B008
) -> Trial:
    with open_picture(render(SCENE, SIDE, SIDE, full_side=SIDE)) as picture:
        views = ViewStore(picture, PROFILE)
        truth = Truth(SCENE, question, views, options)
        model = FakeModel(profile=PROFILE, respond=truth.reply, respond_score=truth.scores)
        return Trial(asyncio.run(procedure(model, views, question.text, options, budget)), model)


def on_red(procedure: Procedure, model: FakeModel) -> RivalAnswer:
    """A question about a red picture."""
    with open_picture(Image.new("RGB", (512, 512), "red")) as picture:
        return asyncio.run(procedure(model, ViewStore(picture, PROFILE), "What colour?", (), Budget()))


def pixels_of(item: Item) -> Box:
    x0, y0, x1, y1 = (round(edge * SIDE) for edge in item.box)
    return Box(x0, y0, x1, y1)


EVERY: list[Procedure] = [zoomeye, p2r, tiling_to(2)]


@pytest.mark.parametrize("procedure", EVERY)
@pytest.mark.parametrize("options", [(), ("12", "47", CANNOT_TELL)])
def test_every_rival_reads_what_only_a_close_view_shows(procedure: Procedure, options: tuple[str, ...]) -> None:
    tried = attempt(procedure, READ_NEAR, options).tried
    assert tried.text == "47" and tried.used_crop and tried.crops >= 1
    assert coverage(pixels_of(NEAR), Box(*tried.boxes[0])) > 0.9


@pytest.mark.parametrize("procedure", EVERY)
def test_every_rival_leaves_a_question_about_the_whole_to_the_whole(procedure: Procedure) -> None:
    tried = attempt(procedure, BACKGROUND).tried
    assert tried.text == "gray" and not tried.used_crop and tried.boxes == ()


@pytest.mark.parametrize("procedure", EVERY)
def test_no_rival_finds_what_is_not_there(procedure: Procedure) -> None:
    assert attempt(procedure, ABSENT).tried.text == "Cannot tell"


@pytest.mark.parametrize("procedure", EVERY)
def test_the_bill_is_what_the_model_was_asked(procedure: Procedure) -> None:
    trial = attempt(procedure, READ_NEAR)
    shown = [view for call in trial.model.history for view in call.views]
    assert trial.tried.calls == len(trial.model.history)
    assert trial.tried.visual_tokens == sum(view.image.width * view.image.height // 16**2 for view in shown)


@pytest.mark.parametrize("procedure", EVERY)
def test_no_view_has_more_pixels_than_the_model_takes(procedure: Procedure) -> None:
    views = [view.image for call in attempt(procedure, READ_NEAR).model.history for view in call.views]
    assert max(image.width * image.height for image in views) <= PROFILE.max_pixels


@pytest.mark.parametrize("procedure", EVERY)
@pytest.mark.parametrize("calls", [2, 5, 11, 30])
def test_no_rival_spends_more_calls_than_it_has(procedure: Procedure, calls: int) -> None:
    assert attempt(procedure, READ_FAR, budget=Budget(calls=calls)).tried.calls <= calls


def test_a_spent_budget_is_told_before_the_call() -> None:
    with pytest.raises(RunError) as caught:
        attempt(p2r, READ_NEAR, budget=Budget(calls=1))
    assert caught.value.code == "budget_calls"
    with pytest.raises(RunError) as caught:
        attempt(p2r, READ_NEAR, budget=Budget(visual_tokens=70))
    assert caught.value.code == "budget_visual_tokens"


# ZoomEye


def test_zoomeye_finds_what_the_whole_does_not_show() -> None:
    tried = attempt(zoomeye, READ_FAR).tried
    assert tried.text == "83" and coverage(pixels_of(FAR), Box(*tried.boxes[0])) > 0.9


def test_zoomeye_asks_three_questions_and_names_its_cues_once() -> None:
    trial = attempt(zoomeye, READ_FAR)
    pops = trial.asked(VISIBLE)
    assert trial.asked(CUES) == 1
    assert trial.asked(SEE) == trial.asked(CLOSER) == 4 * (pops - 1)
    assert trial.tried.calls == 2 + pops + 8 * (pops - 1) <= 2 + PER_ROUND * pops


def test_zoomeye_searches_each_cue_and_answers_from_all_of_them() -> None:
    trial = attempt(zoomeye, LEFT_OF)
    assert trial.asked(VISIBLE) == 0
    assert [
        coverage(pixels_of(item), Box(*box)) > 0.9 for item, box in zip((FAR, NEAR), trial.tried.boxes, strict=True)
    ]


def test_zoomeye_gives_up_sooner_the_longer_it_has_looked() -> None:
    patient, hasty = (attempt(zoomeye_with(Search(smallest=128, step=step)), ABSENT) for step in (0.05, 0.5))
    assert hasty.asked(VISIBLE) < patient.asked(VISIBLE) <= 3 * 3 + 2 * 6


def test_parts_cover_their_region_and_long_regions_are_cut_across() -> None:
    for box in (Box(0, 0, 101, 103), Box(5, 5, 500, 45), Box(0, 0, 30, 900)):
        boxes = [part.box for part in parts(Region(box, 1))]
        assert sum(part.area for part in boxes) == box.area and len(boxes) == 4
        assert all(coverage(part, box) == 1 for part in boxes)
    assert {part.box.height for part in parts(Region(Box(0, 0, 400, 40), 0))} == {40}


# P2R


def test_p2r_asks_twice_and_shows_the_marked_whole_with_a_crop() -> None:
    trial = attempt(p2r, READ_NEAR)
    second = trial.model.history[1]
    assert trial.tried.calls == 2 and trial.asked(MARKED) == 1
    before, marked, crop = (view.image for view in second.views)
    assert np.any(np.asarray(before) != np.asarray(marked)) and crop.width * crop.height <= PROFILE.crop_pixels


@pytest.mark.parametrize("pointed", ["[]", "[0, 0, 1000, 1000]", "nowhere", "[5, 5, 1, 1]"])
def test_p2r_takes_no_region_for_the_whole_picture(pointed: str) -> None:
    model = FakeModel(profile=PROFILE)
    model.enqueue([pointed, "red"])
    tried = on_red(p2r, model)
    assert tried.text == "red" and not tried.used_crop and len(model.history[1].views) == 1


def test_p2r_shows_several_regions_but_no_more_than_the_model_takes() -> None:
    model = FakeModel(profile=PROFILE)
    model.enqueue([" ".join(f"[{50 * i}, 100, {50 * i + 40}, 200]" for i in range(15)), "red"])
    tried = on_red(p2r, model)
    assert len(model.history[1].views) == PROFILE.max_images and len(tried.boxes) == PROFILE.max_images - 2


# Tiling


@pytest.mark.parametrize("size", [Size(1000, 1000), Size(1037, 511)])
def test_tiles_show_every_small_thing_whole_and_large(size: Size) -> None:
    boxes = list(tiles(size, 2))
    assert len(boxes) == 9 + 49
    rng = np.random.default_rng(1)
    for _ in range(200):
        width, height = size.width // 9, size.height // 9
        x, y = int(rng.integers(size.width - width)), int(rng.integers(size.height - height))
        thing = Box(x, y, x + width, y + height)
        assert any(coverage(thing, box) == 1 and box.width <= size.width / 4 + 2 for box in boxes)


def test_the_depth_is_the_least_at_which_letters_are_legible() -> None:
    for letters in (0.0064, 0.022, 0.1):
        depth = depth_for(letters, 128, 6.5)
        assert letters * 128 * 2**depth >= 6.5
        assert depth == 1 or letters * 128 * 2 ** (depth - 1) < 6.5


def test_tiling_costs_a_call_for_each_tile_and_one_for_the_choice() -> None:
    assert attempt(tiling_to(2), READ_NEAR).tried.calls == 1 + 9 + 49 + 1


# ViCrop


def test_the_sharpest_window_is_where_the_weight_is() -> None:
    weights = np.full((8, 8), 0.1)
    weights[5:7, 1:3] = 1.0
    window = sharpest(weights, base=0.25)
    assert (window.row, window.column, window.rows, window.columns) == (5, 1, 2, 2)
    assert to_box(window, weights.shape, Size(800, 400)) == Box(100, 250, 300, 350)


def test_vicrop_needs_a_model_in_this_process() -> None:
    with pytest.raises(SettingInvalid, match="attention"):
        attempt(vicrop, READ_NEAR)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> InProcessModel:
    return InProcessModel(str(save_tiny(tmp_path_factory.mktemp("tiny"))), name="tiny")


def test_attention_is_over_the_view_and_leaves_the_model_as_it_was(tiny: InProcessModel) -> None:
    with open_picture(Image.radial_gradient("L").resize((256, 128)).convert("RGB")) as picture:
        desk = Desk(tiny, ViewStore(picture, tiny.profile), Budget())

        async def both() -> tuple[object, ...]:
            messages = [await desk.user([desk.whole], "What?")]
            before = await tiny.generate(messages, max_tokens=4)
            weights = await attention(tiny, messages, 0)
            tiny.forget()
            return weights, before, await tiny.generate(messages, max_tokens=4)

        weights, before, after = asyncio.run(both())
    rows, columns = np.asarray(weights).shape
    size = desk.views.record(desk.whole)["size"]
    assert (columns * tiny.profile.multiple, rows * tiny.profile.multiple) == tuple(size)
    assert 0 < float(np.asarray(weights).sum()) < 1 and before == after


def test_vicrop_looks_twice_and_answers_once(tiny: InProcessModel) -> None:
    with open_picture(Image.radial_gradient("L").resize((512, 512)).convert("RGB")) as picture:
        tried = asyncio.run(vicrop(tiny, ViewStore(picture, tiny.profile), "What?", (), Budget()))
    assert tried.calls == 3 and tried.used_crop and len(tried.boxes) == 1 and tried.crops == 1
