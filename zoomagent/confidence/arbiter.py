"""The fitted judge of one model: small logistic models, each calibrated, and the questions it was certified on.

    arbiter = load("nano")                     the packaged one; None when there is none for that model
    arbiter = load("runs/my-model.json")       what `zoomagent train calibrate --out` wrote
    arbiter.unknown(question)                  -> words it was never certified on; () where it vouches for its numbers
    arbiter.knows(looks)                       -> whether pictures that look like this one were certified
    arbiter.judge(features)                    -> Judgement: who is right, with which probability
    arbiter.cutoff(alpha=0.05, delta=0.1)      -> Cutoff: from which confidence on to answer

Heads: `gate` sees the macro answer alone; `searched` is for answers after a search of the whole picture, `same` for two
equal answers, `macro` and `micro` for two that differ. The certified questions took no part in fitting, so thresholds
from them keep their promise (`abstention.py`). Left out: words for people (`learned.py`), fitting
(`zoomagent/training/calibration/fitting.py`)."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from zoomagent.confidence.abstention import Cutoff, grid_from, learn_then_test
from zoomagent.confidence.calibration import Calibrator, Platt
from zoomagent.confidence.claims import words_of
from zoomagent.confidence.features import FIELDS, GATE_FIELDS, Array, Features, vector
from zoomagent.confidence.scope import Scope
from zoomagent.errors import SettingInvalid
from zoomagent.run_record import Perspective, Value

DIGITS = 6
"""Confidences are rounded to this, so that stored and later ones compare equal."""


MOST_BYTES = 64 * 1024 * 1024
"""The largest arbiter file that is read (ours): thousands of certified questions take some hundred kilobytes."""

MOST_WEIGHT = 1e9
"""The largest weight of an arbiter (ours): sums of larger ones end in no number."""


class Head(Value):
    """A linear score and its calibrator: probability = calibrator(intercept + weights . row), never nearer to 0 or 1
    than `least`, which the questions fitted on are too few to tell from certainty."""

    columns: tuple[str, ...]
    weights: tuple[float, ...]
    intercept: float
    calibrator: Calibrator
    least: float = Field(gt=0, le=0.5)

    @model_validator(mode="after")
    def _one_weight_per_column(self) -> Self:
        if len(self.columns) != len(self.weights):
            raise ValueError(f"{len(self.weights)} weights for {len(self.columns)} columns")
        return self

    def probability(self, row: Array) -> float:
        """The calibrated probability for a row of `vector`."""
        score = np.asarray([self.intercept + float(row @ np.asarray(self.weights))])
        share = min(max(float(self.calibrator.probabilities(score)[0]), self.least), 1 - self.least)
        return round(share, DIGITS)


class Provenance(Value):
    """What the arbiter was fitted for and on. `weights` is the hash of the model's weights, "" when not known. `world`
    says in a sentence what the model knows at all, where it knows one world only."""

    model: str = ""
    weights: str = ""
    world: str = ""
    seed: int
    fitted: int
    certified: int


class Certified(Value):
    """Questions that took no part in fitting, by falling confidence; `*_right` holds a 1 or 0 for each, `kind` the
    place of its kind of picture in `Arbiter.kinds` as a digit, where there are several."""

    final: tuple[float, ...] = ()
    final_right: str = Field(default="", pattern="^[01]*$")
    gate: tuple[float, ...] = ()
    gate_right: str = Field(default="", pattern="^[01]*$")
    kind: str = Field(default="", pattern="^[0-9]*$")

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        columns = (self.final, self.final_right, self.gate, self.gate_right, *((self.kind,) if self.kind else ()))
        if len({len(column) for column in columns}) != 1:
            raise ValueError("certified columns differ in length")
        return self


@dataclass(frozen=True)
class Judgement:
    """Which answer to take and how probably it is right; `macro` and `micro` are the probabilities of each."""

    perspective: Perspective
    confidence: float
    macro: float
    micro: float | None


MOST_KINDS = 10
"""Kinds of pictures of one arbiter (ours): each needs hundreds of certified questions."""


class Arbiter(Value):
    """Everything that judging a run needs, in one JSON file. `reference` are quantiles of the confidences of the
    questions fitted on, from which thresholds to try are taken; `kinds` names the kinds of pictures, where the
    records have several. `words` are those of all questions that it knows, where
    these were a closed list; a question with another word is one that nothing was certified for. `scope` tells pictures
    of the kinds that it was certified on from others, where that was fitted."""

    version: Literal[2] = 2
    provenance: Provenance
    gate: Head
    alone: Head
    searched: Head
    same: Head
    macro: Head
    micro: Head
    reference: tuple[float, ...] = ()
    kinds: tuple[str, ...] = Field(default=(), max_length=MOST_KINDS)
    words: tuple[str, ...] = ()
    scope: Scope | None = None
    certified: Certified = Certified()

    @model_validator(mode="after")
    def _columns_are_ours(self) -> Self:
        after = (self.alone, self.searched, self.same, self.macro, self.micro)
        for head, fields in ((self.gate, GATE_FIELDS), *((head, FIELDS) for head in after)):
            if head.columns != vector(Features(), fields)[1]:
                raise ValueError("fitted for other features than this version of zoomagent computes; fit it again")
        if len(self.kinds) > 1 and set(self.certified.kind) != {str(place) for place in range(len(self.kinds))}:
            raise ValueError("the certified questions are not of the kinds that are named")
        return self

    def unknown(self, question: str) -> tuple[str, ...]:
        """The words of a question that are in none it was certified on; () where its words are no closed list."""
        known = set(self.words)
        return tuple(dict.fromkeys(word for word in words_of(question) if word not in known)) if known else ()

    def knows(self, looks: Sequence[float]) -> bool:
        """Whether a picture that looks like this (`looks.py`) is of a kind that was certified; True where nothing is
        known of kinds."""
        return self.scope is None or self.scope.holds(looks)

    def gate_confidence(self, features: Features) -> float:
        """How probably the macro answer is right, as far as can be said before any closer look: 0 where it claims
        something about all of the picture, which only closer looks can earn."""
        if features.macro_claims_all:
            return 0.0
        return self.gate.probability(vector(features, GATE_FIELDS)[0])

    def judge(self, features: Features) -> Judgement:
        """Which answer to take. An answer that names no option never beats one that does; a tie goes to macro."""
        row, _ = vector(features)
        if features.searched:
            found = self.searched.probability(row)
            return Judgement("micro", found, found if features.agree else 1 - found, found)
        if features.agree is None:
            gate = self.gate.probability(vector(features, GATE_FIELDS)[0])
            alone = self.alone.probability(row) if features.tried else gate
            return Judgement("macro", alone, alone, None)
        if features.agree:
            joint = self.same.probability(row)
            return Judgement("micro", joint, joint, joint)
        macro, micro = self.macro.probability(row), self.micro.probability(row)
        better = micro > macro
        if features.macro_valid is False and features.micro_valid:
            better = True
        elif features.micro_valid is False and features.macro_valid:
            better = False
        return Judgement("micro" if better else "macro", micro if better else macro, macro, micro)

    def pairs(self, gate_at: float | None = None) -> tuple[list[float], list[bool]]:
        """(confidence, right) of the certified questions, those above `gate_at` answered by the gate."""
        certified = self.certified
        rows = zip(certified.final, certified.final_right, certified.gate, certified.gate_right, strict=True)
        pairs = [(g, gr) if gate_at is not None and g >= gate_at else (f, fr) for f, fr, g, gr in rows]
        return [confidence for confidence, _ in pairs], [right == "1" for _, right in pairs]

    def cutoff(self, alpha: float, delta: float = 0.1, gate_at: float | None = None) -> Cutoff:
        """From which confidence on to answer. `gate_at` must be fixed beforehand, not chosen from these numbers."""
        confidence, right = self.pairs(gate_at)
        grid = grid_from(self.reference, len(right), alpha, delta) if self.reference else []
        return learn_then_test(confidence, right, grid, alpha, delta, self.certified.kind)


def load(name_or_path: str | Path) -> Arbiter | None:
    """A file when the name ends in .json, else the packaged arbiter of the model of that name, or None."""
    if str(name_or_path).endswith(".json"):
        return read_file(Path(name_or_path))
    packaged = files("zoomagent.confidence") / "arbiters" / f"{name_or_path}.json"
    if not re.fullmatch(r"[\w.-]+", str(name_or_path)) or not packaged.is_file():
        return None
    return Arbiter.model_validate_json(packaged.read_text(encoding="utf-8"))


def neutral() -> Arbiter:
    """One that was fitted on nothing: it believes what a closer look says, and certifies nothing."""
    even = Platt(slope=1, intercept=0)

    def head(fields: tuple[str, ...], score: float) -> Head:
        columns = vector(Features(), fields)[1]
        return Head(columns=columns, weights=(0.0,) * len(columns), intercept=score, calibrator=even, least=0.1)

    nothing = Provenance(model="neutral", seed=0, fitted=0, certified=0)
    gate, first, closer = head(GATE_FIELDS, 0.0), head(FIELDS, 0.0), head(FIELDS, 2.0)
    return Arbiter(provenance=nothing, gate=gate, alone=first, searched=closer, same=closer, macro=first, micro=closer)


def save(arbiter: Arbiter, path: Path) -> None:
    """Write what `load` reads, a line for each field."""
    fields = arbiter.model_dump(mode="json")
    lines = [f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}" for name, value in fields.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_file(path: Path) -> Arbiter:
    """The arbiter in a file. Whatever else the name leads to is a setting that cannot be."""
    try:
        # Only a file is opened: a pipe would wait, a device never ends. A name with a NUL is none.
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            raise SettingInvalid(f"There is no arbiter {path.name!r}. Make one: zoomagent train calibrate.")
        arbiter = Arbiter.model_validate_json(path.read_bytes())
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise SettingInvalid(f"{path.name!r} is no arbiter of this version: {what}.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, SettingInvalid):
            raise
        raise SettingInvalid(f"{path.name!r} cannot be read ({type(error).__name__}). Name another file.") from error
    heads = (arbiter.gate, arbiter.alone, arbiter.searched, arbiter.same, arbiter.macro, arbiter.micro)
    if any(abs(number) > MOST_WEIGHT for head in heads for number in (*head.weights, head.intercept)):
        raise SettingInvalid(
            f"{path.name!r} is no arbiter: a weight beyond {MOST_WEIGHT:g} decides alone. Fit it again."
        )
    return arbiter
