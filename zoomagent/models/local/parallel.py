"""LION's own adapters: a narrow ReLU network beside every FFN for each task, and a vector router between them.

    route = attach_parallel(model, bottleneck=64)      # a model of random adapters that changes nothing yet
    routed = load_parallel(model, file)                # those of a file, for rows of any task

As in LION's code an adapter reads what the norm before the FFN reads, adds U relu(D h + b) + c to what the FFN gives,
and its router weighs every number of it by task: one-hot at the start. No server knows this form, so it runs in this
process only; `zoomagent/training/lion/mixture.py` has the form that is served. Left out: dropout.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors.torch import load_file
from torch import nn

from zoomagent.errors import ModelNotFound
from zoomagent.models.local.weights import shapes_in
from zoomagent.strategy import Task

TASKS: tuple[Task, ...] = ("region", "image")
"""Numbered as in LION: region 0, image 1."""
NO_TASK = -1
assert set(TASKS) == set(get_args(Task))


class Route:
    """The tasks of the rows of the next pass, by number; NO_TASK rows go through no adapter."""

    def __init__(self) -> None:
        self.rows = torch.full((1,), NO_TASK)


def task_ids(tasks: Sequence[Task | None]) -> torch.Tensor:
    """The numbers of tasks; NO_TASK for None."""
    return torch.tensor([NO_TASK if task is None else TASKS.index(task) for task in tasks])


class Parallel(nn.Module):
    """The adapters beside one FFN of `width`; `down` and `up` hold one matrix a task."""

    def __init__(self, width: int, bottleneck: int, route: Route) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(len(TASKS), width, bottleneck) * width**-0.5)
        self.down_bias = nn.Parameter(torch.zeros(len(TASKS), bottleneck))
        self.up = nn.Parameter(torch.zeros(len(TASKS), bottleneck, width))
        self.up_bias = nn.Parameter(torch.zeros(len(TASKS), width))
        self.scale = nn.Parameter(torch.ones(len(TASKS)))
        self.router = nn.Parameter(torch.eye(len(TASKS))[..., None].repeat(1, 1, width))
        self._route = route

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """What is added for hidden states [row, place, width]."""
        rows = self._route.rows.to(hidden.device)
        inner = torch.einsum("npw,kwb->nkpb", hidden, self.down) + self.down_bias[:, None]
        outer = torch.einsum("nkpb,kbw->nkpw", inner.relu(), self.up) + self.up_bias[:, None]
        shares = self.router[rows.clamp(min=0)] * self.scale[:, None] * (rows >= 0)[:, None, None]
        return (outer * shares[:, :, None]).sum(1)


def attach_parallel(model: Any, bottleneck: int) -> Route:
    """Put adapters beside every FFN of the text model. They add nothing until they are trained."""
    route = Route()
    for layer in model.model.language_model.layers:
        adapter = Parallel(model.config.text_config.hidden_size, bottleneck, route).to(layer.mlp.down_proj.weight)
        layer.lion = adapter
        before: list[torch.Tensor] = []

        def keep(_: Any, given: tuple[torch.Tensor, ...], before: list[torch.Tensor] = before) -> None:
            before[:] = given[:1]

        def add(
            _: Any, given: Any, made: torch.Tensor, before: list[torch.Tensor] = before, own: Parallel = adapter
        ) -> torch.Tensor:
            added: torch.Tensor = own(before.pop())
            return made + added

        layer.post_attention_layernorm.register_forward_pre_hook(keep)
        layer.mlp.register_forward_hook(add)
    return route


def parallel_weights(model: Any) -> dict[str, torch.Tensor]:
    """The adapters' own numbers, by name."""
    return {name: value for name, value in model.state_dict().items() if ".lion." in name}


class RoutedParallel:
    """A pass whose rows have tasks (`routing.Routed`)."""

    def __init__(self, model: Any, route: Route) -> None:
        self._model, self._route = model, route

    def __call__(self, tasks: Sequence[Task | None], **inputs: Any) -> Any:
        self._route.rows = task_ids(tasks)
        return self._model(**inputs)


def load_parallel(model: Any, file: Path) -> RoutedParallel:
    """The routed pass of `model` with the adapters of a file. Raises ModelNotFound where they are not this model's."""
    shapes = shapes_in(file)
    bottleneck = next((shape[-1] for name, shape in shapes.items() if name.endswith(".down") and shape), 1)
    with torch.device("meta"):  # the file says how wide they are: looked at before any of it is allocated
        one = Parallel(model.config.text_config.hidden_size, bottleneck, Route())
    own = {
        f"model.language_model.layers.{layer}.lion.{name}": tuple(value.shape)
        for layer in range(len(model.model.language_model.layers))
        for name, value in one.named_parameters()
    }
    if shapes != own:
        raise ModelNotFound(f"{file.name} holds adapters of another model. Export the checkpoint again.")
    route = attach_parallel(model, bottleneck)
    model.load_state_dict(load_file(file), strict=False)
    return RoutedParallel(model, route)
