"""What LION adds to the base itself, in stock parts: one more DeepStack level, and one token whose row is learned.

    model = with_level(model)                          # another tower block reaches the text, through a zero layer
    number = add_hint(model, tokenizer)                # the token stands before tags, and is never generated

Both leave every answer as it was until they are trained, and both are plain Qwen3-VL: any server loads them.
"""

import copy
from typing import Any

import torch

from zoomagent.errors import SettingInvalid

HINT = "<|tag_hint|>"
DEPTHS = (0.72, 0.46)
"""Of the tower: the blocks that LION asks. The first that lies behind the levels there are is taken."""


def with_level(model: Any) -> Any:
    """The same model with one more DeepStack level, whose last layer is zero."""
    vision = model.config.vision_config
    before = list(getattr(vision, "deepstack_visual_indexes", None) or [])
    if not before:
        raise SettingInvalid("Only Qwen3-VL models have DeepStack levels. Train without --aggregator level.")
    free = [number for depth in DEPTHS if (number := int(depth * vision.depth)) > max(before)]
    chosen = free[0] if free else max(before) + 1
    if chosen >= vision.depth or len(before) >= model.config.text_config.num_hidden_layers:
        raise SettingInvalid("Every block behind the DeepStack levels is taken. Train without --aggregator level.")
    config = copy.deepcopy(model.config)
    config.vision_config.deepstack_visual_indexes = [*before, chosen]
    wider = type(model)(config).to(next(model.parameters()))
    missing, unexpected = wider.load_state_dict(model.state_dict(), strict=False)
    if unexpected or not all(f"deepstack_merger_list.{len(before)}." in name for name in missing):
        raise SettingInvalid("The model's weights do not fit one more level. Train without --aggregator level.")
    level = wider.model.visual.deepstack_merger_list[len(before)]
    torch.nn.init.zeros_(level.linear_fc2.weight)
    torch.nn.init.zeros_(level.linear_fc2.bias)
    wider.generation_config = model.generation_config
    return wider.train(model.training)


def add_hint(model: Any, tokenizer: Any) -> int:
    """The hint's token id; it is added where the tokenizer does not have it, on a free row where there is one."""
    if HINT not in tokenizer.get_vocab():
        tokenizer.add_special_tokens({"additional_special_tokens": [HINT]}, replace_extra_special_tokens=False)
        rows = model.get_input_embeddings().weight
        number = tokenizer.convert_tokens_to_ids(HINT)
        if number >= len(rows):
            model.resize_token_embeddings(-(-(number + 1) // 64) * 64)
        with torch.no_grad():
            row = model.get_input_embeddings().weight
            row[number].normal_(std=float(model.config.text_config.initializer_range))
    return int(tokenizer.convert_tokens_to_ids(HINT))
