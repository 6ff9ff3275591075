"""The adapters of a checkpoint's tasks, in this process: every row of a pass goes through its own task's.

    routed = load_routed(model, folder, {"image": "image", "region": "region"})
    routed(["image", "region"], input_ids=...)          # two rows, two adapters; None: the model alone

A routed checkpoint is a whole model with a folder `loras/NAME` of PEFT for each route. Rows are routed by PEFT's own
`adapter_names`. A row does not depend on its neighbours'. Left out: training (`zoomagent/training/lion`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from zoomagent.errors import ModelNotFound
from zoomagent.models.local.aggregating import load_aggregator
from zoomagent.models.local.parallel import load_parallel
from zoomagent.strategy import Task

LORAS = "loras"
AGGREGATOR = "aggregator.safetensors"
PARALLEL = "parallel.safetensors"
"""LION's own form of adapters, which no server knows."""


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
    from peft import LoraConfig, LoraModel, set_peft_model_state_dict
    from peft.tuners.lora import LoraLayer
    from safetensors.torch import load_file

    tuner: Any = None
    for name in dict.fromkeys(routes.values()):
        file = folder / name / "adapter_model.safetensors"
        if Path(name).name != name or not file.is_file():
            raise ModelNotFound(
                f"The checkpoint routes a task to {name!r} and holds no {LORAS}/{name}. Export it again."
            )
        config = LoraConfig.from_pretrained(file.parent)
        if tuner is None:
            tuner = LoraModel(model, config, adapter_name=name)
        else:
            tuner.peft_config[name] = config
            tuner.inject_adapter(model, name)
        try:
            loaded = set_peft_model_state_dict(model, load_file(file), adapter_name=name)
            # PEFT says nothing of an adapter that fits nowhere, and answers as if there were none.
            fits = not loaded.unexpected_keys and not any(f".{name}." in key for key in loaded.missing_keys)
        except RuntimeError:  # layers of other sizes
            fits = False
        if not fits:
            raise ModelNotFound(f"{LORAS}/{name} is the adapter of another model, or damaged. Export it again.")
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
