"""The adapters of a checkpoint's tasks, in this process: every row of a pass goes through its own task's.

    routed = load_routed(model, folder, {"image": "image", "region": "region"})
    routed(["image", "region"], input_ids=...)          # two rows, two adapters; None: the model alone

A routed checkpoint is a whole model with a folder `loras/NAME` of PEFT for each route. Rows are routed by PEFT's own
`adapter_names`. A row does not depend on its neighbours'. Left out: training (`zoomagent/training/lion`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import regex

from zoomagent.errors import ModelNotFound
from zoomagent.models.local.aggregating import load_aggregator
from zoomagent.models.local.parallel import load_parallel
from zoomagent.models.local.weights import check_numbers, read_object, shapes_in
from zoomagent.strategy import Task

LORAS = "loras"
AGGREGATOR = "aggregator.safetensors"
PARALLEL = "parallel.safetensors"
"""LION's own form of adapters, which no server knows."""
WEIGHTS = "adapter_model.safetensors"
HEEDED = frozenset((
    "r", "lora_alpha", "use_rslora", "target_modules", "peft_type", "peft_version", "task_type", "auto_mapping",
    "base_model_name_or_path", "revision", "inference_mode", "lora_dropout", "init_lora_weights",
))  # fmt: skip
"""What an adapter's settings may say. The last two are of its training, and change nothing here."""
PATIENCE = 1.0
"""Seconds for one layer's name (ours); a pattern needs microseconds."""


class Routed(Protocol):
    """A pass of the model, with the task of each row."""

    def __call__(self, tasks: Sequence[Task | None], **inputs: Any) -> Any: ...


def load_routed(model: Any, folder: Path, routes: Mapping[str, str]) -> Routed | None:
    """The routed pass of `model`, whose folder holds adapters for `routes`; None where there are no routes. Raises
    ModelNotFound where an adapter is missing or is that of another model."""
    if not routes:
        return None
    if (folder / LORAS / AGGREGATOR).is_file():
        load_aggregator(model, folder / LORAS / AGGREGATOR)
    if (folder / LORAS / PARALLEL).is_file():
        return load_parallel(model, folder / LORAS / PARALLEL)
    return _load_loras(model, folder / LORAS, routes)


def _load_loras(model: Any, folder: Path, routes: Mapping[str, str]) -> Routed:
    """PEFT's layers in place of the model's own; each is told the adapter of every row before it runs."""
    from peft import LoraModel, set_peft_model_state_dict
    from peft.tuners.lora import LoraLayer
    from safetensors.torch import load_file

    sides = {name: (layer.in_features, layer.out_features) for name, layer in _linear(model)}
    adapters = {name: _read_lora(folder, name, sides) for name in dict.fromkeys(routes.values())}
    tuner: Any = None
    for name, config in adapters.items():
        if tuner is None:
            tuner = LoraModel(model, config, adapter_name=name)
        else:
            tuner.peft_config[name] = config
            tuner.inject_adapter(model, name)
        set_peft_model_state_dict(model, load_file(folder / name / WEIGHTS), adapter_name=name)
    model.requires_grad_(False).eval()
    rows: list[str] = []

    def name_rows(_: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return given, {**named, "adapter_names": rows}

    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            layer.register_forward_pre_hook(name_rows, with_kwargs=True)

    def routed(tasks: Sequence[Task | None], **inputs: Any) -> Any:
        rows[:] = [routes.get(task or "", "__base__") for task in tasks]
        return model(**inputs)

    return routed


def _linear(model: Any) -> list[tuple[str, Any]]:
    from torch.nn import Linear

    return [(name, layer) for name, layer in model.named_modules() if isinstance(layer, Linear)]


def _read_lora(folder: Path, name: str, sides: Mapping[str, tuple[int, int]]) -> Any:
    """PEFT's settings of an adapter whose weights are those of the layers that it names, looked at before anything is
    made of them. `sides` are the model's linear layers. PEFT itself says nothing of an adapter that fits nowhere; and
    by other settings it changes the model's own weights, or imports what they name."""
    from peft import LoraConfig

    if Path(name).name != name or not (folder / name / WEIGHTS).is_file():
        raise ModelNotFound(f"The checkpoint routes a task to {name!r} and holds no {LORAS}/{name}. Export it again.")
    said = read_object(folder / name / "adapter_config.json")
    check_numbers(said, f"{LORAS}/{name}", 0)
    plain = LoraConfig().to_dict()
    odd = [key for key, value in said.items() if key not in HEEDED and value and value != plain.get(key)]
    rank, alpha = said.get("r"), said.get("lora_alpha", plain["lora_alpha"])
    if odd or said.get("peft_type") != "LORA" or not isinstance(rank, int) or not isinstance(alpha, int | float):
        what = f"says {odd[0][:80]!r}, which is not heeded here" if odd else "is no LoRA"
        raise ModelNotFound(f"{LORAS}/{name} {what}. Give a plain LoRA: rank, alpha, and the layers it is for.")
    layers = [layer for layer in sides if _names(said.get("target_modules"), layer)]
    fitting = {}
    for layer in layers:
        fitting[f"base_model.model.{layer}.lora_A.weight"] = (rank, sides[layer][0])
        fitting[f"base_model.model.{layer}.lora_B.weight"] = (sides[layer][1], rank)
    if not layers or shapes_in(folder / name / WEIGHTS) != fitting:
        raise ModelNotFound(f"{LORAS}/{name} is the adapter of another model, or damaged. Export it again.")
    return LoraConfig(r=rank, lora_alpha=alpha, target_modules=layers, use_rslora=said.get("use_rslora") is True)


def _names(targets: Any, layer: str) -> bool:
    """Whether an adapter's `target_modules` name a layer: the ends of names, or a pattern, which may be one that no
    search ever ends for."""
    if isinstance(targets, str):
        try:
            return regex.fullmatch(targets, layer, timeout=PATIENCE) is not None
        except (regex.error, TimeoutError) as error:
            raise ModelNotFound("An adapter's target_modules are no pattern that can be used. Name layers.") from error
    return isinstance(targets, list) and any(layer == end or layer.endswith(f".{end}") for end in targets)
