"""A public evaluation harness asks the agent as if it were a model: inspect-ai runs `examples/inspect_task.py`.

inspect-ai pins libraries that differ from ours, so it may live in an environment of its own: ZOOMAGENT_INSPECT_PYTHON
names that environment's Python.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_model import Call, FakeModel
from mcp_world import picture
from openai_world import served

ROOT = Path(__file__).parent.parent
TASK = "examples/inspect_task.py"
PYTHON = os.environ.get("ZOOMAGENT_INSPECT_PYTHON") or (
    sys.executable if importlib.util.find_spec("inspect_ai") else ""
)

pytestmark = pytest.mark.skipif(not PYTHON, reason="needs inspect-ai; ZOOMAGENT_INSPECT_PYTHON may name where it is")


def told(call: Call) -> str:
    """Red, whatever the question; with options, that option's letter."""
    return "B" if "B. red" in call.text else "red"


def evaluated(tmp_path: Path, rows: list[dict[str, Any]], model: FakeModel, *more: str) -> dict[str, Any]:
    """What the harness came to, with the agent as its model."""
    picture().save(tmp_path / "a.png")
    (tmp_path / "q.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with served(model, strategy="macro") as url:
        command = [PYTHON, "-m", "inspect_ai", "eval", TASK, "--model", "openai-api/zoomagent/zoomagent"]
        command += ["-T", f"questions={tmp_path / 'q.jsonl'}", "--log-dir", str(tmp_path / "logs"), *more]
        command += ["--log-format", "json", "--display", "none"]
        settings = {**os.environ, "ZOOMAGENT_BASE_URL": url, "ZOOMAGENT_API_KEY": "none"}
        done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    [log] = (tmp_path / "logs").glob("*.json")
    results: dict[str, Any] = json.loads(log.read_text())["results"]
    return results


def test_the_harness_scores_the_agents_answers(tmp_path: Path) -> None:
    right, wrong = {"answer": "red"}, {"answer": "blue"}
    rows: list[dict[str, Any]] = [
        {"image": "a.png", "question": f"What colour? {i}", **given} for i, given in enumerate([right, right, wrong])
    ]
    rows.append({"image": "a.png", "question": "Which?", "options": ["blue", "red"], "answer": "red"})
    model = FakeModel(respond=told)
    results = evaluated(tmp_path, rows, model)
    assert results["completed_samples"] == 4 and len(model.history) == 4
    assert results["scores"][0]["metrics"]["mean"]["value"] == 0.75


def test_options_may_stand_in_the_question_for_models_of_others(tmp_path: Path) -> None:
    rows = [
        {"image": "a.png", "question": "Which?", "options": ["blue", "red"], "answer": one} for one in ("red", "blue")
    ]
    model = FakeModel(respond=told)
    results = evaluated(tmp_path, rows, model, "-T", "letters=true")
    assert all("B. red\nAnswer with the option's letter." in call.text for call in model.history)
    assert results["scores"][0]["metrics"]["mean"]["value"] == 0.5
