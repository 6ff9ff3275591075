"""A Qwen-VL checkpoint from a folder or the hub, without torchvision and without running anyone's code.

Takes the halves of the processor that work with Pillow alone (image processor, tokenizer with its chat
template) and leaves the video half out. safetensors only; `trust_remote_code` is False; pickled weights are refused
by their content. A tensor that is missing, left over or of another shape is a refusal: transformers would put random
numbers in its place. Whatever libraries raise over files that hold something else is a ModelNotFound.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoTokenizer,
    Qwen2VLImageProcessorPil,
)
from transformers.utils import logging as progress

from zoomagent.errors import ModelNotFound, RunError, SettingInvalid
from zoomagent.models.local.routing import Routed, load_routed
from zoomagent.models.local.weights import check_folder
from zoomagent.models.profiles import NANO, Profile, environment_overrides, override, own_overrides, profile_for

MODEL_TYPES = {
    "qwen2_vl": "qwen2-vl",
    "qwen2_5_vl": "qwen2.5-vl",
    "qwen3_vl": "qwen3-vl",
    "qwen3_vl_moe": "qwen3-vl",
}
# What the libraries raise for files that are missing, torn, or hold something else.
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError)
MOST_DIGITS = 5
"""Of a number in a chat template (ours)."""
MIN_ROOM = 256
"""Tokens that a model must have room for: a picture and a question (ours)."""

HUB_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt")
"""What is downloaded of a hub's repository: what a checkpoint is made of, and no code."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The loaded parts. `stop_ids` end a reply; `never` are ids that must not be generated: they stand for
    pixels, for a learned vector, or for nothing at all (an embedding table is often larger than its tokenizer).
    `routed` runs rows through the adapters of their tasks, where the checkpoint has some."""

    name: str
    model: Any
    tokenizer: Any
    image_processor: Any
    profile: Profile
    stop_ids: frozenset[int]
    never: tuple[int, ...]
    image_id: int
    max_tokens: int
    routed: Routed | None = None


def load_checkpoint(source: str, name: str, device: str, dtype: str) -> Checkpoint:
    """Load `source`, a folder or a hub name."""
    with readable(name):
        folder = _folder_of(source)
        tensors = check_folder(folder)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        _check_type(name, config)
        # Decided here: a checkpoint may name a library that is not there, or code on the hub.
        config._attn_implementation = "sdpa"
        # There is room for a conversation, and positions use all of a head.
        text = config.text_config
        if not isinstance(text.max_position_embeddings, int) or text.max_position_embeddings < MIN_ROOM:
            raise ModelNotFound(f"{name!r} has room for {text.max_position_embeddings!r} tokens only.")
        sections = (text.rope_parameters or {}).get("mrope_section")
        head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        if sections is not None and 2 * sum(sections) != head:
            raise ModelNotFound(f"The mrope_section of {name!r} does not add up to half of a head's size.")
        check_size(name, config, tensors, AutoModelForImageTextToText)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        own = tokenizer.chat_template
        for template in own.values() if isinstance(own, dict) else [own or ""]:
            check_template(name, template)
        image_processor = Qwen2VLImageProcessorPil.from_pretrained(folder)
        profile = checkpoint_profile(name, config, image_processor, own_overrides(folder))
        # Quantised weights cannot be moved later; what they need of a device their libraries decide while loading.
        place = {"device_map": device} if getattr(config, "quantization_config", None) else {}
        number_format = getattr(torch, dtype) if dtype != "auto" else "auto"
        model = load_weights(name, folder, AutoModelForImageTextToText, config=config, dtype=number_format, **place)
        model = (model if place else model.to(device)).eval()
        configured = model.generation_config.eos_token_id
        listed = configured if isinstance(configured, list) else [configured]
        turn_end = tokenizer.convert_tokens_to_ids("<|im_end|>")
        hint = {tokenizer.convert_tokens_to_ids(profile.hint)} if profile.hint else set()
        found = {*listed, tokenizer.eos_token_id, turn_end} - {None, tokenizer.unk_token_id}
        return Checkpoint(
            name=name,
            model=model,
            tokenizer=tokenizer,
            image_processor=image_processor,
            profile=profile,
            stop_ids=frozenset(found),
            never=(
                *{config.image_token_id, config.video_token_id, *hint},
                *range(len(tokenizer), config.text_config.vocab_size),
            ),
            image_id=config.image_token_id,
            max_tokens=config.text_config.max_position_embeddings,
            routed=load_routed(model, folder, profile.routes),
        )


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Whatever a library raises over a checkpoint's files becomes a ModelNotFound that names the checkpoint."""
    try:
        yield
    except RunError:
        raise
    except ImportError as error:
        # The library's own words, which name it, as one short sentence without paths.
        words = " ".join(re.sub(r"\(?/\S+", "…", str(error)).split())[:200].rstrip(". ")
        raise ModelNotFound(
            f"{name!r} needs a library that is not installed: {words}. "
            "Install it, or serve the model and give its base URL."
        ) from error
    # Not narrower: tokenizers raise Exception itself, the others of every kind (ZeroDivisionError, RecursionError …).
    except Exception as error:
        raise ModelNotFound(f"{name!r} could not be loaded ({type(error).__name__}). Is it a checkpoint?") from error


