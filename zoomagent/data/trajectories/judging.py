"""Does a model need the zoom? Asked once about the whole and once with the crops, as DualFocus' two paths are.

    taught = await teaches(model, picture, candidate)     # True: the whole was not enough and the crop was

A question for a zoom is kept where the whole gives a wrong answer and the crops the right one; a question for the
whole where the whole gives the right one. Questions without an answer are not judged. Answers are compared as texts, so
a free answer in other words counts as wrong. Left out: which candidates are judged (`pipeline.py`).
"""

from zoomagent.confidence.replies import read, same_answer
from zoomagent.data.trajectories.curation import Candidate
from zoomagent.geometry import Box
from zoomagent.media import Picture
from zoomagent.models.base import Message, Model, Text
from zoomagent.prompts import macro_prompt, micro_prompt, several_prompt
from zoomagent.tools.viewing import ViewStore
from zoomagent.tools.zooming import surroundings


async def teaches(model: Model, picture: Picture, candidate: Candidate) -> bool:
    """Whether the candidate teaches `model` what it is for."""
    if candidate.kinds == ("cannot_tell",):
        return True
    views = ViewStore(picture, model.profile)
    whole = await _answers_rightly(
        model, views, [views.whole()["id"]], macro_prompt(candidate.question), candidate.answer
    )
    if candidate.kinds == ("no_zoom",):
        return whole
    if whole:
        return False
    # The second question: the whole, marked where there are several crops, and the crops.
    boxes = [Box(*target.box) for target in candidate.targets]
    around = [surroundings(box, views.picture.size, views.profile.crop_margin, 0) for box in boxes]
    view = views.whole()["id"]
    crops = [views.add(box, source=view, max_pixels=views.profile.crop_pixels or None)["id"] for box in around]
    prompt = micro_prompt(candidate.question)
    if len(crops) > 1:
        view, prompt = views.marked(view, around)["id"], several_prompt(candidate.question)
    return await _answers_rightly(model, views, [view, *crops], prompt, candidate.answer)


async def _answers_rightly(model: Model, views: ViewStore, shown: list[str], prompt: str, answer: str) -> bool:
    parts = [await views.pixels(view) for view in shown]
    [reply] = await model.generate([Message("user", (*parts, Text(prompt)))], max_tokens=32)
    return same_answer(read(reply.text).text, answer)
