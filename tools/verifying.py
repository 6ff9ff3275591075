"""The verify tool: is it really there? The model's own probability of Yes against No.

    p = await sees(model, views, crop["id"], "a red car")
    p = await holds(model, views, crop["id"], "What is written on the sign?", "Exit 12")

Both words are scored as the next turn, and their likelihoods weighed against each other, so that other words do not
count. None when the model cannot score given text: no number stands in for it. Left out: what follows from it.
"""

import math

from zoomagent.confidence.likelihood import usable
from zoomagent.models.base import Likelihood, Message, Model, Text
from zoomagent.prompts import SEE, holds_prompt
from zoomagent.tools.viewing import ViewStore

YES_NO = ("Yes", "No")


async def sees(
    model: Model, views: ViewStore, view: str, phrase: str, *, deadline: float | None = None
) -> float | None:
    """The probability, 0 to 1, that what `phrase` names can be seen in `view`."""
    return await yes(model, views, view, SEE + phrase, deadline=deadline)


async def holds(
    model: Model, views: ViewStore, view: str, question: str, answer: str, *, deadline: float | None = None
) -> float | None:
    """The probability, 0 to 1, that `answer` is right by what `view` shows."""
    return await yes(model, views, view, holds_prompt(question, answer), deadline=deadline)


async def yes(model: Model, views: ViewStore, view: str, prompt: str, *, deadline: float | None = None) -> float | None:
    """The probability of Yes, where No is the only alternative."""
    message = Message("user", (await views.pixels(view), Text(prompt)))
    scored = await model.score([message], YES_NO, deadline=deadline, task="image")
    return None if scored is None else against(scored[0], scored[1])


def against(first: Likelihood, second: Likelihood) -> float | None:
    """The share of the first of two likelihoods (their softmax); None when one of them is no number."""
    a, b = usable(first), usable(second)
    if a is None or b is None:
        return None
    gap = max(-700.0, min(700.0, b.logprob - a.logprob))
    return 1 / (1 + math.exp(gap))
