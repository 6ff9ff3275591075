"""A description's phrases carry boxes in original pixels, each of which was looked at; the others are marked."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_model import Call, FakeModel
from PIL import Image
from sign_model import PROFILE, SIGN, sign_picture
from test_graph_regions import red_box, share

from zoomagent import Answer, ZoomAgent
from zoomagent.data.world.render import drawn_picture
from zoomagent.data.world.scene import SMALL, SPLITS, draw_scene
from zoomagent.geometry import Box, Space, iou
from zoomagent.models.profiles import BoxedWords
from zoomagent.prompts import EVERY, SEE, TAGS

PLACES: dict[Space, tuple[str, str]] = {
    "thousand": ("500, 500, 600, 600", "0, 0, 100, 100"),
    "thousand-yx": ("500, 500, 600, 600", "0, 0, 100, 100"),
    "unit": ("0.5, 0.5, 0.6, 0.6", "0, 0, 0.1, 0.1"),
    "square": ("0.5, 0.5, 0.6, 0.567", "0, 0.167, 0.1, 0.267"),
}
"""The sign, and a corner in which there is nothing."""


def model(reply: str, form: BoxedWords = "phrase", space: Space = "thousand", check: Any = None) -> FakeModel:
    """Describes so; sees the sign where it is, and nothing else anywhere."""

    def respond(call: Call) -> str:
        if call.text.startswith(TAGS):
            return "a red sign, a dog" if red_box(call.views[0]) else "nothing"
        if call.text.startswith(EVERY):
            box = red_box(call.views[0])
            return str([round(1000 * n) for n in box]) if box and "sign" in call.text else "[]"
        return reply

    def scores(call: Call) -> list[float] | None:
        close = share(call.views[0]) > 0.02 and "sign" in call.text.removeprefix(SEE)
        return check if check is None or check != [] else [-0.1, -3.0] if close else [-3.0, -0.1]

    return FakeModel(profile=replace(PROFILE, space=space, boxed_words=form), respond=respond, respond_score=scores)


@pytest.mark.parametrize("space", PLACES)
def test_phrases_are_marked_by_what_a_zoom_shows(space: Space) -> None:
    sign, corner = PLACES[space]
    fake = model(f"There is a red sign[{sign}] beside a dog[{corner}], and a tree[9,9,9].", space=space, check=[])
    answer = ZoomAgent(fake).describe(sign_picture())
    assert answer.text == "There is a red sign beside a dog, and a tree[9,9,9]."
    assert [(g.phrase, g.fate) for g in answer.grounded] == [("a red sign", "seen"), ("a dog", "unseen")]
    [box] = answer.grounded[0].boxes
    assert iou(Box(*box), Box(*SIGN)) > 0.85 and answer.boxes == (box,)
    assert answer.grounded[0].seen[0] > 0.9 and answer.grounded[1].boxes == ()
    assert [answer.text[slice(*g.place)] for g in answer.grounded] == ["a red sign", "a dog"]


@pytest.mark.parametrize(
    ("form", "reply"),
    [
        (
            "json",
            '[{"bbox_2d": [500, 500, 600, 600], "label": "a red sign"}, {"bbox_2d": [0, 0, 99, 99], "label": "dog"}]',
        ),
        ("none", ""),
        ("phrase", "I see things."),
    ],
)
def test_of_a_list_of_names_only_what_is_seen_is_kept(form: BoxedWords, reply: str) -> None:
    answer = ZoomAgent(model(reply, form, check=[])).describe(sign_picture())
    assert answer.text == "a red sign" and [g.fate for g in answer.grounded] == ["seen"]
    assert iou(Box(*answer.grounded[0].boxes[0]), Box(*SIGN)) > 0.85


def test_what_cannot_be_measured_is_unchecked_and_the_price_is_bounded() -> None:
    reply = "a red sign[500,500,600,600], a dog[0,0,99,99]"
    unchecked = ZoomAgent(model(reply)).describe(sign_picture())
    assert {g.fate for g in unchecked.grounded} == {"unchecked"} and all(g.boxes for g in unchecked.grounded)
    short = ZoomAgent(model(reply, check=[])).describe(sign_picture(), calls=2)
    assert short.cost.model_calls == 2 and short.outcome.codes == ("budget_calls",)
    assert [g.fate for g in short.grounded] == ["seen", "unchecked"]


def test_a_description_is_saved_and_goes_on(tmp_path: Path) -> None:
    def stopped_at(calls: int) -> Callable[[Call], Any]:
        count = iter(range(1000))

        def respond(call: Call) -> Any:
            return KeyboardInterrupt() if next(count) == calls else "a red sign[500,500,600,600]"

        return respond

    fake = model("a red sign[500,500,600,600], a dog[0,0,99,99]", check=[])
    with ZoomAgent(fake, checkpointer=tmp_path / "runs.sqlite") as agent:
        answer = agent.describe(sign_picture(), thread_id="one")
        calls = len(fake.history)
        assert agent.describe(sign_picture(), thread_id="one").grounded == answer.grounded
        assert len(fake.history) == calls
        other = agent.ask(sign_picture(), answer.question, thread_id="one")
    assert other.outcome.code == "run_mismatch"
    page = answer.save(tmp_path / "run", sign_picture()).read_text()
    assert page.count('data-phrase="0"') == 2 and "a red sign</span>" in page and "not seen where" in page
    assert Answer.model_validate_json((tmp_path / "run" / "answer.json").read_text()) == answer


def test_nano_describes_a_picture_of_its_world(index: int = 1) -> None:
    scene = draw_scene(SMALL, SPLITS["test"] + 5, index)
    with ZoomAgent() as agent, drawn_picture(scene, 1024, f"described-{index}") as picture:
        answer = agent.describe(picture)
    right = 0
    for phrase in answer.grounded:
        things = [
            Box(*(round(1024 * corner) for corner in item.box)) for item in scene.items if item.name == phrase.phrase
        ]
        right += any(iou(Box(*box), thing) > 0.5 for box in phrase.boxes for thing in things)
    assert len(answer.grounded) >= 4 and right >= 0.8 * len(answer.grounded)


def test_a_picture_without_anything_is_no_error() -> None:
    answer = ZoomAgent(model("", "none", check=[])).describe(Image.new("RGB", (400, 300), "gray"))
    assert answer.answered and not answer.grounded


def test_a_budget_that_ends_anywhere_takes_nothing_that_was_paid_for() -> None:
    full = ZoomAgent(model("", "none", check=[])).describe(sign_picture())
    assert full.text == "a red sign" and full.outcome.kind == "answered"
    calls = full.cost.model_calls
    shorter = [ZoomAgent(model("", "none", check=[])).describe(sign_picture(), calls=n) for n in range(1, calls)]
    # The sign is in the last quarter, and in the whole, which is asked first.
    for number, answer in enumerate(shorter, 1):
        assert answer.cost.model_calls in (number, number - 1) and answer.outcome.codes == ("budget_calls",)
        assert answer.outcome.kind == "answered_degraded" and "a red sign" in answer.text.split(", ")
        named = {phrase.phrase: phrase for phrase in answer.grounded}
        assert [answer.text[slice(*phrase.place)] for phrase in answer.grounded] == answer.text.split(", ")
        assert all((phrase.fate == "seen") == bool(phrase.seen) for phrase in answer.grounded)
        assert named["a red sign"].fate in ("unchecked", "seen")
        # A call for each part; then one for each view in which the sign was named, beside one that is kept.
        assert bool(named["a red sign"].boxes) == (number > 6)
    assert "a dog" in shorter[0].text and shorter[0].grounded[1].fate == "unchecked"


def test_boxes_that_do_not_show_their_phrase_stay_away_when_the_budget_ends() -> None:
    reply = "a red sign[0,0,99,99][500,500,600,600][0,0,50,99]"
    boxes = []
    for calls in (1, 2, 3, 4):
        answer = ZoomAgent(model(reply, check=[])).describe(sign_picture(), calls=calls)
        [sign] = answer.grounded
        assert sign.fate == ("unchecked" if calls < 4 else "seen") and len(sign.seen) == (calls > 2)
        boxes.append(len(sign.boxes))
    assert boxes == [3, 2, 2, 1]


def test_nothing_is_said_of_a_picture_that_was_not_looked_at() -> None:
    blind = FakeModel(profile=replace(PROFILE, boxed_words="none"), respond=lambda call: "nothing")
    answer = ZoomAgent(blind).describe(sign_picture(), calls=2)
    assert not answer.answered and answer.outcome.code == "budget_calls" and answer.text == ""
