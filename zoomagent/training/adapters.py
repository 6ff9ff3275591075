"""Low-rank adapters (LoRA) of the text model: the layers they sit on, and peft's configuration for them."""

from collections.abc import Sequence
from typing import Any

LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Every linear layer of the text model."""


def lora(rank: int, targets: Sequence[str] = LORA_TARGETS) -> Any:
    """peft's configuration, with alpha twice the rank; None for a rank of 0, which trains all weights. The vision tower
    has layers of the same names and is left as it is."""
    if not rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=list(targets),
        exclude_modules=r".*visual.*",
        task_type="CAUSAL_LM",
    )
