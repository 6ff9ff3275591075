"""The processor that trainers are given: conversations and views to tensors, for nano and Qwen-VL checkpoints alike.

    processor = load_processor("nano")                                  # or a folder, or Qwen/Qwen3-VL-2B-Instruct
    processor.apply_chat_template(messages, tools=..., tokenize=True, return_dict=True, return_tensors="pt")

The image processor that works with Pillow alone, the tokenizer with its chat template, and placeholders expanded by
their grid: torchvision is not needed. Satisfies what TRL's SFT and GRPO trainers ask of a `processing_class`. Left
out: video (send frames as images). Images are given at the size the model is to see (`Profile.fit`).
"""

import re
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import AutoTokenizer, ProcessorMixin, Qwen2VLImageProcessorPil

from zoomagent.errors import ModelNotFound, SettingInvalid
from zoomagent.models.loading import HUB, NANO_WEIGHTS
from zoomagent.models.local.checkpoint import DAMAGED
from zoomagent.models.words.qwen_chat import CHAT_TEMPLATE

IMAGE = "<|image_pad|>"
MARKED = re.compile(r"\{%-?\s*generation\s*-?%\}")


class ViewProcessor(ProcessorMixin):  # type: ignore[misc]
    """A tokenizer and an image processor as one. `chat_template` is what is served; `training_template` renders the
    same words and marks the assistant's own for `return_assistant_tokens_mask`."""

    return_mm_token_type_ids = True
    text_kwargs = {"return_token_type_ids": False}

    def __init__(self, image_processor: Any, tokenizer: Any, chat_template: str | None = None) -> None:
        self.image_token = IMAGE
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE)
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def replace_image_token(self, image_inputs: Any, image_idx: int, **_: Any) -> str:
        """As many placeholders as the image has merged visual tokens."""
        cells: int = int(image_inputs["image_grid_thw"][image_idx].prod()) // self.image_processor.merge_size**2
        return IMAGE * cells

    @property
    def model_input_names(self) -> list[str]:
        return [*super().model_input_names, "mm_token_type_ids"]

    @property
    def training_template(self) -> str:
        """The template that marks the assistant's words, and never the prompt's.

        Raises SettingInvalid where the checkpoint's own renders other words than the Qwen chat format."""
        own: str = self.chat_template
        if MARKED.search(own):
            return own
        if self._probe(own) != self._probe(CHAT_TEMPLATE):
            raise SettingInvalid(
                "This checkpoint's chat template is not the Qwen chat format, so what the assistant said cannot be "
                "told from the rest. Mark it with {% generation %} and {% endgeneration %} in chat_template.jinja."
            )
        return CHAT_TEMPLATE

    def save_pretrained(self, save_directory: str | Path, push_to_hub: bool = False, **kwargs: Any) -> list[str]:
        """Write tokenizer, chat template and image processor as a checkpoint has them: stock transformers loads it."""
        if push_to_hub:
            raise SettingInvalid("Processors are not uploaded from here. Upload the exported checkpoint instead.")
        files = self.image_processor.save_pretrained(save_directory)
        self.tokenizer.chat_template = self.chat_template
        return [*files, *self.tokenizer.save_pretrained(save_directory)]

    def _probe(self, template: str) -> str:
        """A conversation with everything ours have, rendered; "" where the template cannot."""
        try:
            return str(self.apply_chat_template(PROBE, tools=PROBE_TOOLS, chat_template=template))
        except (TemplateError, TypeError):
            return ""


PROBE_TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
PROBE = [
    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
    {
        "role": "assistant",
        "content": [{"type": "text", "text": "I look."}],
        "tool_calls": [{"type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}] * 2,
    },
    {"role": "tool", "content": [{"type": "text", "text": "one"}]},
    {"role": "tool", "content": [{"type": "text", "text": "two"}]},
    {"role": "user", "content": [{"type": "image"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "red"}]},
]


def load_processor(model: str) -> ViewProcessor:
    """The processor of "nano", a checkpoint folder or a hub name.

    A chat template that offers no tools (Qwen2.5-VL's own) is replaced by the Qwen chat format with Hermes calls.
    Raises ModelNotFound when the files are missing or damaged.
    """
    source = source_of(model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        image_processor = Qwen2VLImageProcessorPil.from_pretrained(source)
    except DAMAGED as error:
        raise ModelNotFound(
            f"{model!r} has no tokenizer or image processor that could be loaded ({type(error).__name__}). "
            "Give 'nano', a checkpoint folder, or the hub name of a Qwen-VL model."
        ) from error
    own = tokenizer.chat_template or ""
    return ViewProcessor(image_processor, tokenizer, own if "tool_call" in own else CHAT_TEMPLATE)


def source_of(model: str) -> str:
    """Where `from_pretrained` finds the model: nano's folder, the given folder, or the hub name."""
    return str(NANO_WEIGHTS) if model == "nano" else model.removeprefix(HUB)
