"""Fit the arbiter of a model from questions whose answers are known, and say how good it is on others.

    zoomagent train calibrate RECORDS.jsonl --out ARBITER.json

The records are split by picture: a part is kept aside to certify thresholds (`abstention.py`); on the rest, each head
is a logistic regression with an L2 penalty, and its calibrator is fitted on scores that folds gave to records they had
not seen. Needs scikit-learn (extra `train`). Left out: collecting records; what the numbers mean (docs/confidence.md).
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from zoomagent.confidence.arbiter import MOST_KINDS, Arbiter, Certified, Head, Provenance
from zoomagent.confidence.calibration import FAR, Isotonic, Platt
from zoomagent.confidence.claims import words_of
from zoomagent.confidence.features import FIELDS, GATE_FIELDS, Features, log_odds, vector
from zoomagent.confidence.records import Record, folds, split
from zoomagent.errors import SettingInvalid
from zoomagent.models.local.weights import weights_hash as weights_hash
from zoomagent.training.calibration.scope import Look, fit_scope, looks_in

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

CERTIFY = 0.4
"""Share of the records that is kept aside for thresholds."""
FOLDS = 5
PENALTY = 1.0
"""Inverse strength of the L2 penalty on standardised columns (scikit-learn's C)."""
NEEDED = 100
"""Records from which calibration is worth its name (ours)."""
ENOUGH = 20
"""Fewer records, or fewer of either kind than `RARE`, and a head says the base rate."""
RARE = 5
QUESTIONS_A_WORD = 5
"""Words of a closed list are at most one to so many questions (ours)."""
FOR_ISOTONIC = 1000
"""Below this, isotonic regression follows noise (Niculescu-Mizil and Caruana 2005): Platt's curve then."""
QUANTILES = 201


def fit(
    everything: Sequence[Record],
    seed: int = 1,
    model: str = "",
    weights: str = "",
    world: str = "",
    looks: Sequence[Look] = (),
) -> Arbiter:
    """The arbiter for the model that these records are of. `world` says what that model knows, where it is one world
    only; `looks` are further pictures of its kind and of others. Foreign records teach nothing but what is outside."""
    records = [record for record in everything if not record.foreign]
    fitted, certified = split(records, CERTIFY, f"certify {seed}")
    if len(fitted) < ENOUGH or len(certified) < ENOUGH:
        pictures = len({record.group or record.id for record in records})
        raise SettingInvalid(
            f"{len(records)} records of {pictures} pictures are too few to fit and to certify, as a picture's records "
            f"stay together: {len(fitted)} and {len(certified)}. Collect at least {NEEDED}, of many pictures."
        )
    searched = [record for record in fitted if record.features.searched]
    closer = [record for record in fitted if not record.features.searched]
    differing = [record for record in closer if record.features.agree is False]
    agreeing = [record for record in closer if record.features.agree]
    at_once = [record for record in fitted if not record.features.macro_claims_all]
    in_vain = [record for record in fitted if record.features.agree is None and record.features.tried]
    arbiter = Arbiter(
        provenance=Provenance(
            model=model, weights=weights, world=world, seed=seed, fitted=len(fitted), certified=len(certified)
        ),
        gate=fit_head(at_once, [r.macro_right for r in at_once], GATE_FIELDS, seed),
        alone=fit_head(in_vain, [r.macro_right for r in in_vain], FIELDS, seed),
        searched=fit_head(searched, [bool(r.micro_right) for r in searched], FIELDS, seed),
        same=fit_head(agreeing, [r.macro_right for r in agreeing], FIELDS, seed),
        macro=fit_head(differing, [r.macro_right for r in differing], FIELDS, seed),
        micro=fit_head(differing, [bool(r.micro_right) for r in differing], FIELDS, seed),
    )
    reference = np.quantile(
        [arbiter.judge(r.features).confidence for r in fitted], np.linspace(0, 1, QUANTILES), method="lower"
    )
    kinds = kinds_in(certified)
    scope = fit_scope([*looks_in(everything), *looks], seed)
    known = {"reference": tuple(reference.tolist()), "words": closed_words(records), "scope": scope}
    return arbiter.model_copy(update={**known, "kinds": kinds, "certified": certify(arbiter, certified, kinds)})


def kinds_in(records: Sequence[Record]) -> tuple[str, ...]:
    """The kinds of pictures to look at one by one; none where there is one, where there are many, or where too few
    records are of one to say anything about it."""
    kinds = Counter(record.kind for record in records)
    fits = 1 < len(kinds) <= MOST_KINDS and min(kinds.values()) >= ENOUGH
    return tuple(sorted(kinds)) if fits else ()


def closed_words(records: Sequence[Record]) -> tuple[str, ...]:
    """The words of the records' questions, where these are a closed list: many questions to a word. The questions of
    people are not, and then there is no list."""
    words = {word for record in records for word in words_of(record.question)}
    return tuple(sorted(words)) if len(words) * QUESTIONS_A_WORD <= len(records) else ()


def certify(arbiter: Arbiter, records: Sequence[Record], kinds: Sequence[str] = ()) -> Certified:
    """What the arbiter says of records that it was not fitted on, beside what was right."""
    judged = [(arbiter.judge(r.features), arbiter.gate_confidence(r.features), r) for r in records]
    judged.sort(key=lambda row: (-row[0].confidence, row[2].id))
    return Certified(
        final=tuple(judgement.confidence for judgement, _, _ in judged),
        final_right="".join(str(int(right_of(record, j.perspective == "micro"))) for j, _, record in judged),
        gate=tuple(gate for _, gate, _ in judged),
        gate_right="".join(str(int(record.macro_right)) for _, _, record in judged),
        kind="".join(str(kinds.index(record.kind)) for _, _, record in judged) if kinds else "",
    )


def right_of(record: Record, micro: bool) -> bool:
    """Whether the answer is right that was taken: micro's where there is one and it was asked for, else macro's."""
    return record.micro_right if micro and record.micro_right is not None else record.macro_right


def fit_head(records: Sequence[Record], right: Sequence[bool], fields: tuple[str, ...], seed: int) -> Head:
    """A logistic model with its calibrator; the base rate where there is too little to learn from."""
    columns, least = vector(Features(), fields)[1], 1 / (len(right) + 2)
    y = np.asarray(right, dtype=bool)
    fold = np.asarray(folds(records, FOLDS, f"folds {seed}"))
    # Records of one fold have no others to be judged by: all of one picture, or of few.
    if y.size < ENOUGH or min(int(np.sum(y)), int(np.sum(~y))) < RARE or np.unique(fold).size < 2:
        rate = (float(np.sum(y)) + 1) / (y.size + 2)
        flat = (0.0,) * len(columns)
        base = Platt(slope=1, intercept=0)
        return Head(columns=columns, weights=flat, intercept=log_odds(rate), calibrator=base, least=least)
    x = np.stack([vector(record.features, fields)[0] for record in records])
    # Every record's score from a model that did not see its fold.
    held_out = np.zeros(y.size)
    for k in np.unique(fold):
        seen, unseen = fold != k, fold == k
        if len(np.unique(y[seen])) < 2:
            held_out[unseen] = log_odds(float(np.mean(y[seen])))
            continue
        weights, intercept = _logistic(x[seen], y[seen])
        held_out[unseen] = x[unseen] @ weights + intercept
    weights, intercept = _logistic(x, y)
    calibrator = fit_isotonic(held_out, y) if y.size >= FOR_ISOTONIC else fit_platt(held_out, y)
    found = tuple(weights.tolist())
    return Head(columns=columns, weights=found, intercept=intercept, calibrator=calibrator, least=least)


def fit_platt(scores: Array, right: Flags) -> Platt:
    """The logistic curve of greatest likelihood; flat at the base rate where it would fall."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e4, max_iter=1000).fit(np.clip(scores, -FAR, FAR)[:, None], right)
    if float(model.coef_[0, 0]) <= 0:
        return Platt(slope=0, intercept=log_odds(float(np.mean(right))))
    return Platt(slope=float(model.coef_[0, 0]), intercept=float(model.intercept_[0]))


def fit_isotonic(scores: Array, right: Flags) -> Isotonic:
    """The best rising curve."""
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0, y_max=1).fit(np.clip(scores, -FAR, FAR), right)
    return Isotonic(scores=tuple(model.X_thresholds_.tolist()), values=tuple(model.y_thresholds_.tolist()))


def _logistic(x: Array, y: Flags) -> tuple[Array, float]:
    """Weights and intercept for columns as they are; the penalty is on standardised ones."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = x.mean(axis=0), x.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    model = LogisticRegression(C=PENALTY, max_iter=2000).fit((x - mean) / scale, y)
    weights = np.where(spread > 1e-9, model.coef_[0] / scale, 0.0)
    return weights, float(model.intercept_[0] - weights @ mean)
