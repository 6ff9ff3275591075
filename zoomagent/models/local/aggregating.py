"""LION's vision aggregator: the tower's last block asks two earlier ones, before the visual tokens are merged.

    attach_aggregator(model)                           # changes nothing yet: what it adds goes through a zero layer
    load_aggregator(model, file)

Two cross-attention layers, the first to the block at 0.72 of the depth, the second to that at 0.46, as LION's. Norms
come before attention and FFN here: with LION's norms behind them a zero layer would not be the identity. Views of one
batch do not see each other. In this process only; the form that servers run is one more DeepStack level
(`zoomagent/training/lion/level.py`).
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from zoomagent.errors import ModelNotFound

DEPTHS = (0.72, 0.46)
"""Of the tower: the blocks that are asked, in this order (LION's 28 and 18 of 39)."""


class CrossLayer(nn.Module):
    """Patches [place, width] ask earlier ones; then an FFN. Both end in a zero layer at the start."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.asking, self.asked, self.norm = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        end = nn.Linear(2 * width, width)
        self.ffn = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), end)
        for last in (self.attention.out_proj, end):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, patches: torch.Tensor, earlier: torch.Tensor) -> torch.Tensor:
        keys = self.asked(earlier)[None]
        found, _ = self.attention(self.asking(patches)[None], keys, keys, need_weights=False)
        patches = patches + found[0]
        ffn: torch.Tensor = self.ffn(self.norm(patches))
        return patches + ffn


def attach_aggregator(model: Any) -> None:
    """Put the layers before the merger of the model's vision tower."""
    tower = model.model.visual
    settings = tower.config
    layers = nn.ModuleList([CrossLayer(settings.hidden_size, settings.num_heads) for _ in DEPTHS])
    tower.aggregator = layers.to(tower.patch_embed.proj.weight)
    kept: dict[float, torch.Tensor] = {}
    lengths: list[int] = []

    def begin(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        grids = named["grid_thw"] if "grid_thw" in named else given[1]
        lengths[:] = grids.prod(-1).tolist()

    tower.register_forward_pre_hook(begin, with_kwargs=True)
    for depth in DEPTHS:

        def keep(_: Any, given: Any, made: torch.Tensor, depth: float = depth) -> None:
            kept[depth] = made

        tower.blocks[int(depth * settings.depth)].register_forward_hook(keep)

    def aggregate(_: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        views = list(torch.split(given[0], lengths))
        for layer, depth in zip(layers, DEPTHS, strict=True):
            views = [
                layer(view, earlier) for view, earlier in zip(views, torch.split(kept[depth], lengths), strict=True)
            ]
        return (torch.cat(views), *given[1:])

    tower.merger.register_forward_pre_hook(aggregate)


def aggregator_weights(model: Any) -> dict[str, torch.Tensor]:
    """The layers' own numbers, by name."""
    return {name: value for name, value in model.state_dict().items() if ".aggregator." in name}


def load_aggregator(model: Any, file: Path) -> None:
    """Attach the layers of a file. Raises ModelNotFound where they are not this model's."""
    stored = load_file(file)
    attach_aggregator(model)
    own = {name: tuple(value.shape) for name, value in aggregator_weights(model).items()}
    if {name: tuple(value.shape) for name, value in stored.items()} != own:
        raise ModelNotFound(f"{file.name} holds an aggregator of another model. Export the checkpoint again.")
    model.load_state_dict(stored, strict=False)
