"""A profile belongs to a model by exact rules for its name, or by what its server says; the arbiter by the weights."""

import asyncio
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from fake_server import Action, FakeServer, choice, completion
from PIL import Image

from zoomagent import Budget, ZoomAgent
from zoomagent.data.world.render import drawn_picture
from zoomagent.data.world.scene import SMALL, draw_scene
from zoomagent.models.loading import NANO_WEIGHTS, load_model, use_profile, weights_of
from zoomagent.models.profiles import UNKNOWN, profile_for
from zoomagent.models.server.connection import Connection
from zoomagent.models.server.openai_server import IDENTIFY_SECONDS, OpenAIModel
from zoomagent.models.server.retrying import RetryPolicy

FAMILIES = {
    "Qwen/Qwen3-VL-30B-A3B-Thinking-FP8": "qwen3-vl",
    "qwen/qwen3-vl-235b-a22b-instruct": "qwen3-vl",
    "Qwen/Qwen3.5-35B-A3B": "qwen3-vl",
    "qwen/qwen-2.5-vl-7b-instruct": "qwen2.5-vl",
    "qwen2.5vl:7b": "qwen2.5-vl",
    "/srv/models/Qwen2.5-VL-7B-Instruct": "qwen2.5-vl",
    "ChenShawn/DeepEyes-7B": "qwen2.5-vl",
    "Mini-o3/Mini-o3-7B-v1": "mini-o3",
    "TIGER-Lab/PixelReasoner-RL-v1": "pixel-reasoner",
    "ByteDance-Seed/UI-TARS-1.5-7B": "ui-tars-1.5",
    "ByteDance-Seed/UI-TARS-7B-DPO": "ui-tars",
    "opengvlab/internvl3-14b:free": "internvl",
    "OpenGVLab/InternVL3_5-241B-A28B": "internvl",
    "zai-org/GLM-4.5V": "glm-v",
    "openbmb/MiniCPM-V-2_6": "minicpm-v",
    "deepseek-ai/deepseek-vl2-small": "deepseek-vl2",
    "google/gemini-2.5-pro": "gemini",
    "nano": "nano",
}
UNKNOWNS = ["gpt-4.1-nano", "nvidia/Llama-3.1-Nemotron-Nano-VL-8B-V1", "x/nano", "my-nano", "nanollava", "qwen3-5b"]
UNKNOWNS += ["gpt-4o", "o3", "anthropic/claude-sonnet-4", "google/gemma-3-27b-it", "moonshotai/Kimi-VL-A3B-Thinking"]
UNKNOWNS += ["mistralai/Pixtral-12B-2409", "HuggingFaceTB/SmolVLM2-2.2B", "meta-llama/Llama-4-Scout-17B", "xqwen2-vl"]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_told_by_whole_parts_of_a_name(name: str) -> None:
    assert profile_for(name, {}).family == FAMILIES[name]


@pytest.mark.parametrize("name", UNKNOWNS)
def test_a_name_that_only_contains_one_is_another_model(name: str) -> None:
    assert profile_for(name, {}) == UNKNOWN


