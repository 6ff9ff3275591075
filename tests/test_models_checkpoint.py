"""Checkpoints that are broken, hostile or only unusual: each is a typed refusal, and none runs anyone's code."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from zoomagent import Budget, ZoomAgent
from zoomagent.errors import ModelNotFound, PolicyFileRefused, RunError, SettingInvalid
from zoomagent.geometry import Size
from zoomagent.models.loading import NANO_WEIGHTS
from zoomagent.models.local.checkpoint import folder_profile
from zoomagent.models.local.in_process import InProcessModel
from zoomagent.models.profiles import NANO, override

Change = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of nano that may be broken."""
    copy = tmp_path / "model"
    shutil.copytree(NANO_WEIGHTS, copy)
    return copy


def say(file: str, *path: str, **values: Any) -> Change:
    """A change of the JSON object at `path` in a file of the folder."""

    def change(folder: Path) -> None:
        content = json.loads((folder / file).read_text()) if (folder / file).is_file() else {}
        inner = content
        for key in path:
            inner = inner[key]
        inner.update(values)
        (folder / file).write_text(json.dumps(content))

    return change


def write(file: str, content: bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / file).write_bytes(content)

    return change


def tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Change:
    """A change of the stored tensors."""

    def changed(folder: Path) -> None:
        file = folder / "model.safetensors"
        save_file({k: v.contiguous() for k, v in change(load_file(file)).items()}, file, {"format": "pt"})

    return changed


def template(text: str) -> Change:
    return write("chat_template.jinja", text.encode())


def index(**names: str) -> Change:
    """An index instead of the single file, which becomes a shard; tensors are named to be where `names` says."""

    def change(folder: Path) -> None:
        stored = load_file(folder / "model.safetensors")
        (folder / "model.safetensors").rename(folder / "shard.safetensors")
        where = dict.fromkeys(stored, "shard.safetensors") | names
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))

    return change


def both(first: Change, second: Change) -> Change:
    def change(folder: Path) -> None:
        first(folder)
        second(folder)

    return change


def load(folder: Path) -> None:
    InProcessModel(str(folder))


def assert_refused(folder: Path, kind: type[RunError] = ModelNotFound) -> str:
    """The words of the refusal: they name no path."""
    began = time.process_time()
    with pytest.raises(kind) as caught:
        load(folder)
    assert time.process_time() - began < 20
    assert str(folder.parent) not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("part", ["config.json", "tokenizer_config.json", "preprocessor_config.json"])
