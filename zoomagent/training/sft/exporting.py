"""A finished run as a plain checkpoint: stock transformers files that every server and the agent load unchanged.

    export(Base.open("nano"), Path("runs/sft/trained"), Path("runs/sft/checkpoint"))

Adapters are merged into the base in float32. Tokenizer, image processor and generation settings are the base's own
files, the weights have the base's number format, and `zoomagent.json` travels along. Left out: uploading.
"""

import shutil
from pathlib import Path
from shlex import quote
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, GenerationConfig
from transformers.utils import cached_file

from zoomagent.files import whole_folder
from zoomagent.training.base import Base

SIDE_FILES = (
    "preprocessor_config.json", "video_preprocessor_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "zoomagent.json",
)  # fmt: skip


def export(base: Base, trained: Path, out: Path) -> Path:
    """Write what was trained from `base` and saved in `trained` (weights, or a peft adapter) to `out`."""
    source, config = base.source, base.config
    if (trained / "adapter_config.json").is_file():
        from peft import PeftModel

        merged = PeftModel.from_pretrained(_load(source, None), trained).merge_and_unload()
    else:
        merged = _load(str(trained), config)
    merged = merged.to(config.dtype or torch.float32)
    merged.config = config
    merged.generation_config = GenerationConfig.from_pretrained(source)
    with whole_folder(out) as draft:
        merged.save_pretrained(draft)
        copy_side_files(base, draft)
    return out


def usage(folder: Path) -> str:
    """Command lines that use the checkpoint here, and that serve it and use it served. A server tells nothing of
    what its model takes, so the folder is named too."""
    served = quote(f"http://localhost:8000/v1#{folder}")
    return "\n".join(
        [
            f'zoomagent ask IMAGE "QUESTION" --model {quote(str(folder))} --strategy tools',
            f"vllm serve {quote(str(folder))} --enable-auto-tool-choice --tool-call-parser hermes "
            "--limit-mm-per-prompt '{\"image\": 8}' --max-logprobs 20",
            f"transformers serve {quote(str(folder))}",
            f'zoomagent ask IMAGE "QUESTION" --model {served} --profile {quote(str(folder))} --strategy tools',
        ]
    )


def _load(source: str, config: Any) -> Any:
    return AutoModelForImageTextToText.from_pretrained(
        source, config=config, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
    )


def copy_side_files(base: Base, out: Path) -> None:
    """What a checkpoint needs beside its weights and config.json."""
    (out / "chat_template.jinja").write_text(base.processor.chat_template, encoding="utf-8")
    for name in SIDE_FILES:
        file = cached_file(base.source, name, _raise_exceptions_for_missing_entries=False)
        if file is not None:
            shutil.copyfile(file, out / name)
