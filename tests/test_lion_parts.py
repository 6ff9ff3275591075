"""The parts of LION: each changes nothing at the start, a row knows no neighbours, and what is folded says the same."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoTokenizer

from zoomagent.errors import ModelNotFound, SettingInvalid
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.loading import NANO_WEIGHTS
from zoomagent.models.local.aggregating import aggregator_weights, attach_aggregator
from zoomagent.models.local.in_process import InProcessModel
from zoomagent.models.local.parallel import TASKS, RoutedParallel, attach_parallel, parallel_weights, task_ids
from zoomagent.models.local.routing import LORAS, load_routed
from zoomagent.strategy import Task
from zoomagent.training.lion.level import HINT, add_hint, with_level
from zoomagent.training.lion.mixture import attach_poly, fold, learn_side, poly_layers

ROUTES = {"region": "region", "image": "image"}


def nano() -> Any:
    return AutoModelForImageTextToText.from_pretrained(NANO_WEIGHTS, dtype=torch.float32).eval()


def picture(seed: int) -> Image.Image:
    image = Image.new("RGB", (64, 64), (40 * seed % 255, 90, 200))
    ImageDraw.Draw(image).ellipse((8 + 4 * seed, 10, 30 + 4 * seed, 32), fill=(230, 40 * seed % 255, 30))
    return image


@pytest.fixture(scope="module")
def model() -> InProcessModel:
    return InProcessModel(str(NANO_WEIGHTS), name="nano")


@pytest.fixture(scope="module")
def inputs(model: InProcessModel) -> list[dict[str, Any]]:
    """Prompts of several pictures and questions, as the whole model takes them."""
    made = []
    for seed, question in enumerate(["What colour is the circle?", "Where is the red circle?", "How many are there?"]):
        prompt = model.encode([Message("user", (Pixels(f"p{seed}", picture(seed)), Text(question)))], ())
        seen = model._loaded.image_processor(images=[picture(seed)], return_tensors="pt")
        kinds = (prompt.ids == model._loaded.image_id).int()
        made.append({"input_ids": prompt.ids, "mm_token_type_ids": kinds, **seen})
    return made


def shaken(values: Any) -> None:
    """Trained weights, as far as numbers go."""
    with torch.no_grad():
        for value in values:
            value.add_(torch.randn_like(value) * 0.1)


def poly(model: Any) -> Callable[..., Any]:
    route = attach_poly(model, 4)

    def run(tasks: list[Task], **inputs: Any) -> Any:
        route.rows = task_ids(tasks)
        return model(**inputs)

    return run


def parallel(model: Any) -> Callable[..., Any]:
    return RoutedParallel(model, attach_parallel(model, 16))


def aggregator(model: Any) -> Callable[..., Any]:
    attach_aggregator(model)
    return lambda tasks, **inputs: model(**inputs)


def level(model: Any) -> Callable[..., Any]:
    wider = with_level(model).eval()
    return lambda tasks, **inputs: wider(**inputs)


def own_weights(model: Any) -> list[torch.Tensor]:
    return [value for name, value in model.named_parameters() if any(part in name for part in (".poly_", ".lion."))]


@pytest.mark.parametrize("attach", [poly, parallel, aggregator, level])
def test_every_part_is_bit_equal_at_the_start(attach: Any, inputs: list[dict[str, Any]]) -> None:
    plain, run = nano(), attach(nano())
    with torch.no_grad():
        for given in inputs:
            for task in TASKS:
                assert torch.equal(plain(**given).logits, run([task], **given).logits)


@pytest.mark.parametrize("attach", [poly, parallel])
def test_a_row_does_not_depend_on_its_neighbours_task(attach: Any, inputs: list[dict[str, Any]]) -> None:
    model = nano()
    run = attach(model)
    shaken(own_weights(model))
    one = inputs[0]
    twice = {name: torch.cat([value, value]) for name, value in one.items()}
    with torch.no_grad():
        alone = [run([task], **one).logits[0] for task in TASKS]
        assert (alone[0] - alone[1]).abs().max() > 0.1
        for tasks in (["region", "image"], ["image", "region"], ["image", "image"]):
            mixed = run(tasks, **twice).logits
            for row, task in enumerate(tasks):
                assert torch.allclose(mixed[row], alone[TASKS.index(task)], atol=1e-4)


def test_folded_says_what_the_mixture_says(tmp_path: Path, inputs: list[dict[str, Any]]) -> None:
    model = nano()
    run = poly(model)
    shaken(own_weights(model))
    fold(model, tmp_path / LORAS, "nano")
    routed = load_routed(nano(), tmp_path, ROUTES)
    assert routed is not None
    one = inputs[1]
    twice = {name: torch.cat([value, value]) for name, value in one.items()}
    with torch.no_grad():
        for task in TASKS:
            assert (run([task], **one).logits - routed([task], **one).logits).abs().max() < 1e-4
        mixed, expected = routed(["image", None], **twice).logits, nano()(**one).logits[0]
        assert torch.allclose(mixed[1], expected, atol=1e-5) and not torch.allclose(mixed[0], expected, atol=1e-2)


def test_the_parallel_form_is_read_back_as_it_was(tmp_path: Path, inputs: list[dict[str, Any]]) -> None:
    model = nano()
    run = parallel(model)
    shaken(own_weights(model))
    (tmp_path / LORAS).mkdir()
    save_file(parallel_weights(model), tmp_path / LORAS / "parallel.safetensors")
    routed = load_routed(nano(), tmp_path, ROUTES)
    assert routed is not None
    with torch.no_grad():
        for task in TASKS:
            assert torch.equal(run([task], **inputs[0]).logits, routed([task], **inputs[0]).logits)
        assert torch.equal(routed([None], **inputs[0]).logits, nano()(**inputs[0]).logits)


@pytest.mark.parametrize("side", TASKS)
def test_one_side_learns_and_the_other_keeps_its_bits(side: Task, inputs: list[dict[str, Any]]) -> None:
    model = nano()
    run = poly(model)
    learn_side(model, side)
    shaken(layer.poly_lora_B["default"] for layer in poly_layers(model).values())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    learner = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-2, weight_decay=0.0)
    for _ in range(2):
        run([side], **inputs[0]).logits.square().mean().backward()
        learner.step()
        learner.zero_grad()
    number = TASKS.index(side)
    for name, value in model.state_dict().items():
        if "poly_lora" not in name:
            assert torch.equal(value, before[name]), name
        else:
            assert torch.equal(value[:, 1 - number], before[name][:, 1 - number])
            assert not torch.equal(value[:, number], before[name][:, number])


@pytest.mark.parametrize("side", TASKS)
def test_what_learns_is_the_same_after_the_model_has_moved(side: Task) -> None:
    # A trainer moves the parameters behind the masks' backs. Another type of numbers stands for another device here.
    model = nano()
    attach_poly(model, 4)
    learn_side(model, side)
    model.to(torch.bfloat16)
    for layer in poly_layers(model).values():
        for weights in (layer.poly_lora_A["default"], layer.poly_lora_B["default"]):
            weights.sum().backward()
            assert weights.grad.dtype == torch.bfloat16
            assert [bool(part.any()) for part in weights.grad.unbind(1)] == [task == side for task in TASKS]


def test_the_router_learns_where_both_do(inputs: list[dict[str, Any]]) -> None:
    model = nano()
    run = poly(model)
    learn_side(model, None)
    shaken(layer.poly_lora_B["default"] for layer in poly_layers(model).values())
    run(["image"], **inputs[0]).logits.square().mean().backward()
    for layer in poly_layers(model).values():
        gradient = layer.poly_router["default"].module_logits.grad
        assert gradient[TASKS.index("image")].abs().max() > 0


def test_the_aggregators_views_do_not_see_each_other(model: InProcessModel) -> None:
    whole = nano()
    attach_aggregator(whole)
    shaken(aggregator_weights(whole).values())
    seen = [model._loaded.image_processor(images=[picture(n)], return_tensors="pt") for n in (0, 1)]
    both = model._loaded.image_processor(images=[picture(0), picture(1)], return_tensors="pt")
    with torch.no_grad():
        alone = [whole.get_image_features(**one, return_dict=True).pooler_output[0] for one in seen]
        plain = nano().get_image_features(**seen[0], return_dict=True).pooler_output[0]
        together = whole.get_image_features(**both, return_dict=True).pooler_output
    assert not torch.allclose(plain, alone[0], atol=1e-2)
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(alone, together, strict=True))


def test_a_model_whose_tower_is_full_gets_no_further_level() -> None:
    with pytest.raises(SettingInvalid, match="taken"):
        with_level(with_level(with_level(nano())))


def lion_folder(folder: Path) -> Path:
    """Nano with shaken adapters and the hint, as a stage writes it."""
    shutil.copytree(NANO_WEIGHTS, folder)
    model = nano()
    attach_poly(model, 4)
    torch.manual_seed(3)
    shaken(own_weights(model))
    fold(model, folder / LORAS, "nano")
    own = json.loads((folder / "zoomagent.json").read_text())
    (folder / "zoomagent.json").write_text(json.dumps({**own, "routes": ROUTES}))
    return folder


def test_a_prefix_is_never_shared_between_tasks(tmp_path: Path) -> None:
    folder = lion_folder(tmp_path / "lion")
    asked = [Message("user", (Pixels("a", picture(1)), Text("Is there a red circle?")))]

    async def answers(order: list[Task | None]) -> dict[Task | None, list[float]]:
        model = InProcessModel(str(folder))
        found = {task: await model.score(asked, ["Yes", "No"], task=task) for task in order}
        await model.aclose()
        return {task: [one.logprob for one in scored or []] for task, scored in found.items()}

    orders: list[list[Task | None]] = [["image", "region", None], [None, "region", "image"], ["region", "image", None]]
    runs = [asyncio.run(answers(order)) for order in orders]
    assert runs[0] == runs[1] == runs[2]
    assert len({tuple(values) for values in runs[0].values()}) == 3


def test_conversations_of_several_tasks_share_a_pass(tmp_path: Path) -> None:
    folder = lion_folder(tmp_path / "lion")
    asked = [Message("user", (Pixels("a", picture(1)), Text("Where is the red circle?")))]

    async def scenario() -> None:
        model = InProcessModel(str(folder))
        tasks: list[Task | None] = ["image", "region", None]
        each = await model.generate_each([asked] * 3, max_tokens=8, tasks=tasks)
        for reply, task in zip(each, tasks, strict=True):
            [alone] = await model.generate(asked, max_tokens=8, task=task)
            assert alone.text == reply.text
        await model.aclose()

    asyncio.run(scenario())


def test_without_routes_a_task_changes_nothing(model: InProcessModel) -> None:
    asked = [Message("user", (Pixels("a", picture(1)), Text("Where is the red circle?")))]

    async def scenario() -> None:
        [plain] = await model.generate(asked)
        before = model._last
        [told] = await model.generate(asked, task="region")
        assert plain == told and model._last is before

    asyncio.run(scenario())


def test_a_route_without_its_adapter_is_refused(tmp_path: Path) -> None:
    folder = lion_folder(tmp_path / "lion")
    shutil.rmtree(folder / LORAS / "image")
    with pytest.raises(ModelNotFound, match="loras/image"):
        InProcessModel(str(folder))


def test_lions_own_adapters_of_another_width_are_refused_before_they_are_allocated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lion_folder(tmp_path / "lion")
    name = "model.language_model.layers.0.lion.down"
    save_file({name: torch.zeros(2, 1, 3_000_000)}, folder / LORAS / "parallel.safetensors")
    monkeypatch.setattr(
        "zoomagent.models.local.parallel.attach_parallel", lambda *given: pytest.fail("it was allocated")
    )
    with pytest.raises(ModelNotFound, match="another model"):
        load_routed(nano(), folder, ROUTES)


def renamed(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.replace(".layers.", ".blocks."): value for name, value in weights.items()}


def partly(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in weights.items() if ".layers.0." not in name}


def narrower(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value[:, :-1].contiguous() for name, value in weights.items()}


def more(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    [first, *_] = weights.values()
    return {**weights, "base_model.model.model.visual.blocks.0.mlp.lora_A.weight": first.clone()}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("change", [renamed, partly, narrower, more, dict.clear], ids=lambda change: change.__name__)
def test_an_adapter_of_another_model_is_refused(change: Any, task: Task, tmp_path: Path) -> None:
    folder = lion_folder(tmp_path / "lion")
    file = folder / LORAS / task / "adapter_model.safetensors"
    save_file(change(load_file(file)) or {}, file, metadata={"format": "pt"})
    with pytest.raises(ModelNotFound, match=f"loras/{task}"):
        InProcessModel(str(folder))


ODD_SETTINGS: list[dict[str, Any]] = [
    {"lora_alpha": 1e308},
    {"lora_alpha": "2"},
    {"r": True},
    {"r": 10**9},
    {"rank_pattern": {"up_proj": 100_000}},
    {"init_lora_weights": "pissa", "target_modules": r".*language_model.*\.(\w+_?)+!"},
    {"modules_to_save": ["lm_head"]},
    {"use_dora": True},
    {"megatron_config": {"a": 1}, "megatron_core": "megatron.this"},
    {"layer_replication": [[0, 2], [0, 2]]},
    {"alpha_pattern": {"up_proj": 1e9}},
    {"target_modules": 5},
    {"target_modules": "("},
    {"target_modules": [["up_proj"]]},
    {"a_new_way": "of everything"},
]


def test_an_adapter_that_is_no_plain_lora_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    folder, model = lion_folder(tmp_path / "lion"), nano()
    names = list(model.state_dict())
    file = folder / LORAS / "region" / "adapter_config.json"
    own = json.loads(file.read_text())
    for odd in ODD_SETTINGS:
        file.write_text(json.dumps({**own, **odd}))
        with pytest.raises(ModelNotFound, match="adapter|LoRA|loras/region"):
            load_routed(model, folder, ROUTES)
        assert list(model.state_dict()) == names, odd


def test_how_an_adapter_was_begun_changes_no_weight_of_its_model(tmp_path: Path, inputs: list[dict[str, Any]]) -> None:
    """PEFT's `pissa` takes the adapter's start away from the model."""
    folder = lion_folder(tmp_path / "lion")
    for task in TASKS:
        file = folder / LORAS / task / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "init_lora_weights": "pissa"}))
    routed = load_routed(nano(), folder, ROUTES)
    assert routed is not None
    with torch.no_grad():
        assert torch.equal(routed([None], **inputs[0]).logits, nano()(**inputs[0]).logits)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"peft_type": "LORA", "r": 2, "target_modules": ["none"]}'])
def test_an_adapter_with_a_damaged_config_is_refused(content: str, tmp_path: Path) -> None:
    folder = lion_folder(tmp_path / "lion")
    (folder / LORAS / "image" / "adapter_config.json").write_text(content)
    with pytest.raises(ModelNotFound):
        InProcessModel(str(folder))


def test_the_hint_takes_a_free_row_and_is_added_once() -> None:
    model, tokenizer = nano(), AutoTokenizer.from_pretrained(NANO_WEIGHTS)
    size, rows = len(tokenizer), len(model.get_input_embeddings().weight)
    before = model.get_input_embeddings().weight.clone()
    number = add_hint(model, tokenizer)
    assert number == size == add_hint(model, tokenizer) and tokenizer.encode(HINT) == [number]
    after = model.get_input_embeddings().weight
    changed = (after != before).any(-1).nonzero()[:, 0].tolist()
    assert len(after) == rows and changed == [number]
