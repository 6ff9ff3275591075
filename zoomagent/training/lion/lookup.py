"""Looking a name up in the tags: a loss beside the next token's, by which some heads attend to the tag asked for.

    lookup = Lookup(model)                              # listens to one layer of the text model
    model(...)
    loss = lookup.loss(spoken)                          # at the tokens before the answer's

What it is worth stands in docs/benchmarks.md. Where no tag is asked about there is nothing to look up, and no loss.
Left out: whether a tag is to be believed. That the answer's own loss teaches, with wrong tags among the right ones.
"""

import re
from collections.abc import Sequence
from typing import Any

import torch

from zoomagent.training.nano.packing import IGNORE
from zoomagent.training.nano.pointing import Spoken, mass_loss

DEPTH = 0.75
"""The layer that looks up, as a share of the text model's depth."""
HEADS = 2
"""Its last heads: nano's first ones find things in the picture."""
WEIGHT = 0.3
"""What the loss counts beside the next token's, as nano's own pointing losses do."""


class Lookup:
    """Keeps what one attention layer of the text model is given, from the last pass."""

    def __init__(self, model: Any) -> None:
        layers = model.model.language_model.layers
        self._attention = layers[int(DEPTH * len(layers))].self_attn
        self._hidden: torch.Tensor | None = None
        self._turns: tuple[torch.Tensor, torch.Tensor] | None = None
        self._attention.register_forward_pre_hook(self._keep, with_kwargs=True)

    def _keep(self, _: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._hidden = named["hidden_states"] if "hidden_states" in named else given[0]
        self._turns = named["position_embeddings"] if "position_embeddings" in named else given[1]

    def loss(self, spoken: Spoken) -> torch.Tensor:
        """-log of the attention on what is right, over all tokens that speak of a tag."""
        from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb

        assert self._hidden is not None and self._turns is not None, "the model runs first"
        attention, hidden = self._attention, self._hidden
        shape = (*hidden.shape[:2], -1, attention.head_dim)
        queries = attention.q_norm(attention.q_proj(hidden).view(shape)).transpose(1, 2)
        keys = attention.k_norm(attention.k_proj(hidden).view(shape)).transpose(1, 2)
        queries, keys = apply_rotary_pos_emb(queries, keys, *self._turns)
        losses = []
        for head in range(queries.shape[1] - HEADS, queries.shape[1]):
            own = keys[:, head // attention.num_key_value_groups]
            asking = queries[:, head][spoken.row, spoken.place]
            scores = (own[spoken.row] @ asking[..., None])[..., 0] * attention.scaling
            losses.append(mass_loss(scores.float(), spoken.seen, spoken.right)[0])
        return torch.stack(losses).mean()


def spoken_of(labels: torch.Tensor, there: torch.Tensor, asked: torch.Tensor) -> Spoken:
    """Where answers begin in padded rows, of those rows in which a tag is asked for: `labels`, what is no padding, and
    the asked tags' tokens, each (rows, length)."""
    first = (labels != IGNORE).int().argmax(-1) - 1  # the token that the answer's first is foretold at
    rows = (asked.any(-1) & (first >= 0)).nonzero()[:, 0]
    places = first[rows]
    seen = there[rows].bool() & (torch.arange(labels.shape[1], device=labels.device) <= places[:, None])
    return Spoken(rows, places, seen, asked[rows] & seen)


def asked_places(tokenizer: Any, ids: Sequence[int], tags: Sequence[str], question: str) -> list[bool]:
    """Which tokens of a prompt spell a tag that the question names. The tags stand in it once, in this order; where
    they cannot be found, none does."""
    named = [bool(re.search(rf"\b{re.escape(tag)}(s|es)?\b", question, re.IGNORECASE)) for tag in tags]
    if not any(named):
        return [False] * len(ids)
    pieces = [tokenizer.decode([token]) for token in ids]
    start = "".join(pieces).rfind(f"[{', '.join(tags)}]") + 1
    if not start:
        return [False] * len(ids)
    spans, place = [], start
    for tag, wanted in zip(tags, named, strict=True):
        spans += [(place, place + len(tag))] if wanted else []
        place += len(tag) + 2
    marked, place = [], 0
    for piece in pieces:
        end = place + len(piece)
        marked.append(any(place < last and end > first for first, last in spans))
        place = end
    return marked
