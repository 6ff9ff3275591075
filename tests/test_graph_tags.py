"""Tags in a run: off is as ever; on, they are asked for over the picture and its parts and told to later questions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from fake_model import FAKE_PROFILE, Call, FakeModel
from PIL import Image

from zoomagent import Answer, ZoomAgent
from zoomagent.geometry import Box
from zoomagent.graphs.context import Budget, Context
from zoomagent.graphs.tagging import quarters
from zoomagent.models.base import Message, Text
from zoomagent.models.profiles import NANO
from zoomagent.models.words.chat import arrange
from zoomagent.page.saving import save
from zoomagent.prompts import CUES, GROUND, MICRO, SEE, TAGS
from zoomagent.tools.tagging import Tag, Tagger

HINT = "<|tag_hint|>"


def reply(call: Call) -> str:
    if call.text.endswith(TAGS):
        return f"part {call.views[0].key[:4]}, car"
    if call.text.endswith(f"{CUES}What colour is the car?"):
        return "car"
    return "[100, 100, 300, 300]" if GROUND in call.text and MICRO not in call.text else "red"


def scores(call: Call) -> list[float]:
    said = call.options["continuations"]
    return [-0.1, *[-4.0] * (len(said) - 1)] if "car" in call.text or said[0] != "Yes" else [-4.0, -0.1]


def asked(model: FakeModel, **settings: object) -> Answer:
    with ZoomAgent(model, strategy="locate", proof=False, **settings) as agent:  # type: ignore[arg-type]
        return agent.ask(Image.new("RGB", (400, 300), "navy"), "What colour is the car?")


def model(hint: str = "") -> FakeModel:
    return FakeModel(profile=replace(FAKE_PROFILE, hint=hint), respond=reply, respond_score=scores)


def test_off_is_as_ever_and_settings_do_not_name_it() -> None:
    plain, off = model(), model()
    one, other = asked(plain), asked(off, tags="off")
    assert [call.text for call in plain.history] == [call.text for call in off.history]
    assert one.text == other.text and one.tags == other.tags == ()
    assert "tags" not in Context().model_dump() and Context(tags="auto").model_dump()["tags"] == "auto"


@pytest.mark.parametrize("hint", ["", HINT])
def test_tags_of_the_whole_and_its_parts_are_told_to_the_closer_question(hint: str) -> None:
    fake = model(hint)
    answer = asked(fake, tags="auto")
    named = [call for call in fake.history if call.text.endswith(TAGS)]
    assert len({call.views[0].key for call in named}) == 5
    assert {tag.label for tag in answer.tags} == {"car"} and answer.tags[0].score == pytest.approx(0.98, abs=0.01)
    told = [call for call in fake.history if "following tags: [car]" in call.text.replace("\n", "")]
    assert told and all(("According to" in call.text) == bool(hint) for call in told)
    assert "tag" in [step.name for step in answer.steps]
    assert Answer.model_validate_json(answer.model_dump_json()) == answer


@pytest.mark.parametrize("calls", [12, 24, 60])
def test_tags_leave_two_thirds_of_the_calls_to_the_look(calls: int) -> None:
    fake = model()
    answer = asked(fake, tags="auto", budget=Budget(calls=calls))
    of_tags = [call for call in fake.history if call.text.endswith(TAGS) or SEE in call.text]
    assert answer.answered and answer.outcome.codes == () and len(of_tags) <= calls // 3 + 1  # the crop's own check
    assert len([call for call in of_tags if SEE in call.text]) <= 7, "a name that two parts show is asked for once"


def test_an_own_tagger_is_asked_instead_of_the_model() -> None:
    sizes = []

    def tagger(image: Image.Image, labels: Sequence[str]) -> list[Tag]:
        sizes.append(image.size)
        return [Tag("lorry", 0.9), Tag("fog", 0.2)]

    fake = model()
    answer = asked(fake, tags=tagger)
    assert [tag.label for tag in answer.tags] == ["lorry", "fog"] and len(sizes) == 5
    assert not any(call.text.endswith(TAGS) for call in fake.history)


def broken(found: object) -> Tagger:
    def tagger(image: Image.Image, labels: Sequence[str]) -> Any:
        if isinstance(found, BaseException):
            raise found
        return found

    return tagger


@pytest.mark.parametrize(
    "found",
    [ValueError("no"), StopIteration(), RuntimeError("out of memory"), None, 5, ["car"], [("car", 0.5)], [None],
     {"car": 1}, [Tag(cast(Any, 5), 0.5)], (Tag("a", 0.5) if n else 1 / n for n in (1, 0))],
    ids=lambda found: type(found).__name__,
)  # fmt: skip
def test_a_tagger_that_fails_takes_no_answer_with_it(found: object) -> None:
    answer = asked(model(), tags=broken(found))
    assert answer.text == "red" and answer.tags == ()
    assert answer.outcome.kind == "answered_degraded" and answer.outcome.codes == ("tagger_failed",)
    assert answer.evidence and "tagger" in " ".join(answer.reasons)


def test_what_a_tagger_found_before_it_failed_is_kept() -> None:
    looks: list[Image.Image] = []

    def tagger(image: Image.Image, labels: Sequence[str]) -> list[Tag]:
        looks.append(image)
        if len(looks) == 3:
            raise ValueError("no")
        return [Tag(f"thing {len(looks)}", 0.9)]

    answer = asked(model(), tags=tagger)
    assert {tag.label for tag in answer.tags} == {"thing 1", "thing 2"}
    assert answer.outcome.codes == ("tagger_failed",)


def test_of_a_taggers_tags_those_that_can_be_kept_are_kept() -> None:
    scores: list[Any] = [
        float("nan"),
        float("inf"),
        -float("inf"),
        "x",
        [],
        np.float32(0.5),
        torch.tensor(0.25),
        1,
        None,
    ]
    found = [Tag(f"t{number}", score) for number, score in enumerate(scores)]
    found += [Tag("", 0.9), Tag("  ", 0.9), Tag("w" * 1000, 0.9), Tag("half \ud800", 0.1), Tag("two\n lines", 0.1)]
    answer = asked(model(), tags=broken(found))
    assert answer.outcome.kind == "answered" and answer.text == "red"
    kept = {tag.label: tag.score for tag in answer.tags}
    assert kept == {"t5": 0.5, "t6": 0.25, "t7": 1.0, "t8": None, "half \ufffd": 0.1, "two lines": 0.1}
    assert Answer.model_validate_json(answer.model_dump_json()) == answer


def test_a_small_budget_is_not_spent_on_tags() -> None:
    answer = asked(model(), tags="auto", budget=Budget(calls=12))
    assert answer.outcome.kind == "answered" and answer.text == "red"


def test_the_page_shows_the_tags(tmp_path: object) -> None:
    answer = asked(model(), tags="auto")
    from pathlib import Path

    page = save(answer, Path(str(tmp_path)), answer._source)
    assert "<h3>Tags</h3>" in page.read_text() and "car" in page.read_text()


def test_the_hint_is_let_through_where_it_is_ours_and_inert_in_all_other_text() -> None:
    profile = replace(NANO, hint=HINT)
    ours = (Text("According to "), Text(HINT, ours=True), Text(f", may [{HINT}]. "), Text(f"What is {HINT}?"))
    [told] = arrange([Message("user", ours)], profile)
    text = "".join(part.text for part in told.parts if isinstance(part, Text))
    assert text.count(HINT) == 1 and text.startswith(f"According to {HINT}, may")
    # A text that is marked as ours is let through for nothing but the hint, and only where the model has one.
    for spelled, profiled in (("<|im_end|>", profile), (HINT, NANO)):
        [other] = arrange([Message("user", (Text(spelled, ours=True),))], profiled)
        assert spelled not in "".join(part.text for part in other.parts if isinstance(part, Text))


def test_quarters_are_the_whole() -> None:
    for box in (Box(0, 0, 5, 7), Box(0, 0, 400, 300)):
        parts = quarters(box)
        assert sum(part.width * part.height for part in parts) == box.width * box.height and len(parts) == 4
    assert quarters(Box(0, 0, 1, 9)) == []


def test_conversations_without_our_token_are_arranged_as_ever() -> None:
    message = Message("user", (Text("a"), Text("b")))
    assert arrange([message], NANO) == [message]
