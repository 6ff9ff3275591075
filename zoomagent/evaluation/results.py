"""Results of the haystack, one JSON object a line, kept as they come: a bench that was killed goes on where it was.

A result carries all that it depends on (model, picture, question, strategy), so that lines of several benches may share
a file and a result is only taken up where everything is the same. A last line that was cut off by a kill is left out
and asked again; damage anywhere else is an error.
"""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import orjson

from zoomagent.errors import StoreError
from zoomagent.journal import Journal


@dataclass(frozen=True)
class Key:
    """What one result is the result of."""

    model: str
    size: int
    level: str
    macro_side: int
    with_options: bool
    seed: int
    scene: int
    group: str
    strategy: str
    style: str = "plain"

    @property
    def case(self) -> tuple[int, int, str]:
        """The question, whoever answers it."""
        return self.seed, self.scene, self.group


@dataclass(frozen=True)
class Result:
    """One strategy's answer to one question. `zoomed`: it was given with a close view in sight. `mattered`: whether the
    close view was shown to matter; None where that was not looked at. `pixels`: the size of the smallest thing that
    matters, in pixels of the whole view; None where none does. `calibrated`: the confidence is a calibrated one."""

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
    calls: int
    visual_tokens: int
    seconds: float
    mattered: bool | None = None
    pixels: float | None = None
    calibrated: bool = False

    @property
    def answered(self) -> bool:
        return self.outcome.startswith("answered")


class ResultFile:
    """A JSON-lines file of results; without a path they are kept in memory only."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._results = {result.key: result for result in load(path)} if path and path.exists() else {}

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
    """The results in a file. A torn last line is cut off the file, so that what follows starts on a line of its own."""
    with Journal(path) as journal:
        return [_read(line, number) for number, line in enumerate(journal.lines(), 1)]


def _read(line: bytes, number: int) -> Result:
    try:
        content = orjson.loads(line)
        key, options = Key(**content.pop("key")), tuple(content.pop("options"))
        return Result(key=key, options=options, **content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        names = ", ".join(field.name for field in fields(Result))
        text = f"Line {number} of the results is none: a result has {names}. Name another file."
        raise StoreError(text, code="store_io") from error
