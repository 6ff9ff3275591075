"""Run `transformers serve` for a Qwen3-VL checkpoint on a CPU without torchvision.

    HF_HUB_OFFLINE=1 python tests/serve_transformers.py CHECKPOINT --port 8123 --dtype float32 --device cpu
    zoomagent doctor --model http://localhost:8123/v1#CHECKPOINT

The stock Qwen3-VL processor needs torchvision for videos only, and fails without it. The server gets a processor of the
two halves that do not, and is stock otherwise. For tests and demonstrations; needs fastapi and uvicorn.
"""

import sys
from typing import Any

from transformers import AutoTokenizer, Qwen2VLImageProcessorPil
from transformers.cli.serving import model_manager
from transformers.cli.transformers import main
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor


class PicturesOnly(Qwen3VLProcessor):  # type: ignore[misc]
    """Qwen3-VL's processor without its video half."""

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None) -> None:
        super().__init__(image_processor, tokenizer, None, chat_template=chat_template or tokenizer.chat_template)


def load_processor(_: Any, model_id_and_revision: str, gguf_file: str | None = None) -> PicturesOnly:
    source = model_id_and_revision.partition("@")[0]
    return PicturesOnly(Qwen2VLImageProcessorPil.from_pretrained(source), AutoTokenizer.from_pretrained(source))


if __name__ == "__main__":
    model_manager.ModelManager._load_processor = load_processor
    sys.argv[1:1] = ["serve"]
    main()
