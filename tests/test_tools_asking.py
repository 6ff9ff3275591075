"""Tools that ask the model: what is there, where it is, and whether it holds; with nothing made up."""

import asyncio
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from fake_model import FAKE_PROFILE, Call, FakeModel
from PIL import Image

from zoomagent.errors import BoxInvalid, ModelUnavailable, OutputTruncated
from zoomagent.geometry import Box
from zoomagent.media import Picture, open_picture
from zoomagent.models.base import Likelihood, Message, Reply, Text
from zoomagent.prompts import SEE, TAGS, ground_prompt, holds_prompt
from zoomagent.tools.cropping import crop
from zoomagent.tools.grounding import ground
from zoomagent.tools.tagging import Tag, names_in, tag
from zoomagent.tools.verifying import against, holds, sees
from zoomagent.tools.viewing import ViewStore


@pytest.fixture(scope="module")
def picture() -> Iterator[Picture]:
    with open_picture(Image.new("RGB", (2000, 1000), "grey")) as opened:
        yield opened


@pytest.fixture
def views(picture: Picture) -> ViewStore:
    return ViewStore(picture, FAKE_PROFILE)


@pytest.fixture
def whole(views: ViewStore) -> str:
    return views.whole()["id"]


# Verify


def test_seeing_is_the_probability_of_yes_against_no(views: ViewStore, whole: str) -> None:
    model = FakeModel()
    model.enqueue_scores([[math.log(0.3), math.log(0.1)]])
    assert asyncio.run(sees(model, views, whole, "a red car")) == pytest.approx(0.75)
    [asked] = model.history
    assert asked.text == f"{SEE}a red car" and [view.key for view in asked.views] == [whole]
    assert asked.options["continuations"] == ("Yes", "No")


def test_holding_asks_with_question_and_answer(views: ViewStore, whole: str) -> None:
    model = FakeModel()
    model.enqueue_scores([[-0.5, -0.5]])
    assert asyncio.run(holds(model, views, whole, "How many?", "4")) == pytest.approx(0.5)
    assert model.history[0].text == holds_prompt("How many?", "4")


def test_without_likelihoods_there_is_no_number(views: ViewStore, whole: str) -> None:
    model = FakeModel()
    model.enqueue_scores([None, [math.nan, -1.0], [-1.0, -math.inf]])
    assert [asyncio.run(sees(model, views, whole, "x")) for _ in range(3)] == [None, None, None]


@pytest.mark.parametrize(("yes", "no", "p"), [(-1e9, 0, 0), (0, -1e9, 1), (-800, -800, 0.5), (5.0, -1e-9, 0.5)])
def test_any_likelihoods_give_a_probability(yes: float, no: float, p: float) -> None:
    assert against(Likelihood(yes, 1), Likelihood(no, 1)) == pytest.approx(p, abs=1e-6)


# Tag


def by_name(call: Call) -> list[float]:
    p = {"car": 0.9, "sign": 0.6, "whale": 0.05}[call.text.removeprefix(SEE)]
    return [math.log(p), math.log(1 - p)]


def test_labels_are_each_asked_for_and_the_surest_is_first(views: ViewStore, whole: str) -> None:
    model = FakeModel(respond_score=by_name)
    tags = asyncio.run(tag(model, views, whole, ["whale", "sign", "car"]))
    assert [(one.label, round(one.score or 0, 2)) for one in tags] == [("car", 0.9), ("sign", 0.6), ("whale", 0.05)]
    assert {call.method for call in model.history} == {"score"}


def test_without_labels_the_model_names_them_first(views: ViewStore, whole: str) -> None:
    model = FakeModel(respond=lambda call: "Car, sign, car.", respond_score=by_name)
    assert [one.label for one in asyncio.run(tag(model, views, whole))] == ["car", "sign"]
    assert model.history[0].text == TAGS


@pytest.mark.parametrize(
    ("reply", "names"),
    [
        ("Cannot tell.", []),
        ("", []),
        (" , ,\n;", []),
        ("1. car\n2) stop sign\n- dog\n* cat", ["car", "stop sign", "dog", "cat"]),
        ("7-eleven; t-shirt", ["7-eleven", "t-shirt"]),
        ("car, " + "x" * 100 + ", dog", ["car", "dog"]),
        (Reply("car, sign, teleph", "length"), ["car", "sign"]),
        (Reply("teleph", "length"), []),
        ("__import__('os'), car", ["__import__('os')", "car"]),
    ],
)
def test_names_are_read_out_of_any_reply(reply: str | Reply, names: list[str]) -> None:
    assert names_in(reply if isinstance(reply, Reply) else Reply(reply, "stop")) == names


