"""The nano model: Qwen3-VL's architecture at a size that travels inside the package.

Stock `Qwen3VLForConditionalGeneration`, own tokenizer of under 2,000 tokens, the Qwen chat format with Hermes tool
calls, boxes 0-1000. It knows only the synthetic world (see its model card in `nano_weights/`). This file builds it
with random weights; `zoomagent train sft --preset nano` trains it. Images are cut into patches by the stock image
processor.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoomagent.models.words.qwen_chat import CHAT_TEMPLATE

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
TOOLS = ("image_zoom_in_tool", "image_search_tool")
"""The tools that the model was trained to call."""
TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")


@dataclass(frozen=True)
class NanoConfig:
    """Sizes of the model. One visual token covers `patch * merge` pixels a side."""

    vision_width: int = 128
    vision_depth: int = 4
    vision_mlp: int = 384
    text_width: int = 128
    text_depth: int = 4
    text_mlp: int = 384
    heads: int = 4
    patch: int = 8
    merge: int = 2
    grid: int = 16
    deepstack: tuple[int, ...] = (1,)
    macro_side: int = 128
    search_side: int = 256
    crop_side: int = 80
    crop_margin: float = 0.6

    @property
    def cell(self) -> int:
        return self.patch * self.merge


SMALL = NanoConfig()
LARGE = NanoConfig(
    vision_width=320, vision_depth=8, vision_mlp=1024, text_width=320, text_depth=8, text_mlp=1024, heads=10,
    grid=24, deepstack=(2, 4), macro_side=192, search_side=384, crop_side=96,
)  # fmt: skip


def build_tokenizer(corpus: Iterable[str], phrases: Iterable[str]) -> Any:
    """A fast tokenizer (transformers): byte-level BPE, digits and capitals one by one, fixed prompt sentences whole.

    `corpus` is what merges are learned from; each of `phrases` becomes one token wherever it occurs.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    pattern = Regex(r" ?[A-Z]?[a-z]+|\d|[A-Z]|\n| |[^\sA-Za-z\d]+|\s")
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(pattern, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=900, initial_alphabet=alphabet, special_tokens=list(SPECIAL), show_progress=False
    )
    raw.train_from_iterator(corpus, trainer)
    raw.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    plain = [*TAGS, *phrases]
    raw.add_tokens([AddedToken(token, special=False, normalized=False) for token in plain])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def build_model(config: NanoConfig, tokenizer: Any) -> Any:
    """`Qwen3VLForConditionalGeneration` with random weights (float32)."""
    from transformers import GenerationConfig, Qwen3VLConfig, Qwen3VLForConditionalGeneration

    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(**architecture(config, tokenizer)))
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        do_sample=False,
    )
    return model


def architecture(config: NanoConfig, tokenizer: Any) -> dict[str, Any]:
    """The arguments of `Qwen3VLConfig`."""
    head = config.text_width // config.heads
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL}
    rotary = head // 2
    section = [rotary - 2 * (rotary * 5 // 16), rotary * 5 // 16, rotary * 5 // 16]
    return {
        "text_config": {
            "vocab_size": -(-len(tokenizer) // 64) * 64,
            "hidden_size": config.text_width,
            "intermediate_size": config.text_mlp,
            "num_hidden_layers": config.text_depth,
            "num_attention_heads": config.heads,
            "num_key_value_heads": config.heads // 2,
            "head_dim": head,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 10000.0, "mrope_section": section, "mrope_interleaved": True,
            },
        },
        "vision_config": {
            "depth": config.vision_depth,
            "hidden_size": config.vision_width,
            "intermediate_size": config.vision_mlp,
            "num_heads": config.heads,
            "patch_size": config.patch,
            "spatial_merge_size": config.merge,
            "temporal_patch_size": 2,
            "out_hidden_size": config.text_width,
            "num_position_embeddings": config.grid**2,
            "deepstack_visual_indexes": list(config.deepstack),
        },
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "tie_word_embeddings": True,
    }  # fmt: skip


def preprocessor(config: NanoConfig) -> dict[str, Any]:
    """`preprocessor_config.json` of the checkpoint: the stock Qwen2-VL image processor with nano's numbers."""
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": config.patch,
        "merge_size": config.merge,
        "temporal_patch_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "size": {"shortest_edge": config.cell**2 * 4, "longest_edge": config.search_side**2},
        "min_pixels": config.cell**2 * 4,
        "max_pixels": config.search_side**2,
    }


def save_checkpoint(
    model: Any, tokenizer: Any, config: NanoConfig, folder: Path, *, knows_sounds: bool = False
) -> None:
    """Write a stock transformers checkpoint in bf16 safetensors, shards of at most 15 MB."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder, state_dict=state, max_shard_size="15MB")
    model.config.dtype = torch.float32
    tokenizer.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor(config), indent=2) + "\n")
    profile: dict[str, Any] = {
        "whole_pixels": config.macro_side**2,
        "crop_pixels": config.crop_side**2,
        "crop_margin": config.crop_margin,
        "tools": TOOLS,
        "letters": False,
        "visible_pixels": 4,
        "boxed_words": "none",
    }
    if knows_sounds:
        profile["sound"] = "spectrogram"
    (folder / "zoomagent.json").write_text(json.dumps(profile, indent=2) + "\n")
