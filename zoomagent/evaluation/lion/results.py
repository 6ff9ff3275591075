"""What arms came to, one JSON object a line: a bench that was killed does no arm twice. And their tables.

Scores of an arm are kept question by question. The same question is asked under every seed, so an interval counts each
question as one (`cluster_interval`): more seeds do not make few questions many.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from zoomagent.errors import StoreError
from zoomagent.evaluation.scoring import cluster_interval
from zoomagent.journal import Journal


@with_config(ConfigDict(allow_inf_nan=False, extra="forbid"))
@dataclass(frozen=True)
class ArmResult:
    """An arm with one seed: its scores by kind of question, in the order of the questions; the numbers it adds, and the
    processor seconds of its training. `settings` are all that it depends on."""

    arm: str
    seed: int
    settings: Mapping[str, Any]
    parameters: int
    seconds: float
    scores: Mapping[str, Sequence[float]]

    @property
    def name(self) -> str:
        """By which it is found again."""
        return json.dumps([self.arm, self.seed, dict(self.settings)], sort_keys=True)


_LINE = TypeAdapter(ArmResult)


class ArmResults:
    """A JSON-lines file of results."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: dict[str, ArmResult] = {}
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            return
        with Journal(file) as journal:
            for number, line in enumerate(journal.lines(ours=True), 1):
                try:
                    one = _LINE.validate_json(line, strict=True)
                except ValidationError as error:
                    text = f"Line {number} of {file.name} is no result of an arm. Name another folder."
                    raise StoreError(text, code="store_io") from error
                self._found[one.name] = one

    def get(self, arm: str, seed: int, settings: Mapping[str, Any]) -> ArmResult | None:
        return self._found.get(ArmResult(arm, seed, settings, 0, 0.0, {}).name)

    def add(self, one: ArmResult) -> ArmResult:
        """Keep a result; it is on disk when this returns."""
        with Journal(self._file) as journal:
            journal.add([json.dumps(asdict(one)).encode()])
        self._found[one.name] = one
        return one


def rows_of(found: Sequence[ArmResult], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each arm: the mean of each kind over its seeds, with its 95 % interval, and the lowest and highest
    seed."""
    rows = []
    for arm in dict.fromkeys(one.arm for one in found):
        mine = [one for one in found if one.arm == arm]
        row: dict[str, Any] = {
            "arm": arm, "seeds": len(mine), "parameters": mine[0].parameters,
            "seconds": round(sum(one.seconds for one in mine) / len(mine), 1), "scores": {},
        }  # fmt: skip
        for kind in kinds:
            each = [one.scores[kind] for one in mine if one.scores.get(kind)]
            if not each:
                continue
            every = [score for scores in each for score in scores]
            places = [place for scores in each for place in range(len(scores))]
            low, high = cluster_interval(every, places)
            means = [sum(scores) / len(scores) for scores in each]
            row["scores"][kind] = {
                "mean": sum(every) / len(every), "low": low, "high": high,
                "seeds": [min(means), max(means)], "questions": len(each[0]),
            }  # fmt: skip
        rows.append(row)
    return rows


def markdown(rows: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> str:
    """The table in points of a hundred, each mean with half of its interval."""
    lines = [f"| arm | numbers | {' | '.join(kinds)} |", f"|---|--:|{'--:|' * len(kinds)}"]
    for row in rows:
        cells = []
        for kind in kinds:
            one = row["scores"].get(kind)
            cells.append(f"{100 * one['mean']:.1f} ± {50 * (one['high'] - one['low']):.1f}" if one else "")
        size = f"{row['parameters'] / 1000:.0f} k" if row["parameters"] else ""
        lines.append(f"| {row['arm']} | {size} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plain_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of rows of single values: shares with three digits, other numbers with one."""

    def cell(value: Any) -> str:
        return str(value) if not isinstance(value, float) else f"{value:.3f}" if value <= 1 else f"{value:.1f}"

    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cell(row[name]) for name in names)} |" for row in rows)])