def test_a_model_that_never_ends_gives_a_few_names() -> None:
    assert len(names_in(Reply(", ".join(f"thing {i}" for i in range(100_000)), "stop"))) <= 32


def test_unmeasured_tags_come_last_and_keep_no_number(views: ViewStore, whole: str) -> None:
    model = FakeModel(respond_score=lambda call: None if "car" in call.text else by_name(call))
    assert asyncio.run(tag(model, views, whole, ["car", "sign"]))[1] == Tag("car", None)


def test_another_tagger_may_take_the_models_place(views: ViewStore, whole: str) -> None:
    def mine(image: Image.Image, labels: Sequence[str]) -> list[Tag]:
        return [Tag(label, image.width / 10_000) for label in labels]

    model = FakeModel()
    [found] = asyncio.run(tag(model, views, whole, ["car"], tagger=mine))
    assert found.score == views.image(whole).width / 10_000 and not model.history


class FailsOnCars(FakeModel):
    """Fails for a car once two other questions wait; they would wait for ever."""

    waiting = 0

    async def score(
        self, messages: Sequence[Message], continuations: Sequence[str], **options: Any
    ) -> list[Likelihood] | None:
        if Text(f"{SEE}car") in messages[0].parts:
            while self.waiting < 2:
                await asyncio.sleep(0.001)
            raise ModelUnavailable("gone")
        self.waiting += 1
        try:
            await asyncio.sleep(60)
        finally:
            self.waiting -= 1
        return None


def test_when_the_server_fails_the_other_questions_are_ended(views: ViewStore, whole: str) -> None:
    model = FailsOnCars()

    async def scenario() -> int:
        with pytest.raises(ModelUnavailable):
            await tag(model, views, whole, ["sign", "car", "whale"])
        await asyncio.sleep(0)
        return model.waiting

    assert asyncio.run(scenario()) == 0


# Ground


def pointed(views: ViewStore, view: str, reply: str | Reply) -> list[Box]:
    model = FakeModel()
    model.enqueue([reply])
    boxes = asyncio.run(ground(model, views, view, "the red car"))
    assert model.history[0].text == ground_prompt("the red car", "thousand")
    return boxes


def test_boxes_come_back_in_original_pixels_of_any_view(views: ViewStore, whole: str) -> None:
    assert pointed(views, whole, "[100, 200, 300, 400]") == [Box(200, 200, 600, 400)]
    inner = crop(views, whole, [500, 500, 1000, 1000]).views[0]["id"]
    assert pointed(views, inner, "[100, 200, 300, 400]") == [Box(1100, 600, 1300, 700)]
    both = '[{"bbox_2d": [100, 200, 300, 400], "label": "a"}, {"bbox_2d": [500, 500, 600, 600], "label": "b"}]'
    assert pointed(views, whole, both) == [Box(200, 200, 600, 400), Box(1000, 500, 1200, 600)]
    assert pointed(views, whole, "[100, 200, 300, 400] [100, 200, 300, 400]") == [Box(200, 200, 600, 400)]


@pytest.mark.parametrize("reply", ["[0, 0, 1000, 1000]", "[10, 0, 990, 980]", "Cannot tell.", " [] "])
def test_the_whole_view_means_that_it_was_not_located(views: ViewStore, whole: str, reply: str) -> None:
    assert pointed(views, whole, reply) == []


def test_a_wide_strip_is_located(views: ViewStore, whole: str) -> None:
    assert pointed(views, whole, "[0, 300, 1000, 600]") == [Box(0, 300, 2000, 600)]


@pytest.mark.parametrize(
    "reply", ["", "On the left.", "[1, 2, 3]", "[9, 9, 1, 1]", "[0.1, 0.2, 0.3, 0.4]", "[0,0,9e9,9e9]"]
)
def test_a_reply_without_a_usable_box_is_told(views: ViewStore, whole: str, reply: str) -> None:
    with pytest.raises(BoxInvalid):
        pointed(views, whole, reply)


def test_a_cut_reply_is_not_trusted(views: ViewStore, whole: str) -> None:
    with pytest.raises(OutputTruncated):
        pointed(views, whole, Reply("[100, 200, 300, 400]", "length"))
