"""TRL's GRPOTrainer with what zooming needs: our tool definitions, and the figures that the guard watches.

After every batch of rollouts: the share that saw a crop (`zoom/tool_rate`), crops per rollout, refused calls, and the
share of answers for which the crops mattered: as in a run of the agent, the same words are scored again with the crops
blanked, and must lose half their likelihood. Left out: TRL's own figures, which it logs itself.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from trl import GRPOTrainer

from zoomagent.errors import RunError
from zoomagent.graphs.weighing import MATTERS
from zoomagent.tools.viewing import BLANK
from zoomagent.training.rl.environment import EnvConfig
from zoomagent.training.rl.trl_env import ZoomRollout

Seen = dict[str, Any]


class ZoomTrainer(GRPOTrainer):  # type: ignore[misc]
    """`proof_every`: after how many batches the crops are blanked; 0 never."""

    def __init__(self, *, env: EnvConfig, proof_every: int, **given: Any) -> None:
        super().__init__(environment_factory=lambda: ZoomRollout(env), **given)
        self._env_tools = {None: env.definitions()}
        self._proof_every, self._batches = proof_every, 0

    def raise_tool(self, factor: float) -> float:
        """Let the tool's reward count `factor` times as much; returns its weight."""
        place = self.reward_func_names.index("tool")
        self.reward_weights[place] *= factor
        return float(self.reward_weights[place])

    def restore(self, checkpoint: str) -> None:
        """Weights of an earlier checkpoint; the optimizer forgets its moments."""
        self._load_from_checkpoint(checkpoint)
        self.optimizer.state.clear()

    def _tokenize_prompts(self, prompts: Any) -> Any:
        """With tensors where a processor without torchvision gives lists: TRL splits them when all calls of a batch
        are refused."""
        ids, images, fields = super()._tokenize_prompts(prompts)
        lists = [name for name in ("pixel_values", "image_grid_thw") if isinstance(fields.get(name), list)]
        return ids, images, {**fields, **{name: torch.from_numpy(np.stack(fields[name])) for name in lists}}

    def _generate_and_score_completions(self, inputs: Any) -> Seen:
        output: Seen = super()._generate_and_score_completions(inputs)
        if output.get("num_images") is None or "pixel_values" not in output:
            raise RunError(
                "The views of a batch were dropped: a rollout is longer than max_completion_length, and its pictures "
                "no longer fit its tokens. Raise --turns or lower the pixels of crops.",
                code="context",
            )
        episodes = [rollout._env.episode for rollout in self.environments]
        figures = {
            "zoom/tool_rate": [float(bool(episode.shown)) for episode in episodes],
            "zoom/crops": [float(len(episode.shown)) for episode in episodes],
            "zoom/refused": [float(episode.refused) for episode in episodes],
        }
        for name, values in figures.items():
            self._note(name, values)
        self._batches += 1
        if self._proof_every and self._batches % self._proof_every == 0:
            self._note("zoom/mattered", [float(delta >= MATTERS) for delta in self._prove(output)])
        return output

    def _note(self, name: str, values: Sequence[float]) -> None:
        """Log the mean over all processes, of which some may have no values."""
        both = torch.tensor([sum(values), float(len(values))], device=self.accelerator.device)
        total, count = self.accelerator.gather(both[None]).sum(0).tolist()
        if count:
            self._metrics["train"][name].append(total / count)

    @torch.no_grad()
    def _prove(self, output: Seen) -> list[float]:
        """log p(answer | crops) - log p(answer | crops blanked), nats, of the rollouts that saw crops."""
        rows = [i for i, images in enumerate(output["num_images"]) if images > 1]
        if not self.accelerator.gather(torch.tensor([len(rows)], device=self.accelerator.device)).sum():
            return []
        words = answer_tokens(output["completion_mask"], output["tool_mask"])
        seen = self._likelihood(output, output["pixel_values"], words)
        blank = self._likelihood(output, self._blanked(output), words)
        deltas: list[float] = (seen - blank)[rows].tolist()
        return deltas

    def _likelihood(self, output: Seen, pixels: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        names = ("image_grid_thw", "num_images", "mm_token_type_ids")
        logps, *_ = self._get_per_token_logps_and_entropies(
            self.model,
            torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1),
            torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1),
            output["completion_ids"].size(1),
            batch_size=self.args.per_device_train_batch_size,
            pixel_values=pixels,
            **{name: output[name] for name in names if name in output},
        )
        return torch.as_tensor((logps * words).sum(1))

    def _blanked(self, output: Seen) -> torch.Tensor:
        """The patches with every image but the first of each rollout replaced by grey."""
        sizes = output["image_grid_thw"].prod(-1).tolist()
        keep = [place == 0 for images in output["num_images"] for place in range(images)]
        rows = torch.tensor([kept for kept, size in zip(keep, sizes, strict=True) for _ in range(size)])
        pixels: torch.Tensor = output["pixel_values"]
        grey = grey_patch(self.processing_class.image_processor, pixels.shape[-1]).to(pixels)
        return torch.where(rows.to(pixels.device)[:, None], pixels, grey)


def grey_patch(processor: Any, length: int) -> torch.Tensor:
    """One flattened patch (channel, time, height, width) of the blank colour, normalised as the processor does."""
    values = [(c / 255 - m) / s for c, m, s in zip(BLANK, processor.image_mean, processor.image_std, strict=True)]
    return torch.tensor(values).repeat_interleave(length // len(values))


def answer_tokens(completion: torch.Tensor, spoken: torch.Tensor) -> torch.Tensor:
    """Mask (batch, tokens) of the model's last turn: what it said after the last tool result."""
    places = torch.arange(completion.size(1), device=completion.device).expand_as(completion)
    told = torch.where((completion > 0) & (spoken == 0), places, -1).amax(1, keepdim=True)
    return ((places > told) & (completion > 0)).float()
