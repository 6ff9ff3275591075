"""Packed training rows mean exactly what the same dialogues mean one by one, in the format they are asked in."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoomagent.data.scene import SMALL as LEVEL
from zoomagent.models.nano import SMALL, NanoConfig, build_model, build_tokenizer, preprocessor
from zoomagent.prompts import box_prompt, macro_prompt, micro_prompt
from zoomagent.training.batching import collate, patchify, read, see
from zoomagent.training.corpus import PHRASES, corpus
from zoomagent.training.dense import DenseHead, Fields, cell_items, cell_targets
from zoomagent.training.mix import Mix, Shapes
from zoomagent.training.packing import IGNORE

TINY = replace(SMALL, vision_width=32, vision_depth=2, vision_mlp=32, text_width=64, text_depth=2, text_mlp=32, heads=2)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(corpus(LEVEL, scenes=60), PHRASES)


@pytest.fixture(scope="module")
def model(tokenizer: Any) -> Any:
    torch.manual_seed(0)
    return build_model(TINY, tokenizer).eval()


def make_mix(tokenizer: Any, config: NanoConfig = TINY) -> Mix:
    return Mix(tokenizer, config, LEVEL, 5, Shapes())


def alone(row: Any, number: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Ids of the prefix with one branch, and which of them belong to the branch."""
    mine = (row.packed.branch == 0) | (row.packed.branch == number)
    return row.packed.ids[mine], row.packed.branch[mine] == number


def test_a_branch_gets_the_logits_it_would_get_alone(model: Any, tokenizer: Any) -> None:
    rows = [make_mix(tokenizer).row(i) for i in range(2)]
    batch = collate(rows, tokenizer.pad_token_id)
    with torch.no_grad():
        packed = model.lm_head(read(model, batch, see(model, batch.macros), see(model, batch.crops))[0])
    crops = 0
    for r, row in enumerate(rows):
        for number, name in enumerate(row.names, 1):
            ids, mine = alone(row, number)
            images = [row.macro] + ([row.crops[crops % 2]] if name.startswith("micro") else [])
            crops += name.startswith("micro")
            expected = forward_stock(model, ids, images)[mine]
            got = packed[r][torch.from_numpy(np.nonzero(row.packed.branch == number)[0])]
            assert torch.allclose(got, expected, atol=2e-4), name


def forward_stock(model: Any, ids: np.ndarray[Any, Any], images: list[Any]) -> torch.Tensor:
    flat, grids = zip(*(patchify(torch.from_numpy(i)[None], 8, 2) for i in images), strict=True)
    image = model.config.image_token_id
    tokens = torch.from_numpy(ids)[None]
    with torch.no_grad():
        out = model(
            input_ids=tokens,
            pixel_values=torch.cat(flat),
            image_grid_thw=torch.cat(grids),
            mm_token_type_ids=(tokens == image).int(),
        )
    logits: torch.Tensor = out.logits[0]
    return logits


def test_patches_are_those_of_the_stock_image_processor() -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)
    stock = Qwen2VLImageProcessorPil(**preprocessor(SMALL))
    wanted = stock(images=[Image.fromarray(picture)], return_tensors="pt")
    flat, grid = patchify(torch.from_numpy(picture)[None], 8, 2)
    assert torch.equal(wanted["image_grid_thw"], grid)
    assert torch.allclose(wanted["pixel_values"].float(), flat, atol=1e-2)


def test_only_assistant_text_carries_labels(tokenizer: Any) -> None:
    for index in range(6):
        row = make_mix(tokenizer).row(index)
        for number, name in enumerate(row.names, 1):
            mine = (row.packed.branch == number) & (row.packed.labels != IGNORE)
            text = tokenizer.decode(row.packed.labels[mine])
            assert text.endswith("<|im_end|>") and text.count("<|im_end|>") == 1
            assert "<|" not in text.removesuffix("<|im_end|>")
            assert text.startswith("[") == name.startswith("box")


