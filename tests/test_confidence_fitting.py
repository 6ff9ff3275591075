"""Fitting an arbiter: calibrated on the unseen, deterministic, honest with few records, and by command from a file."""

import json
from pathlib import Path

import confidence_world
import numpy as np
import pytest
from typer.testing import CliRunner

from zoomagent.cli.train import app
from zoomagent.confidence.arbiter import Arbiter, load
from zoomagent.confidence.features import Features, vector
from zoomagent.confidence.records import Record, folds, read_records, split, write_records
from zoomagent.errors import SettingInvalid
from zoomagent.training.calibration.fitting import fit, fit_head
from zoomagent.training.calibration.report import evaluate

GOOD = '{"id": "a", "features": {"agree": true}, "macro_right": true, "micro_right": true}'


@pytest.fixture(scope="module")
def arbiter() -> Arbiter:
    return fit(confidence_world.records(4000, seed=1), seed=1)


def test_confidence_is_calibrated_on_questions_never_seen(arbiter: Arbiter) -> None:
    figures = evaluate(arbiter, confidence_world.records(5000, seed=2))
    assert figures["calibrated"]["ece_mass"] < 0.03 and figures["gate"]["ece_mass"] < 0.03
    assert figures["raw"]["ece_mass"] > 0.05
    assert figures["calibrated"]["aurc"] < figures["raw"]["aurc"]


def test_the_learned_rule_lies_between_the_single_rules_and_the_oracle(arbiter: Arbiter) -> None:
    accuracy = evaluate(arbiter, confidence_world.records(3000, seed=3))["accuracy"]
    share = {name: row["share"] for name, row in accuracy.items()}
    assert max(share["macro"], share["micro"]) + 0.05 < share["learned"] <= share["oracle"]


def test_the_promised_error_holds_on_new_questions(arbiter: Arbiter) -> None:
    """Within the interval of the new questions; a promise of 10 % leaves some answers standing."""
    figures = evaluate(arbiter, confidence_world.records(3000, seed=4))
    assert all(row["error"]["low"] <= row["alpha"] for row in figures["selective"])
    assert next(row for row in figures["selective"] if row["alpha"] == 0.1)["coverage"] > 0.2


def test_the_same_records_and_seed_give_the_same_arbiter() -> None:
    records = confidence_world.records(300, seed=5)
    assert fit(records, seed=3) == fit(records, seed=3)
    assert fit(records, seed=3).certified != fit(records, seed=4).certified


def test_without_likelihoods_votes_are_enough_to_learn_from() -> None:
    arbiter = fit(confidence_world.records(1600, seed=6, likelihoods=False))
    figures = evaluate(arbiter, confidence_world.records(3000, seed=7, likelihoods=False))
    share = {name: row["share"] for name, row in figures["accuracy"].items()}
    assert share["learned"] > max(share["macro"], share["micro"]) + 0.03
    assert figures["calibrated"]["ece_mass"] < 0.05 and figures["raw"]["n"] == 0


def test_what_was_never_wrong_gives_the_base_rate_and_no_certainty() -> None:
    records = [Record(id=str(i), features=Features(agree=True), macro_right=True, micro_right=True) for i in range(200)]
    arbiter = fit(records)
    assert 0.98 < arbiter.judge(Features(agree=True)).confidence < 1
    assert arbiter.judge(Features(agree=False)).confidence == pytest.approx(0.5)


@pytest.mark.parametrize("pictures", [1, 2])
def test_answers_about_one_picture_or_two_teach_their_base_rate_at_least(pictures: int) -> None:
    records = [
        record.model_copy(update={"group": f"picture {index % pictures}"})
        for index, record in enumerate(confidence_world.records(300, seed=2))
    ]
    right = [record.macro_right for record in records]
    head = fit_head(records, right, ("macro_prob",), seed=1)
    given = [head.probability(vector(record.features, ("macro_prob",))[0]) for record in records]
    assert np.mean(given) == pytest.approx(np.mean(right), abs=0.1)


