"""Results of the haystack, one JSON object a line, kept as they come: a bench that was killed goes on where it was.

A result carries all that it depends on (model, picture, question, strategy), so that lines of several benches may share
a file and a result is only taken up where everything is the same. A last line that was cut off by a kill is left out
and asked again; damage anywhere else is an error.
"""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar

import orjson
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from zoomagent.errors import StoreError
from zoomagent.journal import Journal

Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]
Corners = tuple[Whole, Whole, Whole, Whole]
_FILE = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Key:
    """What one result is the result of. Of a published set: `set`, `question` by its id, `data` for what is asked
    there; `scene` is then its place in the set, `group` its kind. `calls` and `pixels` are limits, 0 is none."""

    __pydantic_config__: ClassVar[ConfigDict] = _FILE

    model: str
    size: Whole
    level: str
    macro_side: Whole
    with_options: bool
    seed: Whole
    scene: Whole
    group: str
    strategy: str
    style: str = "plain"
    set: str = ""
    question: str = ""
    data: str = ""
    calls: Whole = 0
    pixels: Whole = 0

    @property
    def row(self) -> str:
        """The name of the table's row: the strategy, with the limits it was given."""
        calls = [f"{self.calls} calls"] if self.calls else []
        return ", ".join([self.strategy, *calls, *([f"{self.pixels} px"] if self.pixels else [])])

    @property
    def case(self) -> tuple[int, int, str]:
        """The question, whoever answers it."""
        return self.seed, self.scene, self.group


@dataclass(frozen=True)
class Result:
    """One strategy's answer to one question. `zoomed`: it was given with a close view in sight. `mattered`: whether the
    close view was shown to matter; None where that was not looked at. `pixels`: the size of the smallest thing that
    matters, in pixels of the whole view; None where none does. `calibrated`: the confidence is a calibrated one.
    `answers` are all right ones, `reply` the model's own words, `boxes` what the answer rests on in original pixels.
    `worth` is 0 to 1 by the rule of a published set; `circle` names what must be right together there, `picture` the
    picture, `targets` the boxes that the set says must be seen."""

    __pydantic_config__: ClassVar[ConfigDict] = _FILE

    key: Key
    question: str
    options: tuple[str, ...]
    wanted: str
    given: str
    right: bool
    abstained: bool
    outcome: str
    zoomed: bool
    confidence: float | None
    calls: Whole
    visual_tokens: Whole
    seconds: float
    mattered: bool | None = None
    pixels: float | None = None
    calibrated: bool = False
    answers: tuple[str, ...] = ()
    reply: str = ""
    boxes: tuple[Corners, ...] = ()
    prompt_tokens: Whole = 0
    completion_tokens: Whole = 0
    worth: float | None = None
    circle: str = ""
    picture: str = ""
    targets: tuple[Corners, ...] = ()

    @property
    def score(self) -> float:
        """From 0 to 1; 0 or 1 where no rule gives shares."""
        return float(self.right) if self.worth is None else self.worth

    @property
    def answered(self) -> bool:
        return self.outcome.startswith("answered")


_LINE = TypeAdapter(Result)


class ResultFile:
    """A JSON-lines file of results; without a path they are kept in memory only."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._results = {result.key: result for result in take_up(path)} if path and path.exists() else {}

    def __contains__(self, key: Key) -> bool:
        return key in self._results

    def __getitem__(self, key: Key) -> Result:
        return self._results[key]

    def add(self, result: Result) -> None:
        """Keep a result; it is on disk when this returns."""
        self._results[result.key] = result
        if self._path is None:
            return
        with Journal(self._path) as journal:
            journal.add([orjson.dumps(asdict(result))])


def load(path: Path) -> list[Result]:
    """The results in a file, which stays as it is; a torn last line is left out."""
    with path.open("rb") as file:
        lines = [line for line in file if line.endswith(b"\n") or _is_whole(line)]
    return [_read(line, number) for number, line in enumerate(lines, 1)]


def _is_whole(line: bytes) -> bool:
    """Whether a last line without an end is a result all the same: editors take the end away."""
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def take_up(path: Path) -> list[Result]:
    """The results in a file that is gone on with. A torn last line is cut off the file, so that what follows starts on
    a line of its own."""
    with Journal(path) as journal:
        return [_read(line, number) for number, line in enumerate(journal.lines(), 1)]


def _read(line: bytes, number: int) -> Result:
    try:
        return _LINE.validate_json(line, strict=True)
    except ValidationError as error:
        names = ", ".join(field.name for field in fields(Result))
        place = ".".join(str(step)[:40] for step in error.errors()[0]["loc"]) or "JSON"
        text = f"Line {number} of the results is none (see {place}): a result has {names}. Name another file."
        raise StoreError(text, code="store_io") from error
