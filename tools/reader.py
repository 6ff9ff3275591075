"""The reader: finds lines of text in pixels and spells them, by rapidocr, whose Chinese and Latin models travel in its
wheel (`pip install zoomagent[ocr]`).

    reader = rapid_reader(ReaderModels())
    quads = reader.find(pixels)             # four corners for each line, in these pixels
    reader.spell(line_pixels)               # ("Exit 12", 0.99)

Other models are named by their files; nothing is ever fetched. Lines are spelt one by one: measured on processors, a
batch of six costs two to three times as much for each. Left out: where to look (`reading.py`).
"""

import threading
from collections.abc import Sequence
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
    """The reader, made once for each choice of models (a second or two). A ToolError says when the extra is missing,
    SettingInvalid when a model of the user's cannot be used."""
    try:
        import onnxruntime  # noqa: F401  (rapidocr would miss it only later)
        from rapidocr import RapidOCR
    except ImportError:
        raise ToolError(
            'Text cannot be read here: pip install "zoomagent[ocr]". Look closer with another tool.',
            code="ocr_missing",
        ) from None
    # rapidocr would end on a wrong file wherever it first trips over it, or fetch letters that are missing.
    if models.detection is not None:
        check_detection(models.detection)
    if models.recognition is not None:
        check_recognition(models.recognition, models.letters)
    return RapidReader(RapidOCR(params=models.parameters))


# Models of the user's


def check_detection(file: Path) -> None:
    """SettingInvalid for a file that is no model which finds lines: its result is one map over the picture."""
    _, result = _load_model(file)
    if len(result) != 4 or result[1] != 1:
        raise SettingInvalid(f"{file.name!r} is no model that finds lines. Give a detection model of PaddleOCR's form.")


def check_recognition(file: Path, letters: Path | None) -> None:
    """SettingInvalid for a file that is no model which spells lines, or whose letters are not known: its result is,
    for every place along a line, one number for each letter, for "none", and mostly for the space."""
    inside, result = _load_model(file)
    if len(result) != 3:
        raise SettingInvalid(f"{file.name!r} is no model that spells. Give a recognition model of PaddleOCR's form.")
    if inside is None and letters is None:
        raise SettingInvalid(f"{file.name!r} does not hold its letters. Name their file, one letter a line: --letters.")
    if inside is None and letters is not None:
        count = count_letters(letters)
        if isinstance(result[2], int) and result[2] - count not in (1, 2):
            text = f"{letters.name!r} has {count} letters, but {file.name!r} tells {result[2]} apart."
            raise SettingInvalid(f"{text} Give the letters that it was trained with.")


def count_letters(file: Path) -> int:
    """The letters of a file, one a line. SettingInvalid where it is no text."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError:
        raise SettingInvalid(
            f"The letters in {file.name!r} are no UTF-8. Give a text file, one letter a line."
        ) from None
    return len(lines) - (lines[-1] == "")


def _load_model(file: Path) -> tuple[str | None, Sequence[Any]]:
    """The letters that an ONNX model holds, one a line, and the sides of its result, as far as they are fixed."""
    from onnxruntime import InferenceSession
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    # The runtime's errors have no base of their own.
    wrong = (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoModel,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    )
    try:
        session = InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except wrong:
        raise SettingInvalid(f"{file.name!r} is no whole ONNX model. Give another file, or fetch it again.") from None
    return session.get_modelmeta().custom_metadata_map.get("character"), session.get_outputs()[0].shape