def test_code_beside_the_weights_is_neither_run_nor_asked_about(
    folder: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers asks on the terminal when it is not told; here nobody is asked and nothing is imported."""
    trap = folder / "ran"
    (folder / "evil.py").write_text(f"open({str(trap)!r}, 'w').close()\nclass X: pass\n")
    autos = {"AutoConfig": "evil.X", "AutoTokenizer": ["evil.X", "evil.X"], "AutoImageProcessor": "evil.X"}
    say(part, auto_map=autos, model_type="unknown", tokenizer_class="X", image_processor_type="X")(folder)
    monkeypatch.setattr("builtins.input", lambda *words: pytest.fail("someone was asked"))
    for opened in (load, folder_profile):
        try:
            opened(folder)
        except RunError:
            continue
    assert not trap.exists()


UNFIT: dict[str, Change] = {
    "a layer is missing": tensors(lambda stored: {k: v for k, v in stored.items() if ".layers.2." not in k}),
    "one tensor is missing": tensors(lambda stored: {k: v for k, v in stored.items() if "layers.1.mlp.up" not in k}),
    "no vision tower": tensors(lambda stored: {k: v for k, v in stored.items() if "visual" not in k}),
    "all are renamed": tensors(lambda stored: {f"x.{k}": v for k, v in stored.items()}),
    "one is renamed": tensors(
        lambda stored: {k.replace("layers.3.mlp.up", "layers.3.mlp.op"): v for k, v in stored.items()}
    ),
    "one is of another shape": tensors(
        lambda stored: {k: v[:-1] if "layers.0.mlp.up" in k else v for k, v in stored.items()}
    ),
    "one is left over": tensors(lambda stored: {**stored, "model.language_model.extra": torch.zeros(3)}),
    "fewer layers are declared": say("config.json", "text_config", num_hidden_layers=2),
    "more layers are declared": say("config.json", "text_config", num_hidden_layers=6),
    "a shallower tower is declared": say("config.json", "vision_config", depth=3),
    "a wider model is declared": say("config.json", "text_config", hidden_size=256),
    "a larger vocabulary is declared": say("config.json", "text_config", vocab_size=1000),
    "another head size is declared": say("config.json", "text_config", head_dim=16),
    "embeddings are not tied": say("config.json", "text_config", tie_word_embeddings=False, vocab_size=769),
}


@pytest.mark.parametrize("change", UNFIT.values(), ids=UNFIT.keys())
def test_weights_that_do_not_fit_their_configuration_never_answer(folder: Path, change: Change) -> None:
    change(folder)
    assert_refused(folder)


def test_a_refusal_of_weights_says_which(folder: Path) -> None:
    UNFIT["one tensor is missing"](folder)
    words = assert_refused(folder)
    assert "1 missing" in words and "layers.1.mlp.up" in words


def test_a_run_on_unfit_weights_ends_as_failed(folder: Path) -> None:
    from PIL import Image

    UNFIT["more layers are declared"](folder)
    with ZoomAgent(str(folder)) as agent:
        answer = agent.ask(Image.new("RGB", (64, 64)), "What is it?")
    assert (answer.outcome.kind, answer.outcome.code) == ("failed", "model_not_found")


HUGE: dict[str, Change] = {
    "layers": say("config.json", "text_config", num_hidden_layers=100_000),
    "a billion layers": say("config.json", "text_config", num_hidden_layers=10**9),
    "depth": say("config.json", "vision_config", depth=10**7),
    "vocabulary": say("config.json", "text_config", vocab_size=2_000_000),
    "width": say("config.json", "text_config", hidden_size=2_000_000),
    "positions": say("config.json", "vision_config", num_position_embeddings=2_000_000),
    "labels": say("config.json", num_labels=10**9),
    "an unknown number": say("config.json", anything=10**30),
    "endless": write("config.json", b'{"model_type": "qwen3_vl", "x": 1e999}'),
    "not a number": write("config.json", b'{"model_type": "qwen3_vl", "x": NaN}'),
    "nested": write("config.json", b'{"a":' * 100_000),
}


@pytest.mark.parametrize("change", HUGE.values(), ids=HUGE.keys())
def test_what_is_declared_must_be_in_proportion_to_what_is_stored(
    folder: Path, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before anything is allocated: transformers is never asked to load."""
    change(folder)
    monkeypatch.setattr(
        "zoomagent.models.local.checkpoint.load_weights", lambda *given, **more: pytest.fail("it was loaded")
    )
    assert_refused(folder)


PICKLE = b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94."
PICKLES: dict[str, Change] = {
    "an index that names a .bin": index(**{"lm_head.weight": "pytorch_model.bin"}),
    "an index that names a file elsewhere": index(**{"lm_head.weight": "../model.safetensors"}),
    "an index that names an absolute file": index(**{"lm_head.weight": "/etc/model.safetensors"}),
    "a pickle by the name of safetensors": write("model.safetensors", PICKLE * 10),
    "a zip of torch by the name of safetensors": write("model.safetensors", b"PK\x03\x04" + bytes(100)),
    "other weights": say("config.json", transformers_weights="evil.safetensors.index.json"),
}


@pytest.mark.parametrize("change", PICKLES.values(), ids=PICKLES.keys())
def test_pickles_are_refused_by_what_they_are(folder: Path, change: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    change(folder)
    (folder / "pytorch_model.bin").write_bytes(PICKLE)
    monkeypatch.setattr("torch.load", lambda *given, **more: pytest.fail("a pickle was read"))
    assert_refused(folder, PolicyFileRefused)


def test_a_sharded_checkpoint_loads(folder: Path) -> None:
    index()(folder)
    load(folder)


BROKEN: dict[str, Change] = {
    "an index that names a shard that is not there": index(**{"lm_head.weight": "other.safetensors"}),
    "an index that is a list": both(index(), write("model.safetensors.index.json", b"[]")),
    "an adapter": write("adapter_config.json", b"{}"),
    "a cut file": lambda folder: write("model.safetensors", (folder / "model.safetensors").read_bytes()[:-1000])(
        folder
    ),
    "a tokenizer of another shape": write("tokenizer.json", b'{"version": "1.0", "model": 7}'),
    "a tokenizer that is a list": write("tokenizer.json", b"[]"),
    "a tokenizer of bytes": write("tokenizer.json", b"\xff\xfe\x00"),
    "tokenizer settings of another shape": write("tokenizer_config.json", b"[]"),
    "generation settings of another shape": write("generation_config.json", b"[1]"),
    "an end token of another kind": say("generation_config.json", eos_token_id={"a": 1}),
    "no attention heads": say("config.json", "text_config", num_attention_heads=0),
    "negative layers": say("config.json", "text_config", num_hidden_layers=-1),
    "layers in words": say("config.json", "text_config", num_hidden_layers="four"),
    "no vision": say("config.json", vision_config=None),
    "text settings in words": say("config.json", text_config="four"),
    "an unknown activation": say("config.json", "text_config", hidden_act="evil"),
    "an unknown rope": say("config.json", "text_config", rope_parameters={"rope_type": "evil", "rope_theta": 1.0}),
    "rope sections that do not add up": say("config.json", "text_config", "rope_parameters", mrope_section=[600, 5, 5]),
    "deepstack beyond the tower": say("config.json", "vision_config", deepstack_visual_indexes=[1, 99]),
    "a picture token that is none": say("config.json", image_token_id=99),
    "a picture token in words": say("config.json", image_token_id="pad"),
    "no room": say("config.json", "text_config", max_position_embeddings=0),
    "patches in words": say("preprocessor_config.json", patch_size="eight"),
    "other patches for pictures": say("preprocessor_config.json", patch_size=16),
    "no patches": say("preprocessor_config.json", patch_size=0),
    "other merging for pictures": say("preprocessor_config.json", merge_size=4),
    "two means": say("preprocessor_config.json", image_mean=[0.5, 0.5]),
    "a deviation of nothing": say("preprocessor_config.json", image_std=[0.0, 0.0, 0.0]),
    "means in words": say("preprocessor_config.json", image_mean=["a", "b", "c"]),
    "pixels in words": say("preprocessor_config.json", max_pixels="many"),
    "negative pixels": say("preprocessor_config.json", min_pixels=-5),
    "fewest above most": say("preprocessor_config.json", min_pixels=131072),
    "endless fewest": say("preprocessor_config.json", min_pixels=10**12, max_pixels=10**13),
    "sizes of another shape": say("preprocessor_config.json", size=[1, 2]),
    "weights that are no numbers": tensors(lambda stored: {k: v * float("nan") for k, v in stored.items()}),
    "a list in zoomagent.json": write("zoomagent.json", b"[1]"),
    "bad JSON in zoomagent.json": write("zoomagent.json", b"{"),
    "bytes in zoomagent.json": write("zoomagent.json", b"\xff\xfe"),
    "nested zoomagent.json": write("zoomagent.json", b"[" * 100_000),
    "an unknown field in zoomagent.json": say("zoomagent.json", evil=1),
    "NaN in zoomagent.json": say("zoomagent.json", crop_margin=float("nan")),
    "infinity in zoomagent.json": say("zoomagent.json", max_aspect=float("inf")),
    "an endless side in zoomagent.json": say("zoomagent.json", max_side=10**9),
    "endless pixels in zoomagent.json": say("zoomagent.json", max_pixels=10**18),
    "limits that leave no size": say("zoomagent.json", min_pixels=10**6, max_pixels=10**4, max_side=64),
    "tools that are no names": say("zoomagent.json", tools=[1, 2]),
    "a family that is a number": say("zoomagent.json", family=7),
    "a template that does not parse": template("{% for"),
    "a template that says no": template("{{ raise_exception('no') }}"),
    "a template with an unknown filter": template("{{ messages | evil }}"),
    "a template that divides by nothing": template("{{ 1 // 0 }}"),
    "a template that adds what it cannot": template("{{ messages + 1 }}"),
    "a template that reaches out": template("{{ ''.__class__.__mro__[1].__subclasses__() }}"),
    "a template without pictures": template("{% for m in messages %}{{ m.content[-1].text }}{% endfor %}"),
    "a template with too many pictures": template("<|image_pad|><|image_pad|>zoomagent zoomagent zoomagent"),
    "a template without words": template("<|image_pad|>"),
    "an empty template": template(""),
    "a template that multiplies text": template("{{ 'a' * 10000000000 }}"),
    "a template that multiplies by and by": template(
        "{% set a = 'zoomagent' %}{% set a = a * messages | length %}{{ a }}"
    ),
    "a template that takes powers": template("{{ 10 ** 10 ** 9 }}"),
    "a template of long numbers": template("{{ '%10000000000d' % 1 }}{{ 'a' | center(10000000000) }}"),
    "a template that calls itself": template("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_every_way_to_be_broken_is_a_typed_refusal(folder: Path, change: Change) -> None:
    change(folder)
    assert_refused(folder)


def test_a_template_that_does_not_end_is_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoomagent.models.local.in_process.RENDER_SECONDS", 0.2)
    loops = "{% for a in range(99999) %}" * 4 + "{% set b = a %}" + "{% endfor %}" * 4
    template(loops)(folder)
    assert_refused(folder)


@pytest.mark.parametrize(
    ("settings", "library"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"quant_method": "gptq", "bits": 4}, "optimum"),
        ({"quant_method": "awq", "bits": 4}, "gptqmodel"),
    ],
)
def test_a_quantised_checkpoint_names_the_library_it_lacks(
    folder: Path, settings: dict[str, Any], library: str
) -> None:
    say("config.json", quantization_config=settings)(folder)
    assert library in assert_refused(folder)


@pytest.mark.parametrize("part", [(), ("text_config",), ("vision_config",)])
@pytest.mark.parametrize("named", ["flash_attention_2", "somebody/kernel"])
def test_a_checkpoint_that_asks_for_other_attention_runs_with_ours(
    folder: Path, part: tuple[str, ...], named: str
) -> None:
    """Flash attention may not be installed, and a name with a slash is code of the hub."""
    say("config.json", *part, attn_implementation=named, _attn_implementation=named)(folder)
    load(folder)


def test_a_sound_checkpoint_still_loads(folder: Path) -> None:
    load(folder)
    assert folder_profile(folder).family == "nano"


@pytest.mark.parametrize(
    "values",
    [
        {"max_side": 10**9},
        {"crop_margin": float("nan")},
        {"max_aspect": float("inf")},
        {"max_pixels": 10**18},
        {"multiple": 10**6},
        {"max_side": 16, "min_side": 64},
        {"multiple": 1, "max_side": 65536},
    ],
)
def test_a_profile_has_only_numbers_with_which_views_can_be_made(values: dict[str, Any]) -> None:
    with pytest.raises(SettingInvalid):
        override(NANO, values)


def test_the_largest_profile_finds_its_sizes_soon() -> None:
    profile = override(NANO, {"multiple": 16, "max_side": 65536, "max_pixels": 1 << 28, "max_aspect": 10_000})
    began = time.process_time()
    profile.fit(Size(30_000, 20_000))
    assert time.process_time() - began < 0.5


def test_a_budget_is_kept_though_the_checkpoint_says_otherwise(folder: Path) -> None:
    """`max_side` of a thousand million once took 83 s at a deadline of 3."""
    from PIL import Image

    say("zoomagent.json", max_side=10**9)(folder)
    began = time.process_time()
    with ZoomAgent(str(folder), budget=Budget(seconds=3)) as agent:
        answer = agent.ask(Image.new("RGB", (640, 480)), "What is it?")
    assert answer.outcome.code == "model_not_found" and time.process_time() - began < 20
