"""Rivals in time, on the same model with the same yes/no question: uniform frames one by one, and a sliding window.

    found = await uniform(model, views, phrase, 18)        # the longest run of frames that show it

Uniform frames are what video models are fed as a rule; `window` slides a sheet of nine frames over the clip. Neither
goes back to look again. Left out: one-shot time stamps, which nano was not taught to write.
"""

from zoomagent.media.video.sheet import Sheet
from zoomagent.models.base import Model
from zoomagent.moments import Moment, joined, slices
from zoomagent.tools.bounding import is_there
from zoomagent.tools.searching import part_shares
from zoomagent.tools.viewing import ViewStore

WINDOWS = 9


async def uniform(model: Model, views: ViewStore, phrase: str, count: int) -> Moment | None:
    """Every one of `count` frames is asked for; the longest stretch of frames that show it."""
    parts, shown = slices(_clip(views), count), []
    for part in parts:
        there, _ = await is_there(model, views, views.sheet(part, 1)["id"], phrase)
        shown += [part] if there else []
    return max(joined(shown), key=lambda moment: moment.length, default=None)


async def window(model: Model, views: ViewStore, phrase: str) -> Moment | None:
    """Nine sheets of nine frames, one after the other; frames that get more than their share, and more than "none"."""
    shown: list[Moment] = []
    for part in slices(_clip(views), WINDOWS):
        shares = await part_shares(model, views, views.sheet(part, 3)["id"], phrase)
        frames = slices(part, 9)
        shown += [frame for frame, share in zip(frames, shares[1:], strict=True) if share > max(shares[0], 1 / 9) / 2]
    return max(joined(shown), key=lambda moment: moment.length, default=None)


def _clip(views: ViewStore) -> Moment:
    assert isinstance(views.picture, Sheet)
    return views.picture.video.moment
