"""Dialogues that a language model words: it may choose words, and no box."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fake_model import Call, FakeModel
from hypothesis import given
from hypothesis import strategies as some

from zoomagent.data.grounding.annotation import Annotation
from zoomagent.data.grounding.pipeline import Settings, make
from zoomagent.data.grounding.telling import rows_of
from zoomagent.data.grounding.wording import dialogue_of, filled, read_turns, reword
from zoomagent.data.grounding.world_sets import write_set
from zoomagent.data.trajectories.trajectory import Trajectory, read_parquet
from zoomagent.errors import BadServerResponse, ContextTooLong, ModelUnavailable, ServerError, Unauthorized
from zoomagent.models.profiles import profile_for

QWEN = profile_for("Qwen/Qwen3-VL-8B-Instruct", {})
BOXES = ["[10, 20, 30, 40]", "[[1, 2, 3, 4], [5, 6, 7, 8]]"]


def talk(*texts: str) -> str:
    pairs = zip(texts[::2], texts[1::2], strict=True)
    return json.dumps([{"question": question, "answer": answer} for question, answer in pairs])


GOOD = talk("Where is the mug?", "At {1}.", "And what is at {2}?", "Two plates.")


@pytest.mark.parametrize("reply", [GOOD, f"<think>hm [1]</think>{GOOD}", f"Here it is:\n```json\n{GOOD}\n```"])
def test_a_number_in_braces_becomes_the_box_as_it_was_annotated(reply: str) -> None:
    assert read_turns(reply, BOXES) == [
        ("Where is the mug?", "At [10, 20, 30, 40]."),
        ("And what is at [[1, 2, 3, 4], [5, 6, 7, 8]]?", "Two plates."),
    ]


@pytest.mark.parametrize(
    "reply",
    ["", "I cannot.", "[]", "{}", GOOD[:-20], talk("Where?", "At {1}."), talk("Where?", "There.", "What?", "A mug."),
     talk("Where?", "At {3}.", "What?", "It is {1}."), talk("Where?", "At {0}.", "What?", "It is {1}."),
     talk("Where?", "At [11, 20, 30, 40].", "What?", "It is {1}."), talk("Where?", "{1}, {here}.", "What?", "A mug."),
     talk("", "At {1}.", "What?", "A mug."), talk("Where?", "At {1}." * 99, "What?", "A mug."),
     talk("Where? <|im_end|>", "At {1}.", "What?", "A mug."), talk(*["Where?", "At {1}."] * 4),
     json.dumps([{"question": "Where?", "answer": "{1}", "box": [1, 2, 3, 4]}] * 2),
     json.dumps([{"question": 1, "answer": "{1}"}] * 2)],
)  # fmt: skip
def test_what_is_no_conversation_with_boxes_of_the_list_is_not_taken(reply: str) -> None:
    assert read_turns(reply, BOXES) is None


@pytest.mark.parametrize(
    "words",
    ["(12, 34, 56, 78)", "[-1, 2, 3, 4]", "[1e1, 2, 3, 4]", "x1=1 y1=2 x2=3 y2=4", "12, 34", "<box>", "[1; 2; 3; 4]",
     "5{1}6{2}7{1}8", "（12， 34， 56， 78）", "</s>", "<image>", "<start_of_turn>user", "[INST]", "\x00", "\x1b[31m"],
)  # fmt: skip
def test_no_text_writes_a_box_of_its_own_or_a_mark_of_a_template(words: str) -> None:
    assert filled(f"It is {{1}} {words}", BOXES) is None
    assert read_turns(talk("Where?", "At {1}.", f"What is {words}?", "A mug."), BOXES) is None


@pytest.mark.parametrize("words", ["Player 23, on the left.", "2 of 3 mugs from 1980.", "A mug;\nit's red (50% full)."])
def test_words_may_hold_numbers_that_are_no_place(words: str) -> None:
    assert filled(words, BOXES) == words


@given(some.text(max_size=200))
def test_a_text_is_filled_with_boxes_of_the_list_or_not_at_all(text: str) -> None:
    done = filled(text, BOXES)
    assert done is None or not re.search(r"[{}]", done)


def annotated(count: int) -> list[Trajectory]:
    things = [
        Annotation(f"{n}", "picture", "a.jpg", f"thing {n}", "train", (400, 300), boxes=((n, n, n + 50, n + 60),))
        for n in range(count)
    ]
    return [row for number, one in enumerate(things) for row in rows_of(one, number, QWEN, "refcoco")]


def test_a_reworded_dialogue_is_about_the_same_picture_and_templates_stay_where_the_model_fails() -> None:
    dialogue = dialogue_of(annotated(3))
    assert dialogue is not None and dialogue_of(annotated(1)[:1]) is None
    prompts: list[str] = []

    def respond(call: Call) -> str:
        prompts.append(call.text)
        return GOOD if len(prompts) == 1 else "Sorry."

    new, old = asyncio.run(reword(FakeModel(respond=respond), [dialogue, dialogue]))
    assert old == dialogue.row and new.id == old.id and new.image == old.image
    assert new.provenance == {**old.provenance, "words": "model"}
    assert [turn.role for turn in new.messages] == ["user", "assistant"] * 2
    assert new.messages[0].content[0] == old.messages[0].content[0], "the picture comes first"
    assert new.answer == f"At {dialogue.things[0][1]}." and "{3} thing 2" in prompts[0]


@pytest.mark.parametrize(
    "error", [ServerError("content policy", code="bad_request"), ContextTooLong("too long"), BadServerResponse("odd")]
)
def test_a_request_that_is_refused_costs_no_other_dialogue(error: ServerError) -> None:
    dialogue = dialogue_of(annotated(3))
    assert dialogue is not None

    def words(*replies: str | Exception) -> list[Trajectory]:
        left = list(replies)
        return asyncio.run(reword(FakeModel(respond=lambda call: left.pop(0)), [dialogue, dialogue]))

    new, old = words(GOOD, error)
    assert new.provenance["words"] == "model" and old == dialogue.row
    with pytest.raises(type(error)):
        words(error, error)
    with pytest.raises(Unauthorized):
        words(GOOD, Unauthorized("no"))


def test_the_command_asks_once_and_goes_on_with_what_was_worded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoomagent.data.grounding.pipeline.SHARD", 20)
    write_set("refcoco", tmp_path / "set")
    model, left = FakeModel(respond=lambda call: GOOD), [2]

    def load(name: str, **_: Any) -> FakeModel:
        left[0] -= 1
        if left[0] < 0:
            raise ModelUnavailable("gone")
        return model

    monkeypatch.setattr("zoomagent.models.loading.load_model", load)
    settings = Settings(tmp_path / "set", QWEN, model="http://localhost:8000/v1#some")
    with pytest.raises(ModelUnavailable):
        make("refcoco", tmp_path / "set", tmp_path / "out", settings)
    asked = len(model.history)
    left[0] = 1000
    card = make("refcoco", tmp_path / "set", tmp_path / "out", settings)
    counts = card["counts"]
    assert 0 < asked < len(model.history) == counts["dialogues: told"] == counts["dialogues: in the model's words"]
    rows = [row for file in sorted((tmp_path / "out").glob("*/*.parquet")) for row in read_parquet(file)]
    assert sum(row.provenance.get("words") == "model" for row in rows) == counts["dialogues: told"]
    assert card["settings"]["model"] == settings.model
