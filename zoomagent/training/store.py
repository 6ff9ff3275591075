"""Training state on disk: safetensors and JSON only, complete or absent.

A checkpoint is written to a temporary folder, synced and renamed, so a kill leaves the last complete one. No pickle.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn


def save(
    folder: Path,
    step: int,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    notes: dict[str, Any],
) -> None:
    """Write `folder/step-<step>` and drop all but the two newest."""
    final, draft = folder / f"step-{step:08d}", folder / f".draft-{step}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name, module in modules.items():
        state = {k: v.detach().cpu().contiguous().clone() for k, v in module.state_dict().items()}
        save_file(state, draft / f"{name}.safetensors")
    save_file(_flat(optimizer), draft / "optimizer.safetensors")
    (draft / "state.json").write_text(json.dumps({"step": step, **notes}))
    _sync(draft)
    shutil.rmtree(final, ignore_errors=True)
    draft.rename(final)
    for old in sorted(folder.glob("step-*"))[:-2]:
        shutil.rmtree(old)


def newest(folder: Path) -> Path | None:
    """The newest complete checkpoint, or None."""
    found = sorted(folder.glob("step-*"))
    return found[-1] if found else None


def load(checkpoint: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer | None) -> dict[str, Any]:
    """Fill modules and optimizer in place; returns what `notes` held, with `step`."""
    for name, module in modules.items():
        module.load_state_dict(load_file(checkpoint / f"{name}.safetensors"))
    if optimizer is not None:
        _unflatten(optimizer, load_file(checkpoint / "optimizer.safetensors"))
    state: dict[str, Any] = json.loads((checkpoint / "state.json").read_text())
    return state


def start(folder: Path, modules: dict[str, nn.Module]) -> None:
    """Fill the modules that `folder` has weights for. Vocabularies may have grown: new tokens keep their random
    start."""
    for name, module in modules.items():
        path = folder / f"{name}.safetensors"
        if path.exists():
            own = module.state_dict()
            module.load_state_dict({key: _grown(value, own[key]) for key, value in load_file(path).items()})


def _grown(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    if old.shape == new.shape:
        return old
    grown = new.clone()
    grown[: len(old)] = old
    return grown


def _flat(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{i}.{k}": v.detach().cpu().contiguous().clone() for i, entry in state.items() for k, v in entry.items()}


def _unflatten(optimizer: torch.optim.Optimizer, flat: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in flat.items():
        index, key = name.split(".")
        state.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
