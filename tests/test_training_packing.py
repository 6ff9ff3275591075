"""Packed training rows mean exactly what the same dialogues mean one by one, in the format they are asked in."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from zoomagent.data.world.scene import SMALL as LEVEL
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.local.in_process import template_turn
from zoomagent.models.profiles import profile_for
from zoomagent.models.words.chat import arrange
from zoomagent.models.words.hermes import parse_calls
from zoomagent.prompts import CUES, box_prompt, micro_prompt, several_prompt
from zoomagent.training.nano.batching import collate, patchify, read, see
from zoomagent.training.nano.branches_tools import OFFERED
from zoomagent.training.nano.corpus import PHRASES, corpus
from zoomagent.training.nano.dense import DenseHead, Fields, cell_items, cell_targets
from zoomagent.training.nano.mix import Mix, Shapes
from zoomagent.training.nano.model import SMALL, NanoConfig, build_model, build_tokenizer, preprocessor
from zoomagent.training.nano.packing import IGNORE

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
    mix = make_mix(tokenizer)
    rows = [mix.row(first(tokenizer, name)) for name in ("several/relation", "tools/search")]
    rows.append(next(row for i in range(0, 160, 16) if len((row := mix.row(i)).looks[0].pixels) == TINY.search_side))
    batch = collate(rows, tokenizer.pad_token_id)
    with torch.no_grad():
        packed = model.lm_head(read(model, batch, [see(model, sight.pixels) for sight in batch.sights])[0])
    assert len(batch.sights) == 3, "wholes, larger wholes and crops"
    assert {name.split("/")[0] for row in rows for name in row.names} >= {"tools", "several", "micro"}
    for r, row in enumerate(rows):
        waiting = list(row.looks[1:])
        for number, name in enumerate(row.names, 1):
            ids, mine = alone(row, number)
            count = int((ids == tokenizer.convert_tokens_to_ids("<|vision_start|>")).sum()) - 1
            images = [row.looks[0].pixels, *(waiting.pop(0).pixels for _ in range(count))]
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
            assert text.endswith("<|im_end|>") and text.count("<|im_end|>") == text.count("<tool_call>") + 1
            assert "<|" not in text.replace("<|im_end|>", "")
            assert text.startswith("[") == name.startswith(("box", "every"))
            assert ("<tool_call>" in text) == (name.startswith("tools") and name != "tools/none")


def first(tokenizer: Any, name: str) -> int:
    """The first row that practises `name`."""
    return next(i for i in range(300) if name in make_mix(tokenizer).row(i).names)


def words(tokenizer: Any, name: str) -> str:
    """A practised dialogue as text, every view one placeholder."""
    row = make_mix(tokenizer).row(first(tokenizer, name))
    ids, _ = alone(row, row.names.index(name) + 1)
    text: str = tokenizer.decode(ids)
    while "<|image_pad|><|image_pad|>" in text:
        text = text.replace("<|image_pad|><|image_pad|>", "<|image_pad|>")
    return text


def rendered(tokenizer: Any, messages: list[Message], tools: Any = ()) -> str:
    """The same as a run renders it."""
    told = arrange(
        messages, replace(profile_for("Qwen3-VL-2B-Instruct"), tool_dialect="hermes", alternates=False), tools
    )
    text: str = tokenizer.apply_chat_template([template_turn(m) for m in told], tokenize=False)
    return text.removesuffix("\n")


def user(*parts: str) -> Message:
    image = Image.new("RGB", (16, 16))
    return Message("user", tuple(Pixels("v", image) if part == "" else Text(part) for part in parts))


def said(text: str) -> Message:
    return Message("assistant", (Text(text),))


def test_training_text_of_a_closer_look_is_what_a_run_renders(tokenizer: Any) -> None:
    text = words(tokenizer, "micro/read")
    question = text.split("this question asks: ")[1].split("\nReply")[0]
    box, answer = (part.split("<|im_end|>")[0] for part in text.split("assistant\n")[1:])
    options = re.findall(r"^[A-D]\. (.+)$", text, re.MULTILINE)
    messages = [user("", box_prompt(question, "thousand")), said(box)]
    messages += [user("", micro_prompt(question, options)), said(answer)]
    assert rendered(tokenizer, messages) == text


def test_training_text_of_several_crops_is_what_a_run_renders(tokenizer: Any) -> None:
    text = words(tokenizer, "several/relation")
    question = text.split("picture. ")[1].split("<|im_end|>")[0]
    cues, answer = (part.split("<|im_end|>")[0] for part in text.split("assistant\n")[1:])
    options = re.findall(r"^[A-D]\. (.+)$", text, re.MULTILINE)
    messages = [user("", CUES + question), said(cues)]
    messages += [user("", "", "", several_prompt(question, options)), said(answer)]
    assert rendered(tokenizer, messages) == text


def test_training_text_of_tool_calls_is_what_a_run_renders(tokenizer: Any) -> None:
    text = words(tokenizer, "tools/search+zoom_in")
    spoken = [part.split("<|im_end|>")[0] for part in text.split("assistant\n")[1:]]
    responses = [part.split("\n</tool_response>")[0] for part in text.split("<tool_response>\n")[1:]]
    question = text.split("<|vision_end|>")[1].split("<|im_end|>")[0]
    messages = [user("", question)]
    for call, response in zip(spoken, responses, strict=False):
        [parsed] = parse_calls(call)[1]
        messages.append(Message("assistant", (), tool_calls=(parsed,)))
        messages.append(Message("tool", (Text(response), *user("").parts), tool_call_id=parsed.id))
    assert rendered(tokenizer, [*messages, said(spoken[-1])], OFFERED) == text


def test_a_row_depends_on_seed_and_index_only(tokenizer: Any) -> None:
    a, b = make_mix(tokenizer).row(7), make_mix(tokenizer).row(7)
    assert np.array_equal(a.packed.ids, b.packed.ids) and np.array_equal(a.looks[0].pixels, b.looks[0].pixels)
    assert not np.array_equal(a.looks[0].pixels, make_mix(tokenizer).row(8).looks[0].pixels)


def test_the_tokenizer_is_small_and_keeps_digits_letters_and_yes_no_single(tokenizer: Any) -> None:
    assert len(tokenizer) <= 2000
    for text in [*"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", "Yes", "No", *PHRASES]:
        assert len(tokenizer.encode(text)) == 1, text
    text = "Where is Ärger 47 <tool_call>\n{}\t\n?"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_cell_under_an_items_centre_names_it() -> None:
    from zoomagent.data.world.scene import draw_scene

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

    from zoomagent.training.nano.model import save_checkpoint

    save_checkpoint(model, tokenizer, TINY, tmp_path)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path, dtype=torch.float32)
    for name, tensor in model.state_dict().items():
        assert torch.allclose(again.state_dict()[name], tensor, atol=1e-2), name
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == tokenizer.chat_template
