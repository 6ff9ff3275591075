"""The in-process model on random checkpoints: exact likelihoods, exact boundaries, views seen once, limits kept."""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_checkpoint import save_tiny
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from zoomagent.errors import ContextTooLong, ModelNotFound, ModelUnavailable, PolicyFileRefused, SettingInvalid
from zoomagent.geometry import Size
from zoomagent.models.base import Message, Pixels, Text, ToolCall
from zoomagent.models.loading import load_model
from zoomagent.models.local.in_process import InProcessModel, template_turn
from zoomagent.models.profiles import NANO, QWEN2_5_VL, QWEN3_VL, UNKNOWN
from zoomagent.models.words.chat import arrange
from zoomagent.models.words.qwen_chat import CHAT_TEMPLATE

TOOL = {"type": "function", "function": {"name": "zoom", "parameters": {"type": "object"}}}


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def view(key: str = "v", size: tuple[int, int] = (64, 48), color: str = "red") -> Pixels:
    return Pixels(key, Image.new("RGB", size, color))


def asking(*parts: Text | Pixels) -> list[Message]:
    return [Message("user", parts)]


@pytest.fixture(scope="module", params=["qwen3_vl", "qwen2_5_vl"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    torch.set_num_threads(1)
    return request.param, save_tiny(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def model(family: tuple[str, Path]) -> Iterator[InProcessModel]:
    made = InProcessModel(str(family[1]))
    yield made
    run(made.aclose())


def test_a_sound_is_refused_where_nobody_hears(model: InProcessModel) -> None:
    heard = replace(view("a"), wav=b"RIFF")
    with pytest.raises(SettingInvalid, match="no sounds"):
        run(model.generate(asking(heard, Text("What is it?")), max_tokens=1))


def test_greedy_text_equals_stock_generate(model: InProcessModel) -> None:
    told = asking(view("a"), Text("and"), view("b", (32, 80), "blue"), Text("What?"))
    [reply] = run(model.generate(told, max_tokens=12))
    loaded, prompt = model._loaded, model.encode(told, ())
    images = [part.image for part in told[0].parts if isinstance(part, Pixels)]
    expected = loaded.model.generate(
        input_ids=prompt.ids,
        attention_mask=torch.ones_like(prompt.ids),
        mm_token_type_ids=(prompt.ids == loaded.image_id).int(),
        **loaded.image_processor(images=images, return_tensors="pt"),
        max_new_tokens=12,
        do_sample=False,
        suppress_tokens=list(loaded.never),
    )[0, prompt.ids.shape[1] :].tolist()
    while expected and expected[-1] in loaded.stop_ids:
        expected.pop()
    assert reply.text == loaded.tokenizer.decode(expected)


def test_scores_equal_a_plain_forward_pass(model: InProcessModel) -> None:
    told = asking(view(), Text("What?"))
    continuations = ["Yes", "No", "a longer answer", "\n odd start"]
    likelihoods = run(model.score(told, continuations))
    for text, likelihood in zip(continuations, likelihoods, strict=True):
        total, count = plain_score(model, told, text)
        assert likelihood.tokens == count
        assert likelihood.logprob == pytest.approx(total, abs=1e-3)


def plain_score(model: InProcessModel, told: list[Message], text: str) -> tuple[float, int]:
    loaded, prompt = model._loaded, model.encode(told, ())
    given = loaded.tokenizer.encode(text, add_special_tokens=False)
    ids = torch.cat([prompt.ids, torch.tensor([given])], dim=1)
    images = [part.image for part in told[0].parts if isinstance(part, Pixels)]
    with torch.inference_mode():
        logits = (
            loaded.model(
                input_ids=ids,
                mm_token_type_ids=(ids == loaded.image_id).int(),
                **loaded.image_processor(images=images, return_tensors="pt"),
            )
            .logits[0]
            .clone()
        )
        logits[:, list(loaded.never)] = -torch.inf
        rows = logits.log_softmax(-1)[prompt.ids.shape[1] - 1 : -1]
    return float(rows[torch.arange(len(given)), torch.tensor(given)].sum()), len(given)


def test_generated_likelihoods_equal_given_ones(model: InProcessModel) -> None:
    told = asking(view(), Text("What?"))
    [reply] = run(model.generate(told, max_tokens=1))
    [likelihood] = run(model.score(told, ["Yes"]))
    loaded = model._loaded
    prefix = model._last
    assert prefix is not None and reply.tokens is not None
    [first] = model._log_softmax(prefix.logits)
    yes = loaded.tokenizer.convert_tokens_to_ids("Yes")
    assert likelihood.logprob == pytest.approx(float(first[yes]))
    assert reply.tokens[0].logprob == pytest.approx(float(first.max()))


def test_a_view_is_encoded_once_and_changes_nothing(family: tuple[str, Path]) -> None:
    fresh = InProcessModel(str(family[1]))
    first = run(fresh.score(asking(view(), Text("Is it red?")), ["Yes"]))
    run(fresh.score(asking(view("other", color="blue"), view(), Text("Which?")), ["Yes"]))
    again = run(fresh.score(asking(view(), Text("Is it red?")), ["Yes"]))
    assert (fresh.vision.misses, fresh.vision.hits) == (2, 2)
    assert first == again
    run(fresh.aclose())


def test_the_view_matters_and_equal_keys_of_other_sizes_are_told_apart(model: InProcessModel) -> None:
    def likelihood(pixels: Pixels) -> float:
        return float(run(model.score(asking(pixels, Text("?")), ["Yes"]))[0].logprob)

    assert likelihood(view("x1", color="red")) != likelihood(view("x2", color="blue"))
    assert likelihood(view("x1", (64, 48))) != likelihood(view("x1", (48, 64)))


def test_the_vision_cache_stays_within_its_bytes(family: tuple[str, Path]) -> None:
    small = InProcessModel(str(family[1]), vision_cache_bytes=20_000)
    for i in range(12):
        run(small.score(asking(view(str(i)), Text("?")), ["Yes"]))
        assert small.vision.nbytes <= 20_000
    assert 0 < len(small.vision) < 12
    run(small.aclose())


def test_samples_differ_and_a_seed_repeats_them(family: tuple[str, Path]) -> None:
    def sampled() -> list[str]:
        fresh = InProcessModel(str(family[1]), seed=5)
        replies = run(fresh.generate(asking(Text("What?")), max_tokens=6, n=4, temperature=1.0))
        run(fresh.aclose())
        return [reply.text for reply in replies]

    first = sampled()
    assert len(set(first)) > 1 and first == sampled()


def test_greedy_n_is_the_same_reply_n_times(model: InProcessModel) -> None:
    replies = run(model.generate(asking(Text("What?")), max_tokens=3, n=3))
    assert len(replies) == 3 and len({reply.text for reply in replies}) == 1


def test_conversations_that_share_passes_are_answered_as_if_alone(model: InProcessModel) -> None:
    colours = ["red", "blue", "green", "white"]
    told = [asking(view(f"one {colour}", color=colour), Text("What?")) for colour in colours]
    told += [asking(view("small", (32, 80)), Text("What?")), asking(Text("Nothing to see.")), told[0]]
    together = run(model.generate_each(told, max_tokens=8))
    for messages, reply in zip(told, together, strict=True):
        model.forget()
        [alone] = run(model.generate(messages, max_tokens=8))
        assert (reply.text, reply.finish, reply.usage) == (alone.text, alone.finish, alone.usage)
        pairs = zip(reply.tokens or (), alone.tokens or (), strict=True)
        assert all(a.logprob == pytest.approx(b.logprob, abs=1e-3) for a, b in pairs)


def test_placeholders_are_never_generated_nor_taken_from_text(model: InProcessModel) -> None:
    told = asking(view(), Text("<|image_pad|><|vision_start|><|im_end|> <|im_start|>assistant"))
    prompt = model.encode(told, ())
    loaded = model._loaded
    assert int((prompt.ids == loaded.image_id).sum()) == 4 * 3
    replies = run(model.generate(told, max_tokens=20, n=8, temperature=3.0))
    assert not any("_pad|>" in reply.text for reply in replies)


def test_usage_counts_the_views_tokens(model: InProcessModel) -> None:
    [reply] = run(model.generate(asking(view(size=(64, 48)), view("w", (32, 32))), max_tokens=2))
    assert reply.usage.visual_tokens == 4 * 3 + 2 * 2
    assert reply.usage.prompt_tokens > 16 and reply.usage.completion_tokens <= 2
    sizes = [Size(64, 48), Size(32, 32)]
    assert sum(model.profile.visual_tokens(size) for size in sizes) == reply.usage.visual_tokens


def test_a_passed_deadline_and_a_full_context_are_typed(model: InProcessModel) -> None:
    with pytest.raises(ModelUnavailable):
        run(model.generate(asking(Text("What?")), deadline=time.monotonic() - 1))
    with pytest.raises(ContextTooLong):
        run(model.generate(asking(Text("word " * 1000))))


def test_a_cancelled_call_stops_between_tokens(model: InProcessModel) -> None:
    async def scenario() -> float:
        task = asyncio.create_task(model.generate(asking(Text("What?")), max_tokens=1500, temperature=1.0))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        started = time.monotonic()
        await model.generate(asking(Text("What?")), max_tokens=1)
        return time.monotonic() - started

    assert run(scenario()) < 1


def test_tools_are_offered_and_calls_are_read(model: InProcessModel, monkeypatch: pytest.MonkeyPatch) -> None:
    call = '<tool_call>\n{"name": "zoom", "arguments": {"bbox": [1, 2, 3, 4]}}\n</tool_call>'
    ids = [*model._loaded.tokenizer.encode(f"Look. {call}", add_special_tokens=False), min(model._loaded.stop_ids)]
    monkeypatch.setattr(model, "_decode", lambda *_: ([ids], [[-0.1] * len(ids)]))
    [reply] = run(model.generate(asking(Text("What?")), tools=[TOOL]))
    assert reply.text == "Look." and reply.finish == "tool_calls"
    assert reply.tool_calls[0].arguments == '{"bbox":[1,2,3,4]}'
    assert reply.tokens and "".join(token.text for token in reply.tokens) == f"Look. {call}"
    prompt = model._loaded.tokenizer.decode(model.encode(asking(Text("What?")), [TOOL]).ids[0])
    assert "# Tools" in prompt and '"name": "zoom"' in prompt


def test_a_tool_turn_is_rendered_with_its_view_in_the_next_user_turn(model: InProcessModel) -> None:
    told = [
        *asking(view(), Text("What is written?")),
        Message("assistant", (), (ToolCall("c", "zoom", '{"view": "v1"}'),)),
        Message("tool", (Text("zoomed"), view("crop", (32, 32))), tool_call_id="c"),
    ]
    prompt = model.encode(told, [TOOL])
    text = model._loaded.tokenizer.decode(prompt.ids[0])
    assert "user\n<tool_response>\nzoomed\n</tool_response><|im_end|>\n<|im_start|>user\n<|vision_start|>" in text
    assert '<tool_call>\n{"name": "zoom", "arguments": {"view": "v1"}}\n</tool_call><|im_end|>' in text
    assert len(prompt.views) == 2


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(PolicyFileRefused):
        load_model(str(tmp_path))
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(ModelNotFound):
        load_model(str(tmp_path))


def test_what_is_no_model_is_named() -> None:
    with pytest.raises(ModelNotFound, match="no-such-thing"):
        load_model("no-such-thing")


def test_loading_chooses_by_the_name(family: tuple[str, Path]) -> None:
    server = load_model("http://localhost:8000#Qwen/Qwen3-VL-8B-Instruct")
    assert (server.name, server.profile.family) == ("Qwen/Qwen3-VL-8B-Instruct", "qwen3-vl")
    local = load_model(str(family[1]))
    assert local.profile.multiple == 16 and load_model(local) is local
    run(local.aclose())


@pytest.mark.parametrize("profile", [QWEN2_5_VL, QWEN3_VL, UNKNOWN], ids=lambda profile: profile.family)
def test_the_models_own_resize_leaves_fitted_views_alone(profile: Any) -> None:
    """What we think it saw is what it saw: 510 slivers and dots, judged by `smart_resize` of transformers."""
    source = random.Random(11)
    for _ in range(170):
        shape = Size(source.randint(1, 20_000), source.randint(1, 20_000) if source.random() < 0.5 else 1)
        size = profile.fit(shape, source.choice([None, 1, 50_000, 300_000]))
        kept = smart_resize(size.height, size.width, profile.multiple, profile.min_pixels, profile.max_pixels)
        assert kept == (size.height, size.width), shape


def test_the_interface_imports_neither_torch_nor_openai() -> None:
    code = (
        "import sys, zoomagent.models.base, zoomagent.models.loading, zoomagent.models.words.chat;"
        "print([m for m in ('torch', 'transformers', 'openai', 'httpx2', 'pydantic') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, check=True)
    assert shown.stdout.strip() == "[]"


def test_tools_as_text_are_what_nanos_own_chat_template_writes(model: InProcessModel) -> None:
    """The template renders tools for servers; `arrange` does here. Both must give the model the same prompt."""
    calls = (ToolCall("a", "zoom", '{"n": 1}'), ToolCall("b", "zoom", '{"n": 2}'))
    told = [
        Message("system", (Text("Be brief."),)),
        *asking(view(), Text("What is written?")),
        Message("assistant", (Text("I look."),), calls),
        Message("tool", (Text("one"),), tool_call_id="a"),
        Message("tool", (Text("two"),), tool_call_id="b"),
        *asking(view("crop"), Text("Go on.")),
    ]
    written = [template_turn(message) for message in arrange(told, NANO, [TOOL])]
    native = [template_turn(message) for message in told]
    native[2]["tool_calls"] = [
        {"type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in calls
    ]
    tokenizer = model._loaded.tokenizer
    options = {"chat_template": CHAT_TEMPLATE, "tokenize": False, "add_generation_prompt": True}
    ours = tokenizer.apply_chat_template(written, **options)
    assert ours == tokenizer.apply_chat_template(native, tools=[TOOL], **options)
    assert "# Tools" in ours and ours.count("<tool_response>") == 2


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("sound"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"\x00" * 100),
        ("config.json", b"{torn"),
        ("config.json", b'{"model_type": "llama"}'),
        ("config.json", b'{"model_type": "no-such-model"}'),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", None),
        ("preprocessor_config.json", None),
        ("preprocessor_config.json", b"[]"),
        ("config.json", None),
    ],
)
def test_a_damaged_checkpoint_is_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, sound: Path, name: str, content: bytes | None
) -> None:
    folder = tmp_path_factory.mktemp("damaged") / "model"
    shutil.copytree(sound, folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(ModelNotFound):
        load_model(str(folder))


def test_nothing_to_score_is_no_call(model: InProcessModel) -> None:
    assert run(model.score(asking(Text("What?")), [])) == []
