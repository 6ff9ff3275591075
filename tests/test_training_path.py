"""The whole path of docs/training.md at its tiniest, through the real command line: each step takes the last one's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoomagent.confidence.arbiter import Arbiter
from zoomagent.confidence.records import read_records
from zoomagent.training.rl.rows import load_rows

pytestmark = pytest.mark.slow
LEAST = ("--prompts", "1", "--group", "2")
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def told(folder: Path, *command: str) -> str:
    """What a command prints, run in `folder` as a user would."""
    call = [sys.executable, *command]
    done = subprocess.run(call, cwd=folder, env=ONE_THREAD, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def zoomagent(folder: Path, *command: str) -> str:
    return told(folder, "-m", "zoomagent.cli", *command)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a world in `vg` and rows in `rows`."""
    folder = tmp_path_factory.mktemp("path")
    zoomagent(folder, "data", "world", "vg", "--scenes", "12", "--size", "512", "--level", "small")
    told_how = ("--profile", "nano", "--search-below", "3.5", "--shrink", "0.5", "--held-out", "0.3")
    zoomagent(folder, "data", "trajectories", "vg", "rows", *told_how)
    return folder


@pytest.fixture(scope="module")
def taught(begun: Path) -> Path:
    """The same folder after supervised training."""
    zoomagent(
        begun, "train", "sft", "--model", "nano", "--data", "rows", "--steps", "1", "--rows", "1", "--held-out", "2",
        "--out", "sft",
    )  # fmt: skip
    return begun


@pytest.fixture(scope="module")
def reinforced(taught: Path) -> Path:
    """The same folder after both stages of reinforcement."""
    words = zoomagent(
        taught, "train", "select-resolution", "--model", "sft/checkpoint", "--data", "rows", "--limit", "8",
        "--out", "gap-rows",
    )  # fmt: skip
    assert "zoomagent train rl --stage gap --model sft/checkpoint --data gap-rows" in words
    rl = ("train", "rl", "--steps", "1", *LEAST)
    charged = ("--search", "annotated", "--search-cost", "0.3")
    zoomagent(
        taught, *rl, "--stage", "gap", *charged, "--model", "sft/checkpoint", "--data", "gap-rows", "--out", "gap"
    )
    zoomagent(taught, *rl, "--stage", "box", "--model", "gap/checkpoint", "--data", "rows", "--out", "box")
    return taught


def test_rows_of_both_splits_are_written_with_boxes_for_the_last_stage(begun: Path) -> None:
    train, held_out = load_rows(begun / "rows"), load_rows(begun / "rows", "held-out")
    assert held_out.rows and any(row["nested"] for row in train.rows)
    assert {row["image_id"] for row in train.rows}.isdisjoint(row["image_id"] for row in held_out.rows)


def test_supervised_training_ends_in_a_checkpoint_that_answers(taught: Path) -> None:
    picture, question = "vg/VG_100K/1.jpg", "What is written on the red circle?"
    words = zoomagent(taught, "ask", picture, question, "--model", "sft/checkpoint", "--strategy", "tools", "--json")
    assert json.loads(words)["question"] == question


def test_each_stage_ends_in_a_checkpoint_and_a_log_of_its_own_reward(reinforced: Path) -> None:
    chosen = load_rows(reinforced / "gap-rows").rows
    assert chosen and all(row["resolution"] < 128 * 128 for row in chosen)
    for stage, wanted in (("gap", False), ("box", True)):
        [line] = [json.loads(text) for text in (reinforced / stage / "log.jsonl").read_text().splitlines()]
        assert ("rewards/geometry/mean" in line) is wanted and line["step"] == 1
        assert (reinforced / stage / "checkpoint" / "model.safetensors").is_file()


def test_what_was_learned_is_calibrated_and_set_beside_what_it_came_from(reinforced: Path) -> None:
    words = zoomagent(
        reinforced, "bench", "collect", "--model", "box/checkpoint", "--n", "100", "--worlds", "small",
        "--out", "records.jsonl",
    )  # fmt: skip
    assert "zoomagent train calibrate records.jsonl" in words
    assert len(read_records(reinforced / "records.jsonl")) == 100
    zoomagent(reinforced, "train", "calibrate", "records.jsonl", "--out", "arbiter.json", "--weights", "box/checkpoint")
    assert Arbiter.model_validate_json((reinforced / "arbiter.json").read_text()).provenance.weights
    table = told(reinforced, "-m", "zoomagent.evaluation.policies", "base=nano", "box=box/checkpoint", "--n", "2")
    assert [line.split(" | ")[:2] for line in table.splitlines()[2:]] == [["| base", "2"], ["| box", "2"]]


def test_a_step_of_reinforcement_is_measured_whole_beside_the_defaults(begun: Path) -> None:
    told(
        begun, str(BENCHMARKS / "training.py"), "rl", "--data", "rows", "--steps", "1", "--prompts", "1",
        "--group", "2", "--json", "cost.json",
    )  # fmt: skip
    ours, theirs = json.loads((begun / "cost.json").read_text())
    assert (ours["name"], theirs["name"]) == ("zoomagent", "TRL's defaults")
    for cost in (ours, theirs):
        assert min(cost["seconds"].values()) >= 0 and cost["seconds"]["sampling"] > 0 and cost["tokens_per_second"] > 0
        assert sum(cost["seconds"].values()) == pytest.approx(cost["seconds_per_step"])
    assert theirs["seconds"]["blanked crops"] == 0
