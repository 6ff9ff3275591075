"""Look where you speak of: two losses that tie a question to the items it is about.

While an answer is written, (1) the text model's middle hidden state must pick, by a projection of its own, the visual
tokens of the items it is about among those it can see, and (2) the first heads of the next layer must attend to them.
Finding the item is what a small model learns last from next-token loss; asked for directly, it comes in a thousand
steps. Ours, in the spirit of grounding supervision. The projection is dropped from the shipped weights; attention
stays stock.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zoomagent.training.nano.batching import Batch
from zoomagent.training.nano.looks import TEXT
from zoomagent.training.nano.packing import IGNORE


@dataclass(frozen=True)
class Spoken:
    """The answer tokens that speak of items: row and place of each, what it may see, and what would be right."""

    row: torch.Tensor
    place: torch.Tensor
    seen: torch.Tensor
    right: torch.Tensor


def spoken_masks(batch: Batch) -> Spoken:
    """Masks `seen` and `right` have shape (answer tokens, length); tokens whose items no view shows are left out."""
    row, place = ((batch.labels != IGNORE) & (batch.targets > 0)).nonzero(as_tuple=True)
    seen = batch.mask[row, 0, place]
    items = batch.items[row]
    about = (batch.targets[row, place][:, None] >> (items + 1).clamp(min=0)) & 1
    right = seen & about.bool() & (items != TEXT)
    known = right.any(-1)
    return Spoken(row[known], place[known], seen[known], right[known])


def mass_loss(scores: torch.Tensor, seen: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """-log of the softmax mass on what is right, and how often the highest score is. scores (tokens, length)."""
    if not len(scores):
        return scores.sum(), scores.sum().detach()
    every = torch.logsumexp(scores.masked_fill(~seen, -1e9), -1)
    loss = (every - torch.logsumexp(scores.masked_fill(~right, -1e9), -1)).mean()
    best = scores.masked_fill(~seen, -1e9).argmax(-1, keepdim=True)
    return loss, right.gather(1, best).float().mean().detach()


def _scores(queries: torch.Tensor, keys: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
    """Dot products of queries (tokens, d), in the order of their rows, with the keys (n, length, d) of their rows;
    shape (tokens, length). Row by row: gathering every token's keys first would take a quarter of a training step."""
    return torch.cat([queries[row == r] @ keys[r].T for r in range(len(keys))])


class Pointer(nn.Module):
    """Projects hidden states to queries and keys of `rank` dimensions."""

    def __init__(self, width: int, rank: int = 64) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, rank), nn.Linear(width, rank)
        self.scale = rank**-0.5

    def forward(self, hidden: torch.Tensor, batch: Batch, said: Spoken) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss, and share of answer tokens whose best visual token is right. hidden (n, length, width)."""
        scores = _scores(self.query(hidden[said.row, said.place]), self.key(hidden), said.row) * self.scale
        return mass_loss(scores, said.seen & (batch.items != TEXT)[said.row], said.right)


def attended(
    text: Any, layer: int, hidden: torch.Tensor, batch: Batch, said: Spoken, heads: int = 2
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same for the first `heads` attention heads of `layer` of the text model, whose input is `hidden`."""
    from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb

    block = text.layers[layer]
    attention, x = block.self_attn, block.input_layernorm(hidden)
    shape = (*x.shape[:2], -1, attention.head_dim)
    queries = attention.q_norm(attention.q_proj(x).view(shape)).transpose(1, 2)
    keys = attention.k_norm(attention.k_proj(x).view(shape)).transpose(1, 2)
    queries, keys = apply_rotary_pos_emb(queries, keys, *text.rotary_emb(x, batch.positions))
    losses, hits = [], []
    for head in range(heads):
        key = keys[:, head // attention.num_key_value_groups]
        scores = _scores(queries[:, head][said.row, said.place], key, said.row) * attention.scaling
        loss, hit = mass_loss(scores, said.seen, said.right)
        losses.append(loss)
        hits.append(hit)
    return torch.stack(losses).mean(), torch.stack(hits).mean()
