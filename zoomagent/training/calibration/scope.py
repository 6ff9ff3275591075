"""Fit which pictures an arbiter was certified on, from what those and others look like.

    zoomagent bench looks --foreign FOLDER --out LOOKS.jsonl
    zoomagent train scope ARBITER.json LOOKS.jsonl --out ARBITER.json

With enough other pictures, trees tell the two apart, and the mark is set where at least `KEPT_OUT` of the others stay
out; with certified pictures alone, the mark is where `KEPT_IN` of them stay in. Both are taken on pictures that the fit
behind them did not see, whole files at a time. Needs scikit-learn (extra `train`). Left out: making the pictures
(`evaluation/looks.py`).
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoomagent.confidence.looks import LENGTH
from zoomagent.confidence.records import Record, draw
from zoomagent.confidence.scope import Among, Near, Tree
from zoomagent.errors import SettingInvalid
from zoomagent.evaluation.scoring import clopper_pearson
from zoomagent.files import read_text

Array = NDArray[np.float64]

KEPT_OUT, KEPT_IN = 0.995, 0.99
FOLDS = 5
TREES, DEPTH, RATE = 150, 3, 0.15
OTHERS = 100
"""Other pictures from which they are worth being told from."""
ENOUGH = 50
"""Certified pictures that are needed at all."""
AXES = 16


class Look(BaseModel):
    """What one picture looks like. `source` names what it was made of: all of one source are fitted on, or none;
    `world` is the kind that reports tell apart; `foreign`: nothing of its kind was certified."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    source: str = Field(min_length=1)
    world: str
    foreign: bool = False
    held_out: bool = False
    """Never fitted on, only reported."""
    looks: tuple[float, ...] = Field(min_length=LENGTH, max_length=LENGTH)


def read_looks(path: Path) -> list[Look]:
    """Every line of the file. Raises SettingInvalid naming the first that is none."""
    try:
        # Not `splitlines`: a file's name may hold other ends of lines.
        lines = read_text(path).removesuffix("\n").split("\n")
    except (OSError, ValueError) as error:
        raise SettingInvalid(f"There is no file {path.name!r} of zoomagent bench looks.") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(Look.model_validate_json(line))
        except ValidationError as error:
            what = error.errors()[0]["msg"]
            raise SettingInvalid(f"Line {number}: {what}. Write it with zoomagent bench looks.") from error
    return found


def looks_in(records: Sequence[Record]) -> list[Look]:
    """The same from the records of `train calibrate`, as far as these know it."""
    return [
        Look(source=record.group or record.id, world="records", foreign=record.foreign, looks=record.features.picture)
        for record in records
        if record.features.picture is not None
    ]


def fit_scope(found: Sequence[Look], seed: int = 1) -> Among | Near | None:
    """The check for these pictures; None where they are too few to say what belongs."""
    kept = [look for look in found if not look.held_out]
    own = sum(not look.foreign for look in kept)
    if own < ENOUGH or any(
        len(_folds([k for k in kept if k.foreign is side], seed)) < 2 for side in {k.foreign for k in kept}
    ):
        return None
    if len(kept) - own >= OTHERS:
        return _fit_among(kept, seed)
    return _fit_near([look for look in kept if not look.foreign], seed)


def _fit_among(kept: Sequence[Look], seed: int) -> Among:
    x, foreign = _rows(kept), np.asarray([look.foreign for look in kept])
    # Own and foreign pictures weigh the same together, and so do the own worlds: of some there are few pictures.
    kinds = ["" if look.foreign else look.world for look in kept]
    sizes, worlds = Counter(kinds), len({kind for kind in kinds if kind})
    shares = [1 / sizes[kind] if kind == "" else 1 / (worlds * sizes[kind]) for kind in kinds]
    weights = np.asarray(shares) * len(kept) / 2
    unseen = np.zeros(len(kept))
    for seen, fold in _folds(kept, seed):
        trees = _trees(x[seen], ~foreign[seen], weights[seen], seed)
        unseen[fold] = [sum(tree.score(row) for tree in trees) for row in x[fold]]
    out = float(np.quantile(unseen[foreign], KEPT_OUT, method="higher"))
    # Where the two lie apart, the mark lies in the middle between them.
    least = max(out, (out + float(np.quantile(unseen[~foreign], 1 - KEPT_IN, method="lower"))) / 2)
    return Among(trees=_trees(x, ~foreign, weights, seed), least=round(least, 4))


