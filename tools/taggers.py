"""A tagger with SigLIP 2 and its own weights: which of many names fit a picture, without being taught them.

    tagger = Siglip("google/siglip2-base-patch16-224", ["car", "sign", ...])     # a folder, or a hub name
    ZoomAgent(tags=tagger)

Each name is scored by itself (a sigmoid), so several may fit. safetensors only; nobody's code is run. Left out: where a
thing is, and labels of its own; it knows the names that it is given.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from zoomagent.errors import ModelNotFound
from zoomagent.files import is_folder
from zoomagent.tools.tagging import MAX_WORDS, Tag, Tagger

NAMES = "names.txt"
"""The file of names in a tagger's folder, one a line."""
MOST_NAMES = 10_000
MOST_BYTES = 1 << 24
"""Bytes of that file (ours): more than all names that are read can have."""
TYPES = ("siglip", "siglip2")
"""How the configuration of a SigLIP calls itself; SigLIP 2 of one size is of the first type."""
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
    folder = Path(os.path.expanduser(source))  # Path's own raises for a user that is not there
    if not is_folder(folder):
        raise ModelNotFound(
            f"There is no folder {folder.name!r} with a tagger. Name that of a SigLIP 2, or use 'auto'."
        )
    if (folder / NAMES).is_file() and (folder / NAMES).stat().st_size > MOST_BYTES:
        raise ModelNotFound(f"{NAMES} of {folder.name!r} is no list of names: it has more than {MOST_BYTES} bytes.")
    text = (folder / NAMES).read_text(encoding="utf-8", errors="replace") if (folder / NAMES).is_file() else ""
    names = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return Siglip(str(folder), [name for name in names if len(name) <= MAX_WORDS][:MOST_NAMES] or EVERYDAY)


class Siglip:
    """A `zoomagent.tools.tagging.Tagger`. `least` is the probability from which a name is a tag (ours)."""

    def __init__(self, source: str, labels: Sequence[str], *, least: float = 0.1, device: str = "cpu") -> None:
        from transformers import AutoConfig, AutoModel, AutoTokenizer, SiglipImageProcessorPil

        from zoomagent.models.local.checkpoint import check_size, load_weights, readable
        from zoomagent.models.local.weights import check_folder

        self.labels, self.least, self._device = tuple(labels), least, device
        name = Path(source).name
        with readable(name):
            tensors = check_folder(Path(source)) if Path(source).is_dir() else {}
            config = AutoConfig.from_pretrained(source, trust_remote_code=False)
            if config.model_type not in TYPES:
                raise ModelNotFound(
                    f"{name!r} is of type {config.model_type!r}. A tagger is one of {', '.join(TYPES)}."
                )
            if tensors:
                check_size(name, config, tensors, AutoModel)
            self._model = load_weights(name, source, AutoModel, config=config).to(device).eval()
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
