"""Frames behind their times are Qwen3-VL's own video path: the same words as its processor writes, the same numbers as
its video input gives where a temporal patch holds one frame twice. (Its video processor itself needs torchvision.)"""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor

from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.loading import load_model
from zoomagent.models.local.in_process import InProcessModel
from zoomagent.models.profiles import profile_for
from zoomagent.prompts import timed

TIMES = (0, 400, 1250, 65_040)
SIDE = 96
START, END, IMAGE, VIDEO = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"


@pytest.fixture(scope="module")
def model() -> InProcessModel:
    model = load_model("nano")
    assert isinstance(model, InProcessModel)
    return model


def frame(number: int) -> Image.Image:
    rng = np.random.default_rng(number)
    return Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), np.uint8))


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    frames = [Pixels(f"f{number}", frame(number), before=timed(time)) for number, time in enumerate(TIMES)]
    return [Message("user", (*frames, Text("What is it?")))]


def of_the_processor(tokens: int) -> str:
    """What Qwen3-VL's own processor writes for a video of these frames, each of them twice."""
    processor: Any = Qwen3VLProcessor.__new__(Qwen3VLProcessor)
    parts = {"vision_start_token": START, "vision_end_token": END, "video_token": VIDEO}
    processor.__dict__.update(parts, video_processor=SimpleNamespace(merge_size=2, temporal_patch_size=2))
    metadata = SimpleNamespace(fps=1000, frames_indices=[time for time in TIMES for _ in range(2)])
    grid = torch.tensor([[len(TIMES), 2, 2 * tokens]])
    return str(processor.replace_video_token({"video_grid_thw": grid, "video_metadata": [metadata]}, 0))


def test_the_words_are_those_of_the_models_own_processor(model: InProcessModel, messages: list[Message]) -> None:
    [view] = {len(view.tokens) for view in model.encode(messages, ()).views}
    ids = model.encode(messages, ()).ids[0].tolist()
    text = model._loaded.tokenizer.decode(ids)
    written = text[text.index("<0.0 seconds>") : text.index("What is it?")]
    assert written.replace(IMAGE, VIDEO) == of_the_processor(view)


def test_the_numbers_are_those_of_the_models_own_video_path(model: InProcessModel, messages: list[Message]) -> None:
    network, config = model._loaded.model, model._loaded.model.config
    ids = model.encode(messages, ()).ids
    inputs = model._loaded.image_processor(images=[frame(n) for n in range(len(TIMES))], return_tensors="pt")
    pixels, grids = inputs["pixel_values"], inputs["image_grid_thw"]
    is_view = ids == config.image_token_id
    as_video = torch.where(is_view, config.video_token_id, ids)
    video = torch.tensor([[len(TIMES), *grids[0, 1:].tolist()]])
    with torch.inference_mode():
        images = network(
            input_ids=ids, pixel_values=pixels, image_grid_thw=grids, mm_token_type_ids=is_view.int()
        ).logits
        clip = network(
            input_ids=as_video, pixel_values_videos=pixels, video_grid_thw=video, mm_token_type_ids=2 * is_view.int()
        ).logits
    assert torch.equal(images[:, -1], clip[:, -1]) and images[:, -1].std() > 0
    # The times are read: other words before the frames give other numbers.
    later = [replace(part, before="<9.9 seconds>") if isinstance(part, Pixels) else part for part in messages[0].parts]
    others = model._prefill([model.encode([Message("user", tuple(later))], ())]).logits
    assert not torch.equal(others, model._prefill([model.encode(messages, ())]).logits)


def test_a_profile_says_how_segments_are_shown() -> None:
    assert profile_for("Qwen/Qwen3-VL-8B-Instruct").frames == "timed"
    assert profile_for("nano").frames == profile_for("Qwen/Qwen2.5-VL-7B-Instruct").frames == "sheet"
    assert profile_for("Qwen/Qwen3-VL-8B-Instruct").times == "seconds" and not profile_for("nano").clip_tools
