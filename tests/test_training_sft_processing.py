"""The processor that trainers are given prepares what the in-process model would, and tells whose words are whose."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_checkpoint import save_tiny
from transformers import AutoTokenizer, Qwen2VLImageProcessorPil
from trl.chat_template_utils import (
    is_chat_template_prefix_preserving,
    qwen2_5_vl_chat_template,
    qwen3_vl_chat_template,
    supports_tool_calling,
)

from zoomagent.errors import ModelNotFound, SettingInvalid
from zoomagent.models.base import Message, Pixels, Text, ToolCall
from zoomagent.models.loading import NANO_WEIGHTS
from zoomagent.models.local.in_process import InProcessModel
from zoomagent.models.words.qwen_chat import CHAT_TEMPLATE
from zoomagent.tools.definitions import definitions
from zoomagent.training.sft.processing import ViewProcessor, load_processor

TOOLS = definitions(("image_zoom_in_tool", "image_search_tool"), "thousand")
ARGUMENTS = '{"bbox_2d":[1,2,300,400],"label":"the disc","img_idx":0}'
WHOLE, CROP = Image.effect_noise((128, 96), 60).convert("RGB"), Image.effect_noise((80, 80), 60).convert("RGB")
SAID = [f'<tool_call>\n{{"name": "image_zoom_in_tool", "arguments": {ARGUMENTS}}}\n</tool_call><|im_end|>']
SAID += ["I look again.\n" + SAID[0], "42<|im_end|>"]


def image(view: Image.Image) -> dict[str, Any]:
    return {"type": "image", "image": view}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def conversation() -> list[dict[str, Any]]:
    calls = [{"type": "function", "function": {"name": "image_zoom_in_tool", "arguments": ARGUMENTS}}]
    return [
        {"role": "user", "content": [image(WHOLE), text("What is written?")]},
        {"role": "assistant", "content": [], "tool_calls": calls},
        {"role": "tool", "content": [text("img_idx 1 shows it.")]},
        {"role": "user", "content": [image(CROP)]},
        {"role": "assistant", "content": [text("I look again.")], "tool_calls": calls},
        {"role": "tool", "content": [text("You have been there.")]},
        {"role": "assistant", "content": [text("42")]},
    ]


def as_told() -> list[Message]:
    """The conversation up to the last answer, as the in-process model is given it."""
    call = ToolCall("c", "image_zoom_in_tool", ARGUMENTS)
    return [
        Message("user", (Pixels("whole", WHOLE), Text("What is written?"))),
        Message("assistant", (), (call,)),
        Message("tool", (Text("img_idx 1 shows it."), Pixels("crop", CROP)), tool_call_id="c"),
        Message("assistant", (Text("I look again."),), (call,)),
        Message("tool", (Text("You have been there."),), tool_call_id="c"),
    ]


@pytest.fixture(scope="module", params=["nano", "qwen3_vl", "qwen2_5_vl", "qwen2_5_vl with its own template"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "nano":
        return NANO_WEIGHTS
    folder = save_tiny(tmp_path_factory.mktemp("tiny"), request.param.split()[0])
    template = qwen3_vl_chat_template if request.param != "qwen2_5_vl with its own template" else None
    (folder / "chat_template.jinja").write_text(template or qwen2_5_vl_chat_template)
    return folder


@pytest.fixture(scope="module")
def processor(checkpoint: Path) -> ViewProcessor:
    return load_processor(str(checkpoint))


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Iterator[InProcessModel]:
    made = InProcessModel(str(checkpoint))
    yield made
    asyncio.run(made.aclose())


def prepared(processor: ViewProcessor, messages: Sequence[Any], **options: Any) -> Any:
    options = {"tools": TOOLS, "tokenize": True, "return_dict": True, "return_tensors": "pt", **options}
    return processor.apply_chat_template(messages, **options)


def test_ids_and_pixels_are_the_in_process_models_own(processor: ViewProcessor, model: InProcessModel) -> None:
    ours = prepared(processor, conversation()[:-1], add_generation_prompt=True)
    prompt = model.encode(as_told(), TOOLS)
    assert torch.equal(ours["input_ids"], prompt.ids)
    seen = model._loaded.image_processor(images=[WHOLE, CROP], return_tensors="pt")
    assert torch.equal(ours["pixel_values"], seen["pixel_values"])
    assert torch.equal(ours["image_grid_thw"], torch.tensor([view.grid for view in prompt.views]))
    assert torch.equal(ours["mm_token_type_ids"], (prompt.ids == model._loaded.image_id).int())


def test_the_mask_decodes_to_exactly_what_the_assistant_said(processor: ViewProcessor) -> None:
    template = processor.training_template
    out = prepared(processor, conversation(), return_assistant_tokens_mask=True, chat_template=template)
    ids, mask = out["input_ids"][0], torch.as_tensor(out["assistant_masks"])[0].bool()
    runs = torch.tensor_split(ids, (mask.diff().nonzero()[:, 0] + 1).tolist())[1::2]
    assert [processor.tokenizer.decode(run) for run in runs] == SAID
    assert torch.equal(ids, prepared(processor, conversation())["input_ids"][0])


def test_batches_pad_what_is_shorter(processor: ViewProcessor) -> None:
    short = [{"role": "user", "content": [image(CROP), text("What?")]}]
    out = prepared(processor, [conversation(), short], processor_kwargs={"padding": True})
    assert len(out["image_grid_thw"]) == 3 and out["attention_mask"].sum(1).tolist()[1] < out["input_ids"].shape[1]
    assert not out["mm_token_type_ids"][out["attention_mask"] == 0].any()


def test_trl_takes_its_template_for_tools_and_for_many_turns(processor: ViewProcessor) -> None:
    assert supports_tool_calling(processor) and is_chat_template_prefix_preserving(processor)


def test_what_it_saves_stock_transformers_loads(processor: ViewProcessor, tmp_path: Path) -> None:
    processor.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == processor.chat_template
    again = Qwen2VLImageProcessorPil.from_pretrained(tmp_path)
    assert again.to_dict() == processor.image_processor.to_dict()


def test_a_template_that_says_other_words_is_refused(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "tiny")
    (folder / "chat_template.jinja").write_text(qwen3_vl_chat_template.replace("# Tools", "# Instruments"))
    with pytest.raises(SettingInvalid, match="generation"):
        _ = load_processor(str(folder)).training_template


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="nowhere"):
        load_processor(str(tmp_path / "nowhere"))


def test_nanos_template_is_told_apart_by_its_marks_alone() -> None:
    nano = load_processor("nano")
    assert nano.training_template == nano.chat_template == CHAT_TEMPLATE