def _folder_of(source: str) -> Path:
    """Where the checkpoint lies; what the hub has is downloaded first."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(source, allow_patterns=list(HUB_FILES)))


def _check_type(name: str, config: Any) -> None:
    if config.model_type not in MODEL_TYPES:
        raise ModelNotFound(
            f"{name!r} is of type {str(config.model_type)[:80]!r}, which cannot run in-process. "
            f"Serve it and give its base URL, or take one of {', '.join(MODEL_TYPES)}."
        )


def check_template(name: str, template: str) -> None:
    """Refuse a chat template that multiplies, or holds long numbers: by one operation, which nothing can cut off, it
    would fill the memory. Templates of conversations count and compare."""
    for _, kind, text in Environment().lex(template):
        if (kind == "operator" and text in ("*", "**")) or (kind == "integer" and len(text) > MOST_DIGITS):
            raise ModelNotFound(
                f"The chat template of {name!r} calculates ({text[:40]}), as no conversation needs. Repair it."
            )


def check_size(name: str, config: Any, tensors: Mapping[str, tuple[int, ...]], kind: Any) -> None:
    """Refuse a configuration that declares much more than the files hold, before any of it is allocated. Quantised
    weights hold up to eight numbers in one."""
    with torch.device("meta"):
        empty = kind.from_config(config, trust_remote_code=False)
    declared = sum(weight.numel() for weight in empty.parameters())
    stored = sum(map(prod, tensors.values()))
    packed = 8 if getattr(config, "quantization_config", None) else 1
    if declared > 2 * packed * stored + 1000:
        raise ModelNotFound(
            f"config.json of {name!r} declares {declared:,} numbers, and its files hold {stored:,}. "
            "Is the download complete?"
        )


def load_weights(name: str, source: str | Path, kind: Any, **given: Any) -> Any:
    """A model of an Auto class, all of whose weights were in the files, and which takes all that are: transformers
    would put random numbers in the place of others. Without its progress bar: library code does not draw on the
    caller's terminal."""
    drawing = progress.is_progress_bar_enabled()
    progress.disable_progress_bar()
    try:
        model, report = kind.from_pretrained(
            source, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **given
        )
    finally:
        if drawing:
            progress.enable_progress_bar()
    wrong = {fault: sorted(map(str, report[f"{fault}_keys"])) for fault in ("missing", "unexpected", "mismatched")}
    said = [f"{len(keys)} {fault}, such as {keys[0][:80]!r}" for fault, keys in wrong.items() if keys]
    if said:
        raise ModelNotFound(f"The weights of {name!r} do not fit its config.json: {'; '.join(said)}.")
    return model


def refuse_pickles(source: str) -> None:
    """Raise unless a folder holds safetensors, by their content; of hub names only safetensors are loaded."""
    if Path(source).is_dir():
        check_folder(Path(source))


def folder_profile(folder: Path) -> Profile:
    """The profile of the checkpoint in a folder, without its weights. Raises ModelNotFound where there is none."""
    with readable(folder.name):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        _check_type(folder.name, config)
        image_processor = Qwen2VLImageProcessorPil.from_pretrained(folder)
        return checkpoint_profile(folder.name, config, image_processor, own_overrides(folder))


def checkpoint_profile(name: str, config: Any, image_processor: Any, own: Mapping[str, Any]) -> Profile:
    """The family's profile with the checkpoint's own patch size and pixel limits; then the overrides of its
    `zoomagent.json`; then the user's."""
    family = profile_for(MODEL_TYPES[config.model_type], {})
    # What cuts pictures into patches agrees with what reads them.
    vision = config.vision_config
    pairs = {
        "patch_size": (image_processor.patch_size, vision.patch_size),
        "merge_size": (image_processor.merge_size, vision.spatial_merge_size),
        "temporal_patch_size": (image_processor.temporal_patch_size, vision.temporal_patch_size),
    }
    for field, (ours, its) in pairs.items():
        if ours != its or not isinstance(ours, int) or not 0 < ours <= 256:
            raise ModelNotFound(f"{field!r} of {name!r} is {ours!r} for pictures and {its!r} for the model.")
    if image_processor.size["shortest_edge"] > image_processor.size["longest_edge"]:
        raise ModelNotFound(f"The fewest pixels that {name!r} takes are more than the most.")
    multiple = image_processor.patch_size * image_processor.merge_size
    small = image_processor.size["longest_edge"] <= family.min_pixels
    limits = {
        "multiple": multiple,
        "min_pixels": image_processor.size["shortest_edge"],
        "max_pixels": min(image_processor.size["longest_edge"], 1280 * multiple**2),
        "min_side": multiple if small else family.min_side,
        "max_aspect": 8.0 if small else family.max_aspect,
    }
    profile = replace(
        family,
        family="nano" if small else family.family,
        box_step=NANO.box_step if small else family.box_step,
        clip_tools=NANO.clip_tools if small else family.clip_tools,
        frames=NANO.frames if small else family.frames,
        tool_dialect="hermes",
        # Here a model is told its turns as our trainers render them.
        alternates=False,
        source=f"{name}: config.json and preprocessor_config.json",
    )
    try:
        profile = override(profile, {**limits, **own})
    except SettingInvalid as error:
        raise ModelNotFound(f"{name!r} says of itself in its JSON files what cannot be: {error}") from error
    return override(profile, environment_overrides())
