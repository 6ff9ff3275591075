"""A public evaluation harness asks the agent as if it were a model: lmms-eval runs the task of `examples/lmms_eval`.

lmms-eval pins libraries that differ from ours, so it lives in an environment of its own: ZOOMAGENT_LMMS_PYTHON names
that environment's Python.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from fake_model import Call, FakeModel
from mcp_world import picture
from openai_world import served

TASKS = Path(__file__).parent.parent / "examples" / "lmms_eval"
PYTHON = os.environ.get("ZOOMAGENT_LMMS_PYTHON", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="needs lmms-eval; ZOOMAGENT_LMMS_PYTHON names where it is"),
]


def told(call: Call) -> str:
    return "B" if "B. red" in call.text else "red"


def test_the_harness_scores_the_agents_answers(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    answers = [("red", None), ("blue", None), ("red", ["blue", "red"]), ("blue", ["blue", "red"])]
    rows = [
        {"image": "a.png", "question": f"Which colour? {i}", "answer": answer, "options": options}
        for i, (answer, options) in enumerate(answers)
    ]
    (tmp_path / "questions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    model = FakeModel(respond=told)
    with served(model, strategy="macro") as url:
        command = [PYTHON, "-m", "lmms_eval", "--include_path", str(TASKS), "--tasks", "zoomagent_questions"]
        command += ["--batch_size", "1", "--model", "async_openai", "--output_path", str(tmp_path / "out")]
        command += ["--model_args", f"model_version=zoomagent,base_url={url},api_key=none"]
        settings = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")}
        done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    [found] = (tmp_path / "out").rglob("*results.json")
    results = json.loads(found.read_text())["results"]["zoomagent_questions"]
    assert results["right,none"] == 0.5 and len(model.history) == 4
