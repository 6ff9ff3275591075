"""A Qwen-VL checkpoint from a folder or the hub, without torchvision and without running anyone's code.

Takes the halves of the processor that work with Pillow alone (image processor, tokenizer with its chat
template) and leaves the video half out. safetensors only; `trust_remote_code` is never passed; pickled
weights are refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoTokenizer,
    Qwen2VLImageProcessorPil,
)
from transformers.utils import logging as progress

from zoomagent.errors import ModelNotFound, PolicyFileRefused
from zoomagent.models.profiles import NANO, Profile, environment_overrides, override, own_overrides, profile_for

MODEL_TYPES = {
    "qwen2_vl": "qwen2-vl",
    "qwen2_5_vl": "qwen2.5-vl",
    "qwen3_vl": "qwen3-vl",
    "qwen3_vl_moe": "qwen3-vl",
}
# What the libraries raise for files that are missing, torn, or hold something else.
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError)
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The loaded parts. `stop_ids` end a reply; `never` are ids that must not be generated: they stand for
    pixels, or for nothing at all (an embedding table is often larger than its tokenizer)."""

    name: str
    model: Any
    tokenizer: Any
    image_processor: Any
    profile: Profile
    stop_ids: frozenset[int]
    never: tuple[int, ...]
    image_id: int
    max_tokens: int


def load_checkpoint(source: str, name: str, device: str, dtype: str) -> Checkpoint:
    """Load `source`, a folder or a hub name."""
    refuse_pickles(source)
    try:
        config = AutoConfig.from_pretrained(source)
        if config.model_type not in MODEL_TYPES:
            raise ModelNotFound(
                f"{name!r} is of type {config.model_type!r}, which can not run in-process. "
                f"Serve it and give its base URL, or take one of {', '.join(MODEL_TYPES)}."
            )
        tokenizer = AutoTokenizer.from_pretrained(source)
        image_processor = Qwen2VLImageProcessorPil.from_pretrained(source)
        model = _load_weights(source, dtype)
    except DAMAGED as error:
        raise ModelNotFound(f"{name!r} could not be loaded ({type(error).__name__}). Is it a checkpoint?") from error
    model = model.to(device).eval()
    return Checkpoint(
        name=name,
        model=model,
        tokenizer=tokenizer,
        image_processor=image_processor,
        profile=checkpoint_profile(name, config, image_processor, own_overrides(Path(source))),
        stop_ids=_stop_ids(model, tokenizer),
        never=(config.image_token_id, config.video_token_id, *range(len(tokenizer), config.text_config.vocab_size)),
        image_id=config.image_token_id,
        max_tokens=config.text_config.max_position_embeddings,
    )


def _load_weights(source: str, dtype: str) -> Any:
    """The model, without transformers' progress bar: library code does not draw on the caller's terminal."""
    drawing = progress.is_progress_bar_enabled()
    progress.disable_progress_bar()
    try:
        return AutoModelForImageTextToText.from_pretrained(
            source, dtype=getattr(torch, dtype) if dtype != "auto" else "auto", use_safetensors=True
        )
    finally:
        if drawing:
            progress.enable_progress_bar()


def refuse_pickles(source: str) -> None:
    """Raise unless the folder holds safetensors; hub names are checked by `use_safetensors`."""
    folder = Path(source)
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    if any(path.suffix in PICKLED for path in folder.iterdir()):
        raise PolicyFileRefused("The weights are pickled, and a pickle can run code. Convert them to safetensors.")
    raise ModelNotFound("The folder holds no *.safetensors file. Name a folder saved by save_pretrained.")


def folder_profile(folder: Path) -> Profile:
    """The profile of the checkpoint in a folder, without its weights. Raises ModelNotFound where there is none."""
    try:
        config = AutoConfig.from_pretrained(folder)
        return checkpoint_profile(
            folder.name, config, Qwen2VLImageProcessorPil.from_pretrained(folder), own_overrides(folder)
        )
    except DAMAGED as error:
        raise ModelNotFound(
            f"{folder.name!r} could not be read ({type(error).__name__}). Is it a Qwen-VL checkpoint?"
        ) from error


def checkpoint_profile(name: str, config: Any, image_processor: Any, own: Mapping[str, Any]) -> Profile:
    """The family's profile with the checkpoint's own patch size and pixel limits; then the overrides of its
    `zoomagent.json`; then the user's."""
    family = profile_for(MODEL_TYPES[config.model_type], {})
    multiple = image_processor.patch_size * image_processor.merge_size
    small = image_processor.size["longest_edge"] < family.min_pixels
    profile = replace(
        family,
        family="nano" if small else family.family,
        multiple=multiple,
        min_pixels=image_processor.size["shortest_edge"],
        max_pixels=min(image_processor.size["longest_edge"], 1280 * multiple**2),
        min_side=multiple if small else family.min_side,
        max_aspect=8.0 if small else family.max_aspect,
        box_step=NANO.box_step if small else family.box_step,
        tool_dialect="hermes",
        # Here a model is told its turns as our trainers render them.
        alternates=False,
        source=f"{name}: config.json and preprocessor_config.json",
    )
    return override(override(profile, own), environment_overrides())


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = model.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    turn_end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    found = {*listed, tokenizer.eos_token_id, turn_end} - {None, tokenizer.unk_token_id}
    return frozenset(found)
