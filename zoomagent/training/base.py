"""The checkpoint that a training begins from: opened once, for sft, rl, export and probe alike.

    base = Base.open("nano")                        # or a folder, or Qwen/Qwen3-VL-2B-Instruct
    base.profile                                    # what it expects of views and boxes, as when it answers
    base.weights(torch.float32)                     # the model; pickles are refused

Nobody's code is run. Left out: the processor's own work (`sft/processing.py`), and saving (`sft/exporting.py`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForImageTextToText

from zoomagent.errors import SettingInvalid
from zoomagent.models.local.checkpoint import MODEL_TYPES, checkpoint_profile, load_weights, readable, refuse_pickles
from zoomagent.models.profiles import Profile, own_overrides
from zoomagent.training.sft.processing import ViewProcessor, load_processor, source_of


@dataclass(frozen=True, eq=False)
class Base:
    """`source` is where transformers finds it; `names_tools`: it was trained with exactly the tools of its profile."""

    name: str
    source: str
    config: Any
    processor: ViewProcessor
    profile: Profile
    names_tools: bool

    @classmethod
    def open(cls, name: str) -> "Base":
        """ "nano", a checkpoint folder or a hub name, without its weights. Raises ModelNotFound when files are missing
        or damaged, SettingInvalid for a model that takes other views."""
        processor, source = load_processor(name), source_of(name)
        with readable(name):
            config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        if config.model_type not in MODEL_TYPES:
            raise SettingInvalid(
                f"{name!r} is of type {config.model_type!r}, which takes other views. "
                f"Train one of {', '.join(MODEL_TYPES)}."
            )
        own = own_overrides(Path(source))
        profile = checkpoint_profile(name, config, processor.image_processor, own)
        return cls(name, source, config, processor, profile, "tools" in own)

    @property
    def is_nano(self) -> bool:
        """Whether it is of nano's size: views of so few pixels that its rollouts are short."""
        return self.profile.family == "nano"

    def weights(self, dtype: Any) -> Any:
        """The model, in this number format. Raises PolicyFileRefused for pickles, ModelNotFound for weights that are
        damaged, or not all there: what is trained must not begin from random numbers."""
        refuse_pickles(self.source)
        with readable(self.name):
            return load_weights(self.name, self.source, AutoModelForImageTextToText, dtype=dtype)

    def parameters(self) -> int:
        """How many there are, without loading them."""
        import torch

        with torch.device("meta"):
            return int(AutoModelForImageTextToText.from_config(self.config, trust_remote_code=False).num_parameters())
