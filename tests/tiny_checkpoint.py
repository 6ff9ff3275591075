"""A random Qwen3-VL (or Qwen2.5-VL) checkpoint, a quarter of a million parameters, for tests of the
in-process model.

It knows nothing; it has the right shapes. Its tokenizer is a byte-level BPE without merges plus Qwen's
special tokens.
"""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
ADDED = ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "Yes", "No"]
PATCH, MERGE = 8, 2
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}"
    "{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_tokenizer() -> Any:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.add_special_tokens({"additional_special_tokens": SPECIAL})
    fast.add_tokens(ADDED)
    fast.chat_template = TEMPLATE
    return fast


def _vision(**more: Any) -> dict[str, Any]:
    return {
        "depth": 2,
        "hidden_size": 32,
        "num_heads": 2,
        "intermediate_size": 64,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "out_hidden_size": 64,
        **more,
    }


def _text(vocab: int, rope: dict[str, Any]) -> dict[str, Any]:
    return {
        "vocab_size": vocab,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "rope_scaling": rope,
        "rope_parameters": {"rope_theta": 10000.0, **rope},
    }


def _ids(tokenizer: Any) -> dict[str, int]:
    names = {
        "image": "image_pad",
        "video": "video_pad",
        "vision_start": "vision_start",
        "vision_end": "vision_end",
    }
    return {f"{key}_token_id": tokenizer.convert_tokens_to_ids(f"<|{name}|>") for key, name in names.items()}


def tiny_qwen3(tokenizer: Any) -> Any:
    rope = {"rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    vision = _vision(num_position_embeddings=64, deepstack_visual_indexes=[0])
    config = Qwen3VLConfig(text_config=_text(len(tokenizer), rope), vision_config=vision, **_ids(tokenizer))
    return Qwen3VLForConditionalGeneration(config)


def tiny_qwen2_5(tokenizer: Any) -> Any:
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3]}
    vision = _vision(window_size=64, fullatt_block_indexes=[1])
    config = Qwen2_5_VLConfig(text_config=_text(len(tokenizer), rope), vision_config=vision, **_ids(tokenizer))
    return Qwen2_5_VLForConditionalGeneration(config)


def save_tiny(folder: Path, family: str = "qwen3_vl") -> Path:
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    model = tiny_qwen3(tokenizer) if family == "qwen3_vl" else tiny_qwen2_5(tokenizer)
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Qwen2VLImageProcessorPil(
        size={"shortest_edge": 32 * 32, "longest_edge": 192 * 192}, patch_size=PATCH, merge_size=MERGE
    ).save_pretrained(folder)
    return folder
