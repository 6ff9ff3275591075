"""A small world in which it is known how probably each answer is right, for the tests of calibration.

Small things are seen only with a crop, large ones better without; the crop helps only where it was put right, and then
it matters. The model is overconfident: its own probabilities say more than is true.
"""

import numpy as np

from zoomagent.confidence.features import Features, log_odds
from zoomagent.confidence.records import Record


def records(n: int, seed: int, likelihoods: bool = True) -> list[Record]:
    rng = np.random.default_rng(seed)
    return [record(i, rng, likelihoods) for i in range(n)]


def record(index: int, rng: np.random.Generator, likelihoods: bool) -> Record:
    small, found = rng.random() < 0.5, rng.random() < 0.8
    macro_right = bool(rng.random() < (0.1 if small else 0.85))
    micro_right = bool(rng.random() < ((0.95 if small else 0.6) if found else 0.1))
    agree = (macro_right and micro_right) or (not macro_right and not micro_right and rng.random() < 0.3)
    measured = Features(
        macro_prob=boasted(0.75 if macro_right else 0.45, rng),
        macro_mean=-rng.exponential(0.2),
        macro_abstains=not macro_right and rng.random() < 0.2,
        macro_valid=True,
        micro_prob=boasted(0.8 if micro_right else 0.5, rng),
        micro_mean=-rng.exponential(0.2),
        micro_abstains=False,
        micro_valid=True,
        agree=agree,
        seen=boasted(0.9 if found else 0.2, rng),
        mattered=rng.normal(4, 2) if found and small else rng.normal(0, 1),
        crop_share=rng.uniform(0.05, 0.5),
        depth=1,
        targets=1,
    )
    voted = Features(
        macro_valid=True,
        micro_valid=True,
        macro_abstains=False,
        micro_abstains=False,
        agree=agree,
        macro_votes=round(float(rng.beta(4, 2) if macro_right else rng.beta(2, 3)), 1),
        votes=round(float(rng.beta(5, 1) if micro_right else rng.beta(1, 3)), 1),
    )
    features = measured if likelihoods else voted
    return Record(
        id=f"q{index}", group=f"scene {index // 2}", features=features, macro_right=macro_right, micro_right=micro_right
    )


def boasted(p: float, rng: np.random.Generator) -> float:
    """A probability around `p`, its log-odds noisy and then doubled."""
    return float(1 / (1 + np.exp(-2 * (log_odds(p) + rng.normal(0, 1)))))
