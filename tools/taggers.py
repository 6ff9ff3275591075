"""A tagger with SigLIP 2 and its own weights: which of many names fit a picture, without being taught them.

    tagger = Siglip("google/siglip2-base-patch16-224", ["car", "sign", ...])     # a folder, or a hub name
    ZoomAgent(tags=tagger)

Each name is scored by itself (a sigmoid), so several may fit. safetensors only; nobody's code is run. Left out: where a
thing is, and labels of its own; it knows the names that it is given.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from zoomagent.errors import ModelNotFound
from zoomagent.tools.tagging import MAX_WORDS, Tag, Tagger

NAMES = "names.txt"
"""The file of names in a tagger's folder, one a line."""
MOST_NAMES = 10_000
EVERYDAY = (
    "person", "bicycle", "car", "motorcycle", "aeroplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "ball", "kite", "baseball bat", "glove", "skateboard", "surfboard", "racket", "bottle", "wine glass", "cup", "fork",
    "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza",
    "doughnut", "cake", "chair", "sofa", "potted plant", "bed", "table", "toilet", "television", "laptop", "mouse",
    "remote control", "keyboard", "mobile phone", "microwave", "oven", "toaster", "sink", "refrigerator", "book",
    "clock", "vase", "scissors", "teddy bear", "hair dryer", "toothbrush", "sign", "flag", "bridge", "tree", "tower",
)  # fmt: skip
"""What is looked for where nobody says what to look for."""
SAID = "This is a photo of {name}."
"""How SigLIP 2 was taught to be asked."""


def open_tagger(source: str) -> Tagger:
    """The tagger in a folder, with the names in its `names.txt`, or those of everyday things. Raises ModelNotFound
    where there is none."""
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise ModelNotFound(
            f"There is no folder {folder.name!r} with a tagger. Name that of a SigLIP 2, or use 'auto'."
        )
    from zoomagent.models.local.checkpoint import DAMAGED

    try:
        text = (folder / NAMES).read_text(encoding="utf-8") if (folder / NAMES).is_file() else ""
        names = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
        return Siglip(str(folder), [name for name in names if len(name) <= MAX_WORDS][:MOST_NAMES] or EVERYDAY)
    except DAMAGED as error:
        raise ModelNotFound(
            f"{folder.name!r} holds no SigLIP 2 that could be loaded ({type(error).__name__}). Give the folder of one, "
            "with its tokenizer and safetensors."
        ) from error


class Siglip:
    """A `zoomagent.tools.tagging.Tagger`. `least` is the probability from which a name is a tag (ours)."""

    def __init__(self, source: str, labels: Sequence[str], *, least: float = 0.1, device: str = "cpu") -> None:
        from transformers import AutoModel, AutoTokenizer, SiglipImageProcessorPil

        self.labels, self.least, self._device = tuple(labels), least, device
        self._model = AutoModel.from_pretrained(source, use_safetensors=True, trust_remote_code=False)
        self._model = self._model.to(device).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        self._images = SiglipImageProcessorPil.from_pretrained(source)
        self._lock = threading.Lock()

    def __call__(self, picture: Image.Image, labels: Sequence[str]) -> list[Tag]:
        """The tags of a picture: of the labels given, else of its own list; those that fit."""
        import torch

        names = tuple(labels) or self.labels
        if not names:
            return []
        said = [SAID.format(name=name).lower() for name in names]
        texts = self._tokenizer(said, padding="max_length", max_length=64, truncation=True, return_tensors="pt")
        pixels = self._images(images=[picture.convert("RGB")], return_tensors="pt")
        with self._lock, torch.inference_mode():
            inputs = {"input_ids": texts["input_ids"], "pixel_values": pixels["pixel_values"]}
            logits = self._model(**{name: value.to(self._device) for name, value in inputs.items()}).logits_per_image
        scores = logits[0].sigmoid().tolist()
        found = [Tag(name, score) for name, score in zip(names, scores, strict=True) if labels or score >= self.least]
        return sorted(found, key=lambda one: -(one.score or 0.0))
