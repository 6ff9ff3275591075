"""A set of questions about pictures as a task of inspect-ai, with the agent, or any other model, behind an endpoint.

    pip install inspect-ai openai        # best in an environment of its own
    zoomagent serve openai &
    export ZOOMAGENT_BASE_URL=http://127.0.0.1:8200/v1 ZOOMAGENT_API_KEY=none
    inspect eval examples/inspect_task.py --model openai-api/zoomagent/zoomagent -T questions=$PWD/QUESTIONS.jsonl
    inspect eval examples/inspect_task.py --model openai-api/zoomagent/zoomagent-macro -T questions=$PWD/QUESTIONS.jsonl

QUESTIONS.jsonl is what `zoomagent batch` takes, with answers: a line of {"image", "question", "answer", "options"?};
pictures lie beside it. `zoomagent bench export --set vstar …` writes one of a published set. The second model is the
same one without a closer look. Options are told in zoomagent's own field; `-T letters=true` writes them into the
question and asks for a letter, as other models behind other endpoints are asked.
"""

import json
from pathlib import Path
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText
from inspect_ai.scorer import exact
from inspect_ai.solver import Generate, Solver, TaskState, solver


@task  # type: ignore[untyped-decorator]
def pictures(questions: str = "questions.jsonl", letters: bool = False) -> Task:
    """Every question of the file, right when the answer's words, or its letter, are."""
    file = Path(questions).absolute()
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    samples = [sample_of(row, file.parent, letters) for row in rows]
    return Task(dataset=MemoryDataset(samples), solver=asked(), scorer=exact())


def sample_of(row: dict[str, Any], folder: Path, letters: bool = False) -> Sample:
    image = row["image"] if row["image"].startswith("data:") else str(folder / row["image"])
    question, target, options = row["question"], row["answer"], row.get("options") or []
    if letters and options:
        listed = [f"{chr(65 + i)}. {option}" for i, option in enumerate(options)]
        question = "\n".join([question, *listed, "Answer with the option's letter."])
        target, options = chr(65 + options.index(target)), []
    content = [ContentImage(image=image), ContentText(text=question)]
    return Sample(input=[ChatMessageUser(content=content)], target=target, metadata={"options": options})


@solver  # type: ignore[untyped-decorator]
def asked() -> Solver:
    """Asks once; a question's options go where the endpoint reads them."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        options = state.metadata["options"]
        return await generate(state, extra_body={"zoomagent": {"options": options}} if options else None)

    return solve
