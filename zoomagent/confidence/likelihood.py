"""From token log-probabilities to numbers that can be compared, and to one number between 0 and 1.

`probability` is the model's own probability of exactly these words, in the context in which they were scored:
the product of its token probabilities. It is not calibrated, and it falls with the length of the answer.
Where a model gives no likelihoods the result is None, never a stand-in.
"""

import math
from collections.abc import Sequence

from zoomagent.models.base import Likelihood, Token


def of_tokens(tokens: Sequence[Token] | None) -> Likelihood | None:
    """The likelihood of a generated reply; None when the server gave none, or gave numbers that are none."""
    if not tokens:
        return None
    return usable(Likelihood(sum(token.logprob for token in tokens), len(tokens)))


def usable(likelihood: Likelihood) -> Likelihood | None:
    """The likelihood itself when it is a finite log-probability of at least one token, else None."""
    if likelihood.tokens < 1 or not math.isfinite(likelihood.logprob):
        return None
    return Likelihood(min(likelihood.logprob, 0.0), likelihood.tokens)


def probability(likelihood: Likelihood) -> float:
    """exp(sum of log-probabilities), 0 to 1."""
    return math.exp(min(likelihood.logprob, 0.0))


def diluted(box: Likelihood, answer: Likelihood) -> Likelihood:
    """DualFocus' published score: the box turn's tokens are counted with the answer's, so that mean = -(C_box
    + S_answer) / (n_box + n_answer). The box is the same for both answers, their lengths are not."""
    return Likelihood(box.logprob + answer.logprob, box.tokens + answer.tokens)
