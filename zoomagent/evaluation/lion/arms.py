"""The arms of a comparison, made alike: what each adds to a base, learns, and leaves as a checkpoint that answers.

    arm = Arm(base, "mixture", size=4, aggregator="none", seed=1)
    teach(arm.model, batches, arm.route, arm.groups(rate), steps)
    arm.export(folder)                                  # `load_model(folder)` asks it as any other

All low-rank arms are PEFT's Poly with other starts, so that they differ in nothing else: `image` and `region` are one
adapter for one task, `shared` one of twice the rank for both, `switch` two with a router that is fixed, `mixture` two
whose router learns. `parallel` is LION's own form of the mixture, of the same number of weights.
"""

import json
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors.torch import save_file

from zoomagent.files import whole_folder
from zoomagent.models.local.aggregating import aggregator_weights, attach_aggregator
from zoomagent.models.local.parallel import TASKS, attach_parallel, parallel_weights
from zoomagent.models.local.routing import AGGREGATOR, LORAS, PARALLEL
from zoomagent.strategy import Task
from zoomagent.training.base import Base
from zoomagent.training.lion.level import with_level
from zoomagent.training.lion.mixture import NAME, attach_poly, fold, learn_side, poly_layers, still
from zoomagent.training.lion.run import SLOWER
from zoomagent.training.sft.exporting import copy_side_files

Name = Literal["untaught", "image", "region", "shared", "switch", "mixture", "parallel"]
ARMS: tuple[Name, ...] = get_args(Name)
Aggregator = Literal["none", "level", "attention"]
FIXED = 30.0
"""Logits of a router that is one-hot to the last bit."""


class Arm:
    """A model with adapters of rank `size` for each task, of which the arm's own learn."""

    def __init__(self, base: Base, name: Name, size: int, seed: int, aggregator: Aggregator = "none") -> None:
        torch.manual_seed(seed)
        self.name: Name = name
        self._base, self._aggregator = base, aggregator
        model = base.weights(torch.float32)
        model = with_level(model) if aggregator == "level" else model
        if aggregator == "attention":
            attach_aggregator(model)
        self.model = model.requires_grad_(False)
        self._masks: list[Any] = []
        self._level = len(model.config.vision_config.deepstack_visual_indexes) - 1
        if name == "untaught":
            return
        if name == "parallel":
            self._route = attach_parallel(model, _bottleneck(model, size))
            return
        self._route = attach_poly(model, 2 * size if name == "shared" else size)
        for layer in poly_layers(model).values():
            if name != "mixture":
                logits = torch.full((len(TASKS), len(TASKS)), -FIXED).fill_diagonal_(FIXED)
                layer.poly_router[NAME].module_logits.data.copy_(logits)
                still(layer.poly_router[NAME])
        if side := self.only:
            self.learn(side)

    def learn(self, task: Task) -> None:
        """Hold back the other task's adapter, and the router, from here on, as LION's stages do."""
        for mask in self._masks:
            mask.remove()
        self._masks = learn_side(self.model, self.only or task) if self.name != "parallel" else []

    @property
    def only(self) -> Task | None:
        """The task whose adapter is the arm's only one; the shared one stands in the first place."""
        return "image" if self.name == "image" else "region" if self.name in ("region", "shared") else None

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that it is taught."""
        match self.name:
            case "untaught":
                return ()
            case "image" | "region":
                return (self.name,)
            case _:
                return TASKS

    def route(self, tasks: torch.Tensor) -> None:
        """Send the rows of the next pass through their adapters."""
        self._route.rows = tasks if self.only is None else torch.full_like(tasks, TASKS.index(self.only))

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """What learns, with its peak rate: an aggregator at a tenth."""
        every = [(self._is_aggregator(name), weight) for name, weight in self.model.named_parameters()]
        slow = [weight for slower, weight in every if slower]
        fast = [weight for slower, weight in every if not slower and weight.requires_grad]
        for weight in slow:
            weight.requires_grad_(True)
        return [{"params": fast, "lr": rate}, *([{"params": slow, "lr": SLOWER * rate}] if slow else [])]

    def parameters(self) -> int:
        """How many numbers the arm adds to the base."""
        if self.name == "untaught":
            return 0
        own = self.model.named_parameters()
        count = 0
        for name, weight in own:
            if self._is_aggregator(name) or ".lion." in name:
                count += weight.numel()
            elif ".poly_lora" in name:
                count += weight.numel() // (len(TASKS) if self.only else 1)
            elif ".poly_router" in name and self.name == "mixture":
                count += weight.numel()
        return count

    def export(self, out: Path) -> Path:
        """A checkpoint of base and adapters, with routes."""
        plain = self._base.weights(torch.float32)
        plain = with_level(plain) if self._aggregator == "level" else plain
        trained = {name.replace(".base_layer.", "."): value for name, value in self.model.state_dict().items()}
        plain.load_state_dict({name: trained[name] for name in plain.state_dict()})
        with whole_folder(out) as draft:
            plain.save_pretrained(draft)
            copy_side_files(self._base, draft)
            (draft / LORAS).mkdir()
            if self.name == "parallel":
                save_file(parallel_weights(self.model), draft / LORAS / PARALLEL)
            elif self.name != "untaught":
                fold(self.model, draft / LORAS, self._base.name)
            if self._aggregator == "attention":
                save_file(aggregator_weights(self.model), draft / LORAS / AGGREGATOR)
            own = draft / "zoomagent.json"
            profile: dict[str, Any] = json.loads(own.read_text(encoding="utf-8")) if own.is_file() else {}
            if self.name != "untaught":
                profile["routes"] = {task: self.only or task for task in TASKS}
            own.write_text(json.dumps(profile) + "\n", encoding="utf-8")
        return out

    def _is_aggregator(self, name: str) -> bool:
        match self._aggregator:
            case "level":
                return f"deepstack_merger_list.{self._level}." in name
            case "attention":
                return ".aggregator." in name
            case "none":
                return False


def _bottleneck(model: Any, size: int) -> int:
    """The bottleneck of LION's own adapters that has as many weights as low rank `size` on the FFN."""
    text = model.config.text_config
    width, inner = int(text.hidden_size), int(text.intermediate_size)
    return max(1, round(size * 3 * (width + inner) / (2 * width)))
