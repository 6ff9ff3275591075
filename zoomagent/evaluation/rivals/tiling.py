"""Exhaustive tiling, the ceiling: look at everything, closely, once.

The picture is cut into overlapping tiles of half, a quarter ... of its side, down to the size at which the smallest
thing asked about can be read; at every size neighbours overlap by half, so that whatever is smaller than half a tile
lies whole in one of them. The question is asked about each tile alone. The likeliest answer that does not abstain is
set against the answer from the whole: both are scored in the dialogue with the whole and that tile, as the agent weighs
macro and micro, and the likelier one is taken. So counting and global questions, which a tile answers confidently and
wrongly, are decided with the whole in sight.

Costs hundreds of calls, so it is a yardstick, not a method. `depth_for` says how deep it must go.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from zoomagent.confidence.likelihood import of_tokens, probability
from zoomagent.confidence.replies import ReadAnswer, abstains, plain, read
from zoomagent.evaluation.rivals.asking import Desk, Procedure, RivalAnswer
from zoomagent.geometry import Box, Size
from zoomagent.graphs.context import Budget
from zoomagent.models.base import Model, Reply
from zoomagent.prompts import macro_prompt
from zoomagent.tools.viewing import ViewStore


@dataclass(frozen=True)
class Seen:
    """The answer that one tile gave."""

    box: Box
    answer: ReadAnswer
    probability: float


async def tiling(
    model: Model, views: ViewStore, question: str, options: Sequence[str], budget: Budget, *, depth: int = 2
) -> RivalAnswer:
    """Answer after looking at every tile."""
    desk = Desk(model, views, budget)
    prompt = macro_prompt(question, desk.offered(options))
    macro = await desk.generate([await desk.user([desk.whole], prompt)])
    boxes = list(tiles(views.picture.size, depth))[: max(0, desk.left - 1)]
    replies = await desk.generate_each([[await desk.user([desk.alone(box)], prompt)] for box in boxes])
    seen = [judged(box, reply, options) for box, reply in zip(boxes, replies, strict=True)]
    best = max((one for one in seen if one is not None), key=lambda one: one.probability, default=None)
    return await chosen(desk, macro, best, question, options)


def judged(box: Box, reply: Reply, options: Sequence[str]) -> Seen | None:
    """What a tile's reply is worth; nothing when it abstains, answers nothing, or has no likelihood."""
    answer, likelihood = read(reply.text, options), of_tokens(reply.tokens)
    if likelihood is None or not answer.valid or abstains(answer.text):
        return None
    return Seen(box, answer, probability(likelihood))


async def chosen(desk: Desk, macro: Reply, best: Seen | None, question: str, options: Sequence[str]) -> RivalAnswer:
    """The whole's answer or the best tile's."""
    whole = read(macro.text, options)
    if best is None or (whole.valid and plain(whole.text) == plain(best.answer.text)):
        return desk.tried(macro, options)
    letters = desk.views.profile.letters
    words = [(letters and answer.letter) or answer.text for answer in (whole, best.answer)]
    if not all(words) or desk.left < 1:
        return desk.answer(best.answer.text, best.probability, [best.box], used_crop=True)
    dialogue = await desk.closer(best.box, desk.alone(best.box), question, options)
    one, other = await desk.score(dialogue, words)
    if one.mean >= other.mean:
        return desk.answer(whole.text, probability(one), [], used_crop=False)
    return desk.answer(best.answer.text, probability(other), [best.box], used_crop=True)


def tiles(size: Size, depth: int) -> Iterator[Box]:
    """Every tile of every size, large ones first: sides of 1/2, 1/4 ... 1/2**depth, half a tile apart."""
    for level in range(1, depth + 1):
        steps = 2 ** (level + 1)
        across = [size.width * i // steps for i in range(steps + 1)]
        down = [size.height * i // steps for i in range(steps + 1)]
        for j in range(steps - 1):
            for i in range(steps - 1):
                yield Box(across[i], down[j], across[i + 2], down[j + 2])


def depth_for(letters: float, view_side: int, legible: float) -> int:
    """The depth at which capitals of `letters` (a share of the picture's side) are `legible` pixels high in a tile's
    view of `view_side` pixels."""
    return max(1, math.ceil(math.log2(legible / (letters * view_side))))


def tiling_to(depth: int) -> Procedure:
    """Tiling down to a depth."""
    return partial(tiling, depth=depth)