def _trees(x: Array, own: NDArray[np.bool_], weights: Array, seed: int) -> tuple[Tree, ...]:
    """Gradient boosting (Friedman 2001)."""
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(
        n_estimators=TREES, max_depth=DEPTH, learning_rate=RATE, subsample=0.5, max_features=12, min_samples_leaf=5,
        random_state=seed,
    ).fit(x, own, weights)  # fmt: skip
    trees = []
    for [stage] in model.estimators_:
        fitted = stage.tree_
        ends = fitted.children_left < 0  # scikit-learn marks an end by a child of -1
        tree = Tree(
            column=tuple(np.where(ends, -1, fitted.feature).tolist()),
            at=tuple(np.where(ends, 0.0, fitted.threshold).round(5).tolist()),
            left=tuple(fitted.children_left.tolist()),
            right=tuple(fitted.children_right.tolist()),
            value=tuple(np.where(ends, RATE * fitted.value[:, 0, 0], 0.0).round(4).tolist()),
        )
        trees.append(tree)
    return tuple(trees)


def _fit_near(own: Sequence[Look], seed: int) -> Near:
    x = _rows(own)
    unseen = np.zeros(len(own))
    for seen, fold in _folds(own, seed):
        near = _near(x[seen])
        unseen[fold] = [near.distance(row) for row in x[fold]]
    most = float(np.quantile(unseen, KEPT_IN, method="higher"))
    return _near(x).model_copy(update={"most": round(most, 4)})


def _near(x: Array) -> Near:
    """Probabilistic principal components (Tipping, Bishop 1999) of standardised numbers."""
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 0.02)
    values, vectors = np.linalg.eigh(np.cov(((x - mean) / scale).T))
    axes = min(AXES, len(x) // 4)
    rest = float(np.sqrt(max(0.05, float(np.mean(values[:-axes])))))
    spreads = np.maximum(np.sqrt(np.maximum(values[-axes:], 0)), rest)
    return Near(
        mean=tuple(mean.round(4).tolist()),
        scale=tuple(scale.round(4).tolist()),
        axes=tuple(tuple(vectors[:, -k].round(4).tolist()) for k in range(1, axes + 1)),
        spreads=tuple(spreads[::-1].round(4).tolist()),
        rest=round(rest, 4),
        most=1.0,
    )


def report(scope: Among | Near, found: Sequence[Look]) -> str:
    """The shares of each kind that are refused, as Markdown: own ones should be let in, foreign ones refused."""
    kinds = sorted({(look.foreign, look.held_out, look.world) for look in found})
    lines = ["| pictures | | n | refused [95 %] |", "|---|---|--:|---|"]
    for foreign, held_out, world in kinds:
        some = [look for look in found if (look.foreign, look.held_out, look.world) == (foreign, held_out, world)]
        refused = sum(not scope.holds(look.looks) for look in some)
        low, high = clopper_pearson(refused, len(some))
        kind = f"{'foreign' if foreign else 'own'}, {'never fitted on' if held_out else 'fitted on'}"
        lines.append(f"| {world} | {kind} | {len(some)} | {refused / len(some):.2%} [{low:.2%}, {high:.2%}] |")
    return "\n".join(lines)


def _rows(found: Sequence[Look]) -> Array:
    return np.asarray([look.looks for look in found], dtype=np.float64)


def _folds(found: Sequence[Look], seed: int) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """(seen, unseen) of each fold; a source is in one fold only."""
    fold = np.asarray([int(draw(look.source, f"scope {seed}") * FOLDS) for look in found])
    return [(fold != k, fold == k) for k in np.unique(fold)]
