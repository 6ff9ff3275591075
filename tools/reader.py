"""The reader: finds lines of text in pixels and spells them, by rapidocr, whose Chinese and Latin models travel in its
wheel (`pip install zoomagent[ocr]`).

    reader = rapid_reader(ReaderModels())
    quads = reader.find(pixels)             # four corners for each line, in these pixels
    reader.spell(line_pixels)               # ("Exit 12", 0.99)

Other models are named by their files; nothing is ever fetched. Lines are spelt one by one: measured on processors, a
batch of six costs two to three times as much for each. Left out: where to look (`reading.py`).
"""

import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from zoomagent.errors import SettingInvalid, ToolError

Pixels = NDArray[np.uint8]
"""Rows, columns, red green blue."""
Quad = NDArray[np.float64]
"""Four corners (x, y): from the first letter's top, clockwise."""

LINE_HEIGHT = 48
"""Rows at which the recognition model takes a line."""
LONGEST = 96
"""A line is spelt at most this many times as long as it is high (ours): more costs memory."""


class Reader(Protocol):
    """What reads. Both may be called from several threads."""

    def find(self, pixels: Pixels) -> list[Quad]:
        """The lines of text in `pixels`, whatever way they run."""

    def spell(self, line: Pixels) -> tuple[str, float]:
        """The text of one line that runs from left to right or upside down, and its score, 0 to 1."""


@dataclass(frozen=True)
class ReaderModels:
    """Files of other models than those that the package carries, in ONNX, and how many threads run them (0: as many as
    there are cores)."""

    detection: Path | None = None
    recognition: Path | None = None
    letters: Path | None = None
    threads: int = 0

    def __post_init__(self) -> None:
        for name, file in (("detection", self.detection), ("recognition", self.recognition), ("letters", self.letters)):
            if file is not None and not file.is_file():
                raise SettingInvalid(f"The reader's {name} model is no file: {file.name!r}. Name a file of yours.")

    @property
    def parameters(self) -> dict[str, Any]:
        """The settings as rapidocr takes them. It must scale nothing: what it is given has the size that is meant."""
        given = {
            "Det.model_path": self.detection,
            "Rec.model_path": self.recognition,
            "Rec.rec_keys_path": self.letters,
        }
        threads = {"EngineConfig.onnxruntime.intra_op_num_threads": self.threads} if self.threads else {}
        return {
            "Global.log_level": "critical",
            "Global.max_side_len": 100_000,
            "Global.min_side_len": 1,
            "Det.limit_type": "max",
            "Det.limit_side_len": 100_000,
            **threads,
            **{name: str(file) for name, file in given.items() if file is not None},
        }


class RapidReader:
    """rapidocr as a reader. Its switches stay as the last call left them, so each call gives all of them."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._lock = threading.Lock()

    def find(self, pixels: Pixels) -> list[Quad]:
        with self._lock:
            found = self._engine(pixels[:, :, ::-1], use_det=True, use_cls=False, use_rec=False)
        return [] if found.boxes is None else [np.asarray(quad, np.float64) for quad in found.boxes]

    def spell(self, line: Pixels) -> tuple[str, float]:
        columns = round(line.shape[1] * LINE_HEIGHT / line.shape[0])
        size = min(max(columns, LINE_HEIGHT // 4), LINE_HEIGHT * LONGEST), LINE_HEIGHT
        how = cv2.INTER_AREA if line.shape[0] > LINE_HEIGHT else cv2.INTER_CUBIC
        shaped = cv2.resize(line, size, interpolation=how)[:, :, ::-1]
        with self._lock:
            found = self._engine(shaped, use_det=False, use_cls=True, use_rec=True)
        return (str(found.txts[0]).strip(), float(found.scores[0])) if found.txts else ("", 0.0)


@cache
def rapid_reader(models: ReaderModels) -> Reader:
    """The reader, made once for each choice of models (a second or two). A ToolError says when the extra is missing."""
    try:
        import onnxruntime  # noqa: F401  (rapidocr would miss it only later)
        from rapidocr import RapidOCR
    except ImportError:
        raise ToolError(
            'Text can not be read here: pip install "zoomagent[ocr]". Look closer with another tool.',
            code="ocr_missing",
        ) from None
    return RapidReader(RapidOCR(params=models.parameters))