def test_training_text_is_what_the_chat_template_gives(tokenizer: Any) -> None:
    """A micro dialogue, rendered as a run renders it, has the very tokens it was trained on."""
    row = make_mix(tokenizer).row(3)
    number = next(n for n, name in enumerate(row.names, 1) if name.startswith("micro"))
    ids, _ = alone(row, number)
    text = collapse(tokenizer.decode(ids))
    question = text.split("this question asks: ")[1].split("\nReply")[0]
    box = text.split("assistant\n")[1].split("<|im_end|>")[0]
    answer = text.split("assistant\n")[2].removesuffix("<|im_end|>")
    image = {"type": "image"}
    messages = [
        {"role": "user", "content": [image, {"type": "text", "text": box_prompt(question, "thousand")}]},
        {"role": "assistant", "content": box},
        {"role": "user", "content": [image, {"type": "text", "text": micro_prompt(question)}]},
        {"role": "assistant", "content": answer},
    ]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False).removesuffix("\n")
    assert collapse(rendered) == text
    assert macro_prompt(question) in text


def collapse(text: str) -> str:
    while "<|image_pad|><|image_pad|>" in text:
        text = text.replace("<|image_pad|><|image_pad|>", "<|image_pad|>")
    return text


def test_a_row_depends_on_seed_and_index_only(tokenizer: Any) -> None:
    a, b = make_mix(tokenizer).row(7), make_mix(tokenizer).row(7)
    assert np.array_equal(a.packed.ids, b.packed.ids) and np.array_equal(a.macro, b.macro)
    assert not np.array_equal(a.macro, make_mix(tokenizer).row(8).macro)


def test_the_tokenizer_is_small_and_keeps_digits_letters_and_yes_no_single(tokenizer: Any) -> None:
    assert len(tokenizer) <= 2000
    for text in [*"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", "Yes", "No", *PHRASES]:
        assert len(tokenizer.encode(text)) == 1, text
    text = "Where is Ärger 47 <tool_call>\n{}\t\n?"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_cell_under_an_items_centre_names_it() -> None:
    from zoomagent.data.scene import draw_scene

    for index in range(20):
        scene = draw_scene(LEVEL, 1, index)
        items = cell_items(scene, (0, 0, 1, 1), 128, 16)
        cells = cell_targets(scene, LEVEL, (0, 0, 1, 1), 128, items).reshape(8, 8, -1)
        named = 0
        for item in scene.items:
            cell = cells[int(item.y * 8), int(item.x * 8)]
            named += cell[0] == LEVEL.shapes.index(item.shape) + 1 and cell[1] == LEVEL.colours.index(item.colour) + 1
        assert named >= len(scene.items) - 1
        assert cells.shape[-1] == len(Fields(LEVEL).sizes())


def test_the_dense_loss_falls_to_nothing_when_the_head_is_right() -> None:
    head = DenseHead(8, 8, LEVEL)
    targets = torch.zeros((4, len(head.sizes)), dtype=torch.long)
    targets[:, 0] = 2
    with torch.no_grad():
        head.out.weight.zero_()
        head.out.bias.zero_()
        starts = np.cumsum([0, *head.sizes[:-1]])
        for start, wanted in zip(starts, targets[0], strict=True):
            head.out.bias[start + int(wanted)] = 50.0
    loss, hits = head(torch.randn(4, 8), targets)
    assert float(loss.detach()) < 1e-6 and bool((hits == 1).all())


def test_saved_weights_load_as_a_stock_checkpoint(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoTokenizer

    from zoomagent.models.nano import save_checkpoint

    save_checkpoint(model, tokenizer, TINY, tmp_path)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32)
    for name, tensor in model.state_dict().items():
        assert torch.allclose(again.state_dict()[name], tensor, atol=1e-2), name
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == tokenizer.chat_template
