"""Point before you speak: a contrastive loss that ties a question to the item it is about.

While the answer is written, the text model's middle hidden state must pick, among the visual tokens it can see,
those of the item asked for. Finding the item is what a small model learns last from next-token loss; asked for
directly, attention has something to go by early. Ours, in the spirit of grounding supervision; the head is dropped
from the shipped weights.
"""

import torch
from torch import nn

from zoomagent.training.batching import Batch
from zoomagent.training.mix import TEXT
from zoomagent.training.packing import IGNORE


class Pointer(nn.Module):
    """Projects hidden states to queries and keys of `rank` dimensions."""

    def __init__(self, width: int, rank: int = 64) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, rank), nn.Linear(width, rank)
        self.scale = rank**-0.5

    def forward(self, hidden: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss, and share of answer tokens whose best visual token is right. hidden (n, length, width)."""
        speaking = (batch.labels != IGNORE) & (batch.targets >= 0)
        row, place = speaking.nonzero(as_tuple=True)
        seen = batch.mask[row, 0, place] & (batch.items != TEXT)[row]
        right = seen & (batch.items[row] == batch.targets[row, place][:, None])
        known = right.any(-1)
        scores = torch.einsum("qd,qld->ql", self.query(hidden[row, place]), self.key(hidden)[row]) * self.scale
        scores = scores.masked_fill(~seen, -1e9)
        losses = torch.logsumexp(scores, -1) - torch.logsumexp(scores.masked_fill(~right, -1e9), -1)
        hit = right.gather(1, scores.argmax(-1, keepdim=True))[:, 0] & known
        count = known.sum().clamp(min=1)
        return (losses * known).sum() / count, (hit.sum() / count).detach()
