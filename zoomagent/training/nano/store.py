"""Training state on disk: safetensors and JSON only, complete or absent.

A checkpoint is written to a temporary folder, synced and renamed, so a kill leaves the last complete one. No pickle.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from zoomagent.files import whole_folder


def save(
    folder: Path,
    step: int,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    notes: dict[str, Any],
) -> None:
    """Write `folder/step-<step>` and drop all but the two newest."""
    with whole_folder(folder / f"step-{step:08d}") as draft:
        for name, module in modules.items():
            state = {k: v.detach().cpu().contiguous().clone() for k, v in module.state_dict().items()}
            save_file(state, draft / f"{name}.safetensors")
        moments = {
            f"{i}.{k}": v.detach().cpu().contiguous().clone()
            for i, entry in optimizer.state_dict()["state"].items()
            for k, v in entry.items()
        }
        save_file(moments, draft / "optimizer.safetensors")
        (draft / "state.json").write_text(json.dumps({"step": step, **notes}))
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
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in load_file(checkpoint / "optimizer.safetensors").items():
            index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = tensor
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    state: dict[str, Any] = json.loads((checkpoint / "state.json").read_text())
    return state


def start(folder: Path, modules: dict[str, nn.Module], tokenizer: Any) -> None:
    """Fill the modules that `folder` has weights for. Where the folder holds another tokenizer, each token takes the
    row of the same token, and a new one the mean of the old tokens that it was spelled with."""
    rows = _match_tokens(folder, tokenizer) if (folder / "tokenizer.json").exists() else None
    for name, module in modules.items():
        path = folder / f"{name}.safetensors"
        if not path.exists():
            continue
        own, found = module.state_dict(), load_file(path)
        for key, value in found.items():
            if rows is not None and key.endswith(("embed_tokens.weight", "lm_head.weight")):
                old = value.float()
                new = own[key]
                moved = new.clone()
                for place, sources in enumerate(rows):
                    if sources:
                        moved[place] = old[sources].mean(0)
                found[key] = moved
        module.load_state_dict(found)


def _match_tokens(folder: Path, tokenizer: Any) -> list[list[int]]:
    """For each token of `tokenizer`, the tokens of the folder's that stand for it."""
    from transformers import AutoTokenizer

    old = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    known = old.get_vocab()
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    spelled = [tokenizer.convert_tokens_to_string([token]) for token in tokens]
    return [
        [known[token]] if token in known else old.encode(text, add_special_tokens=False)
        for token, text in zip(tokens, spelled, strict=True)
    ]
