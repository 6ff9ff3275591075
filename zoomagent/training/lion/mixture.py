"""The mixture of adapters in its stock form: PEFT's Poly on the text FFN, routed by the task of every row.

    route = attach_poly(model, rank=8)                 # nothing changes yet; LION's one-hot start
    route.rows = task_ids(["image", "region"])         # or the batch's own `task_ids`, when TRL trains
    fold(model, Path("loras"), base="nano")            # one plain LoRA a task: `loras/image`, `loras/region`

Both tasks' LoRAs are weighed by a router, A and B each by themselves, as Poly does; folding does the same sums once.
The differences from LION's own form (`models/local/parallel.py`): low rank inside the FFN's layers instead of a ReLU
network beside them, one weight a layer instead of a vector, and a router that is drawn while it trains. Left out:
merging, which would leave one task.
"""

from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PolyConfig, inject_adapter_in_model
from peft.tuners.poly.layer import PolyLayer
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save_file

from zoomagent.errors import SettingInvalid
from zoomagent.models.local.parallel import TASKS, Route
from zoomagent.models.local.routing import LORAS
from zoomagent.strategy import Task

FFN = ("gate_proj", "up_proj", "down_proj")
TARGETS = rf".*language_model.*\.({'|'.join(FFN)})"
NAME = "default"
MIXTURE_SHAPE = "mixture.json"
MOST_SIZE = 4096
"""The largest rank or bottleneck (ours): it is allocated before the numbers are read."""
SURE = 3.0
"""The router's logits at the start: 0.95 of the own adapter, 0.05 of the other's."""


def attach_poly(model: Any, rank: int) -> Route:
    """Put the mixture on every FFN of the text model, in place. All else is frozen."""
    inject_adapter_in_model(
        PolyConfig(r=rank, n_tasks=len(TASKS), n_skills=len(TASKS), target_modules=TARGETS), model, adapter_name=NAME
    )
    route = Route()

    def give(_: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return given, {**named, "task_ids": route.rows}

    # PEFT's own hooks are gone when activations are computed again; these stay.
    for layer in poly_layers(model).values():
        layer.register_forward_pre_hook(give, with_kwargs=True)
        start = torch.full((len(TASKS), len(TASKS)), -SURE).fill_diagonal_(SURE)
        layer.poly_router[NAME].module_logits.data.copy_(start)
    model.train(model.training)  # new modules are born in training, where the router is drawn
    return route


def heed_task_ids(model: Any, route: Route) -> None:
    """Route by the `task_ids` of a batch, where it has some."""

    def take(_: Any, given: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if "task_ids" in named:
            route.rows = named.pop("task_ids")
        return given, named

    model.register_forward_pre_hook(take, with_kwargs=True)


def poly_layers(model: Any) -> dict[str, Any]:
    """The layers that the mixture sits on, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, PolyLayer)}


def learn_side(model: Any, side: Task | None) -> list[Any]:
    """Let one task's adapter learn, the other's and the router stay as they are; None: both, and the router. The masks
    that hold the other back, each with a `remove`."""
    masks = []
    for layer in poly_layers(model).values():
        if side is None:
            continue
        still(layer.poly_router[NAME])
        for weights in (layer.poly_lora_A[NAME], layer.poly_lora_B[NAME]):
            mask = torch.zeros_like(weights)
            mask[:, TASKS.index(side)] = 1.0
            masks.append(weights.register_hook(lambda gradient, mask=mask: gradient * mask.to(gradient)))
    return masks


def still(router: Any) -> None:
    """Keep a router as it is: it does not learn, and is not drawn."""
    router.module_logits.requires_grad_(False)

    def settle(module: Any, _: Any) -> None:
        module.eval()

    router.register_forward_pre_hook(settle)


def mixture_weights(model: Any) -> dict[str, torch.Tensor]:
    """The mixture's own numbers, by name: for the next stage."""
    return {name: value.contiguous() for name, value in model.state_dict().items() if ".poly_" in name}


@torch.no_grad()
def folded(layer: Any, task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    """The mixture of one layer for one task as LoRA's A (rank, in) and B (out, rank); its alpha is 1."""
    logits = layer.poly_router[NAME].module_logits[TASKS.index(task)]
    shares = logits.sigmoid()
    shares = shares / (shares.sum() + 1e-12)
    a = torch.einsum("s,sdr->rd", shares, layer.poly_lora_A[NAME][0])
    b = torch.einsum("s,srd->dr", shares, layer.poly_lora_B[NAME][0])
    return a.contiguous(), b.contiguous()


def fold(model: Any, folder: Path, base: str) -> None:
    """Write one LoRA of PEFT a task: what `PeftModel` loads, and `vllm serve --enable-lora` serves."""
    layers = poly_layers(model)
    rank = next(iter(layers.values())).r[NAME]
    for task in TASKS:
        weights: dict[str, torch.Tensor] = {}
        for name, layer in layers.items():
            a, b = folded(layer, task)
            weights |= {f"base_model.model.{name}.lora_A.weight": a, f"base_model.model.{name}.lora_B.weight": b}
        place = folder / task
        place.mkdir(parents=True, exist_ok=True)
        save_file(weights, place / "adapter_model.safetensors", metadata={"format": "pt"})
        config = LoraConfig(
            r=rank, lora_alpha=1, target_modules=TARGETS, task_type="CAUSAL_LM", base_model_name_or_path=base
        )
        config.inference_mode = True
        config.save_pretrained(place)


class Shape(BaseModel):
    """What `loras/mixture.json` says of a checkpoint: the form and size of its adapters, the stage that wrote it, and
    which DeepStack level is the aggregator (None: none). Older ones do not say the last."""

    model_config = ConfigDict(strict=True, frozen=True)
    adapters: Literal["poly", "parallel"]
    size: int = Field(ge=1, le=MOST_SIZE)
    stage: str = ""
    level: int | None = Field(None, ge=0)

    @property
    def says_level(self) -> bool:
        return "level" in self.model_fields_set


def shape_of(folder: Path) -> Shape | None:
    """The shape of the checkpoint in a folder; None of one that has no mixture. Raises SettingInvalid for a damaged
    file."""
    file = folder / LORAS / MIXTURE_SHAPE
    if not file.is_file():
        return None
    try:
        return Shape.model_validate_json(file.read_bytes())
    except (ValidationError, OSError) as error:
        text = (
            f"{LORAS}/{MIXTURE_SHAPE} is damaged, so nothing says what its adapters are. Train the stage before again."
        )
        raise SettingInvalid(text) from error
