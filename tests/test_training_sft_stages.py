"""The three stages: each trains what it names and leaves the rest, on its own rows and some of earlier stages."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sft_world import write_data
from transformers import AutoModelForImageTextToText

from zoomagent.data.grounding.pipeline import Settings as Grounding
from zoomagent.data.grounding.pipeline import make
from zoomagent.data.grounding.world_sets import write_set
from zoomagent.data.trajectories.trajectory import Trajectory
from zoomagent.errors import SettingInvalid
from zoomagent.models.loading import NANO_WEIGHTS
from zoomagent.models.profiles import profile_for
from zoomagent.training.sft.reading import split
from zoomagent.training.sft.run import CONNECTOR, Settings, Stage, begin, belongs, train, with_earlier

NANO = profile_for("nano")


@pytest.fixture(scope="module")
def phrases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phrases")
    write_set("flickr30k", folder / "set")
    make("flickr30k", folder / "set", folder / "rows", Grounding(folder / "set", NANO))
    return folder / "rows"


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("questions") / "data")


def settings(data: Path, out: Path, stage: Stage | None, **changes: Any) -> Settings:
    given: dict[str, Any] = {"rows": 2, "held_out": 0, "workers": 0, "precision": "fp32", "save_every": 2}
    return Settings("nano", data, out, 2, stage=stage, **(given | changes))


def is_connector(name: str) -> bool:
    return any(part in name for part in CONNECTOR)


@pytest.mark.parametrize(("stage", "language"), [("align", False), ("ground", True), ("instruct", True)])
def test_a_stage_changes_what_it_names_and_nothing_else(
    stage: Stage, language: bool, phrases: Path, tmp_path: Path
) -> None:
    folder = train(settings(phrases, tmp_path, stage, rate=1e-2))
    before = AutoModelForImageTextToText.from_pretrained(NANO_WEIGHTS).state_dict()
    after = AutoModelForImageTextToText.from_pretrained(folder).state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys()
    assert any(is_connector(name) for name in moved)
    assert any("language_model" in name for name in moved) is language
    assert all(is_connector(name) or "language_model" in name or "lm_head" in name for name in moved)


def test_every_stage_learns_from_its_own_rows(phrases: Path, questions: Path) -> None:
    rows = [*(split(phrases, "train") or ()), *(split(questions, "train") or ())]
    kept = {stage: [row for row in rows if belongs(row, stage)] for stage in ("align", "ground", "instruct", None)}
    assert len(kept[None]) == len(kept["instruct"]) == len(rows)
    assert 0 < len(kept["align"]) < len(kept["ground"]) < len(rows)
    asks = {Trajectory.from_row(row).provenance.get("asks") for row in kept["ground"]}
    assert "dialogue" not in asks and {"where", "what", "said"} <= asks


def test_a_dialogue_asks_in_turns_and_answers_nothing_twice(phrases: Path) -> None:
    found = [Trajectory.from_row(row) for row in split(phrases, "train") or ()]
    dialogues = [row for row in found if row.provenance["asks"] == "dialogue"]
    assert dialogues and len({row.id for row in found}) == len(found)
    for row in dialogues:
        roles = [turn.role for turn in row.messages]
        assert len(roles) >= 4 and roles == ["user", "assistant"] * (len(roles) // 2)
        said = [" ".join(part.text for part in turn.content if part.type == "text") for turn in row.messages]
        asked, answers = said[::2], said[1::2]
        assert len(set(asked)) == len(asked)
        # A box that was answered is not asked about, but for the sentence that sums up.
        assert not any(answer in question for answer in answers for question in asked if answer.startswith("["))
        shown = [part for turn in row.messages for part in turn.content if part.type == "image"]
        assert len(shown) == 1 and row.messages[0].content[0] == shown[0]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_earlier_rows_have_the_share_that_was_asked_for(
    share: float, phrases: Path, questions: Path, tmp_path: Path
) -> None:
    given = settings(phrases, tmp_path, "ground", earlier=(questions,), earlier_share=share)
    rows = split(phrases, "train")
    assert rows is not None
    mixed = with_earlier(given, rows.select(range(4)))
    others = [row for row in mixed if Path(row["image"]).is_absolute()]
    assert len(others) == min(round(4 * share / (1 - share)), len(split(questions, "train") or ()))
    assert all(Path(row["image"]).is_file() for row in others)


def test_a_stage_with_earlier_rows_is_trained_and_says_what_it_used(
    phrases: Path, questions: Path, tmp_path: Path
) -> None:
    train(settings(phrases, tmp_path, "instruct", earlier=(questions,)))
    told = json.loads((tmp_path / "settings.json").read_text())
    assert told["stage"] == "instruct" and told["earlier"] == [str(questions)] and len(told["earlier_digests"]) == 1
    with pytest.raises(SettingInvalid, match="stage 'instruct' .now 'ground'."):
        begin(settings(phrases, tmp_path, "ground", earlier=(questions,)))


def test_what_cannot_be_a_stage_is_refused_before_anything_is_loaded(phrases: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="connector alone"):
        begin(settings(phrases, tmp_path, "align", lora=4))
    with pytest.raises(SettingInvalid, match="belongs to a stage"):
        begin(settings(phrases, tmp_path, None, earlier=(phrases,)))
    assert not (tmp_path / "settings.json").exists()
