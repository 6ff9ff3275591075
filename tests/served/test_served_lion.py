"""LION served: a base with one level more and a learned token, and a LoRA for each task, answer as in this process."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from questions import Asked
from real_server import VllmServer

from zoomagent import ZoomAgent
from zoomagent.graphs.asking import tag_parts
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.loading import load_model
from zoomagent.prompts import ground_prompt, macro_prompt
from zoomagent.strategy import Task
from zoomagent.training.base import Base
from zoomagent.training.lion.level import HINT
from zoomagent.training.lion.mixture import FFN
from zoomagent.training.lion.run import Lion, Settings

pytest_plugins = ["servers"]
pytestmark = [
    pytest.mark.served,
    pytest.mark.skipif("ZOOMAGENT_TEST_LLAMA" in os.environ, reason="adapters are served by vLLM here"),
]

SAME_LIKELIHOOD = 0.05
"""Nats by which a likelihood over the wire may differ."""
TASKS: tuple[Task, ...] = ("image", "region")


@pytest.fixture(scope="session")
def lion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of all stages, as they write it. Its parts are moved at random instead of trained: far enough that
    each of them is heard."""
    torch.manual_seed(11)
    folder, model = tmp_path_factory.mktemp("lion"), "nano"
    for stage, moved, far, aggregator in (
        ("both", (".poly_lora", "deepstack_merger_list.1."), 0.2, "level"),
        ("tags", ("q_proj", "embed_tokens"), 0.02, "none"),
    ):
        out = folder / stage
        made = Lion(Base.open(model), Settings(stage, model, folder, out, 1, size=4, aggregator=aggregator))  # type: ignore[arg-type]
        with torch.no_grad():
            for name, weight in made.model.named_parameters():
                if weight.requires_grad and any(part in name for part in moved):
                    rows = slice(made.profile.hint_id, made.profile.hint_id + 1) if "embed" in name else slice(None)
                    weight[rows] += far * torch.randn_like(weight[rows])
        made.export(out)
        model = str(out)
    return folder / "tags"


@pytest.fixture(scope="session")
def served(lion: Path, logs: Path) -> Iterator[str]:
    """What --model takes of the server that has the checkpoint."""
    modules = [f"{task}={lion / 'loras' / task}" for task in ("region", "image")]
    # Without the names of its layers it wraps the last one too, and scoring given text ends vLLM 0.32 on a CPU.
    layers = ("--lora-target-modules", *FFN)
    options = ("--enable-lora", "--max-lora-rank", "16", *layers, "--lora-modules", *modules)
    with VllmServer(logs / "lion.log", *options, name="lion", model=lion) as server:
        yield server.url


def dialogues(asked: list[Asked], profile: Any) -> list[list[Message]]:
    """Each question with tags and the learned token before it, and each picture with a box to find."""
    made = []
    for number, one in enumerate(asked):
        whole = one.picture.convert("RGB").resize((128, 128))
        shown = Pixels(f"lion {number}", whole)
        tags = tag_parts(("red circle", "blue square"), profile)
        made.append([Message("user", (shown, *tags, Text(macro_prompt(one.question))))])
        made.append([Message("user", (shown, Text(ground_prompt("red circle", "thousand"))))])
    return made


def test_each_task_says_the_same_over_the_wire(served: str, lion: Path, asked: list[Asked]) -> None:
    async def said(source: str, profile: str | None) -> list[list[tuple[str, tuple[float, ...]]]]:
        model: Any = load_model(source, profile=profile)
        found: list[list[tuple[str, tuple[float, ...]]]] = []
        for told in dialogues(asked[:6], model.profile):
            of_task = []
            for task in TASKS:
                [reply] = await model.generate(told, max_tokens=24, task=task)
                likelihoods = await model.score(told, ["Yes", "red", "[0, 0, 500, 500]"], task=task)
                assert HINT not in reply.text
                of_task.append((reply.text, tuple(one.logprob for one in likelihoods)))
            found.append(of_task)
        await model.aclose()
        return found

    here, there = asyncio.run(said(str(lion), None)), asyncio.run(said(served, str(lion)))
    for mine, theirs in zip(here, there, strict=True):
        assert [text for text, _ in mine] == [text for text, _ in theirs]
        for (_, each), (_, others) in zip(mine, theirs, strict=True):
            assert others == pytest.approx(each, abs=SAME_LIKELIHOOD)
        # Both adapters are heard, each in its own way.
        assert len({round(values[-1], 1) for _, values in mine}) == len(TASKS)


def test_the_agent_with_routes_and_tags_gives_the_same(served: str, lion: Path, asked: list[Asked]) -> None:
    def answered(source: str, profile: str | None) -> list[Any]:
        with ZoomAgent(source, profile=profile, arbiter="none", tags="auto") as agent:
            answers = [agent.ask(one.picture, one.question) for one in asked[:4]]
        boxes = [[item.box for item in answer.evidence] for answer in answers]
        tags = [[tag.label for tag in answer.tags] for answer in answers]
        texts = [(answer.text, answer.outcome.kind, answer.perspective) for answer in answers]
        return [texts, boxes, tags]

    assert answered(served, str(lion)) == answered(str(lion), None)
