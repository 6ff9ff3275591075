"""A tagger with SigLIP 2 and its own weights: which of many names fit a picture, without being taught them.

    tagger = Siglip("google/siglip2-base-patch16-224", ["car", "sign", ...])     # a folder, or a hub name
    ZoomAgent(tags=tagger)

Each name is scored by itself (a sigmoid), so several may fit. safetensors only; nobody's code is run. Left out: where a
thing is, and labels of its own; it knows the names that it is given.
"""

import threading
from collections.abc import Sequence

from PIL import Image

from zoomagent.tools.tagging import Tag

SAID = "This is a photo of {name}."
"""How SigLIP 2 was taught to be asked."""


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