def test_a_gate_takes_part_in_the_certified_pairs(arbiter: Arbiter) -> None:
    final, gate = arbiter.pairs(), arbiter.pairs(gate_at=0.0)
    assert len(final[0]) == len(gate[0]) == arbiter.provenance.certified
    assert gate[0] == list(arbiter.certified.gate) and final[0] == sorted(final[0], reverse=True)
    assert arbiter.pairs(gate_at=1.0) == final


def test_too_few_records_are_refused() -> None:
    with pytest.raises(SettingInvalid, match="too few"):
        fit(confidence_world.records(30, seed=1))


def test_splits_keep_a_picture_together_and_ignore_the_rest_of_the_file() -> None:
    records = confidence_world.records(400, seed=1)
    rest, taken = split(records, 0.25, "salt")
    assert {r.group for r in rest}.isdisjoint(r.group for r in taken)
    assert 60 < len(taken) < 140
    assert split(records[:100], 0.25, "salt")[1] == taken[: len(split(records[:100], 0.25, "salt")[1])]
    assert set(folds(records, 5, "salt")) == set(range(5))


def test_records_are_the_same_after_their_file(tmp_path: Path) -> None:
    records = confidence_world.records(20, seed=1)
    write_records(records, tmp_path / "records.jsonl")
    assert read_records(tmp_path / "records.jsonl") == records


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Line 2.*Invalid JSON"),
        (GOOD.replace('"agree": true', '"agreed": true').replace('"a"', '"b"'), r"Line 2: features\.agreed"),
        (GOOD.replace('"macro_right": true', '"macro_right": 1').replace('"a"', '"b"'), "Line 2: macro_right"),
        (GOOD.replace('"macro_right": true', '"macro_right": false').replace('"a"', '"b"'), "Line 2.*answers agree"),
        (GOOD.replace('"micro_right": true', '"micro_right": null').replace('"a"', '"b"'), "Line 2.*closer look"),
        (GOOD, "'a' is there twice"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "records.jsonl").write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(SettingInvalid, match=message):
        read_records(tmp_path / "records.jsonl")


def test_the_command_writes_an_arbiter_that_loads_and_prints_its_figures(tmp_path: Path) -> None:
    source, out, report = tmp_path / "records.jsonl", tmp_path / "arbiter.json", tmp_path / "report.json"
    write_records(confidence_world.records(800, seed=8), source)
    done = CliRunner().invoke(
        app, ["calibrate", str(source), "--out", str(out), "--report", str(report), "--model", "toy"]
    )
    assert done.exit_code == 0, done.output
    arbiter = load(out)
    assert arbiter is not None and arbiter.provenance.model == "toy"
    assert "| learned |" in done.output and "| 5% |" in done.output
    figures = json.loads(report.read_text())
    held_out = split(read_records(source), 0.25, "held out 1")[1]
    assert figures["n"] == len(held_out) == 800 - arbiter.provenance.fitted - arbiter.provenance.certified
    assert np.isfinite(figures["calibrated"]["ece_mass"])


def test_too_few_records_or_pictures_are_told_as_what_they_are(tmp_path: Path) -> None:
    from zoomagent.cli.train import calibrate
    from zoomagent.training.calibration.fitting import NEEDED, fit

    path = tmp_path / "r.jsonl"
    line = '{"id": "%d", "group": "p", "features": {"macro_prob": 0.5}, "macro_right": true}\n'
    path.write_text("".join(line % i for i in range(NEEDED - 1)))
    with pytest.raises(SettingInvalid, match="99 records are fewer than the 100"):
        calibrate(path, out=tmp_path / "a.json")
    path.write_text("".join(line % i for i in range(300)))
    with pytest.raises(SettingInvalid, match="300 records of 1 pictures"):
        fit(read_records(path))