class Listing(FakeServer):
    """Serves one model under a name that says nothing."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        super().__init__()
        self._entries = entries

    def decide(self, path: str, body: bytes) -> Action:
        self.paths.append(path)
        if path.endswith("/models"):
            return {"data": self._entries}
        self.requests.append(json.loads(body))
        return completion([choice(0, "red")])


def identified(name: str, *entries: dict[str, Any]) -> OpenAIModel:
    model = OpenAIModel("http://x/v1", name, transport=Listing(list(entries)).transport(), retries=RetryPolicy(1))
    asyncio.run(model.identify())
    return model


@pytest.mark.parametrize(
    ("name", "entry", "family"),
    [
        ("vision", {"id": "vision", "root": "Qwen/Qwen2.5-VL-7B-Instruct", "owned_by": "vllm"}, "qwen2.5-vl"),
        ("", {"id": "vision", "root": "Qwen/Qwen3-VL-8B-Instruct"}, "qwen3-vl"),
        ("lora", {"id": "lora", "root": "/adapters/mine", "parent": "Qwen/Qwen3-VL-8B-Instruct"}, "qwen3-vl"),
        ("vision", {"id": "other", "root": "Qwen/Qwen2.5-VL-7B-Instruct"}, "unknown"),
        ("vision", {"id": "vision", "root": "nano"}, "unknown"),
        ("vision", {"id": "vision", "root": 7}, "unknown"),
    ],
)
def test_what_a_server_says_of_its_model_goes_before_a_name_that_says_nothing(
    name: str, entry: dict[str, Any], family: str
) -> None:
    assert identified(name, entry).profile.family == family


def test_views_are_drawn_for_the_model_that_the_server_says_it_serves() -> None:
    server = Listing([{"id": "vision", "root": "Qwen/Qwen2.5-VL-7B-Instruct"}])
    model = OpenAIModel("http://x/v1", "vision", transport=server.transport())
    asyncio.run(model.identify())
    answer = ZoomAgent(model, strategy="macro").ask(Image.new("RGB", (800, 600)), "What colour?")
    assert answer.text == "red" and not any("family" in reason for reason in answer.reasons)


def test_an_unknown_family_is_said_in_the_reasons_and_takes_nothing_from_the_answer() -> None:
    model = OpenAIModel("http://x/v1", "m", transport=Listing([]).transport())
    answer = ZoomAgent(model, strategy="macro").ask(Image.new("RGB", (800, 600)), "What colour?")
    assert answer.outcome.kind == "answered" and "family is not known" in answer.reasons[-1]


def test_the_packaged_arbiter_judges_the_packaged_weights_and_no_others_of_that_name(tmp_path: Path) -> None:
    served = OpenAIModel("http://x/v1", "nano", transport=Listing([]).transport())
    answer = ZoomAgent(served, strategy="macro").ask(Image.new("RGB", (800, 600)), "What colour?")
    assert answer.confidence_from != "calibrated" and weights_of(served) == ""
    scene = drawn_picture(draw_scene(SMALL, 5, 1), 1024, "scene")
    shutil.copytree(NANO_WEIGHTS, tmp_path / "copy")
    with ZoomAgent(str(tmp_path / "copy"), strategy="locate") as agent:
        answer = agent.ask(scene, "What colour is the background?")
        assert answer.confidence_from == "calibrated"
    shutil.copytree(NANO_WEIGHTS, tmp_path / "nano")
    weights = tmp_path / "nano" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    with ZoomAgent(str(tmp_path / "nano"), strategy="locate") as agent:
        answer = agent.ask(scene, "What colour is the background?")
        assert answer.confidence_from != "calibrated"
    assert weights_of(load_model("nano"))


@pytest.mark.parametrize(("seconds", "most"), [(0.05, 0.05), (0.0, 0.0), (-1.0, 0.0), (60.0, IDENTIFY_SECONDS)])
def test_a_server_has_no_longer_to_list_its_models_than_the_run_has(
    monkeypatch: pytest.MonkeyPatch, seconds: float, most: float
) -> None:
    ends: list[float] = []

    async def listed(self: Connection, deadline: float, attempts: int) -> list[dict[str, str]]:
        ends.append(deadline - time.monotonic())
        return []

    monkeypatch.setattr(Connection, "listed", listed)
    with ZoomAgent("http://x/v1#vision", strategy="macro", budget=Budget(seconds=max(seconds, 1e-9))) as agent:
        agent.ask(Image.new("RGB", (80, 60)), "What colour?")
    asyncio.run(OpenAIModel("http://x/v1", "vision").identify(seconds))
    assert len(ends) == 2 and all(end <= max(most, 1e-9) for end in ends)


def test_fields_stay_when_the_server_says_its_name_later() -> None:
    model = OpenAIModel("http://x/v1", transport=Listing([{"id": "Qwen/Qwen2.5-VL-7B-Instruct"}]).transport())
    use_profile(model, {"max_images": 3})
    asyncio.run(model.identify())
    assert (model.profile.family, model.profile.max_images) == ("qwen2.5-vl", 3)
