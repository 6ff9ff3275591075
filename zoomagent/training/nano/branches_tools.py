"""Tool-call conversations of the instruction mix, in the words of the Hermes dialect and of our tools.

No zoom needed; one zoom; a wrong crop recovered from; a search for what is too small to be seen, at once close enough
or zoomed into again; a search in vain. Calls are learned but for the wrong ones. Left out: everything without tools
(`branches.py`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.questions import Question
from zoomagent.data.world.scene import Region, Scene
from zoomagent.models.base import ToolCall
from zoomagent.models.words.hermes import calls_text, response_text, tools_text
from zoomagent.prompts import macro_prompt
from zoomagent.tools.definitions import NOT_FOUND, SEARCH, ZOOM_IN, search_definition, shown, zoom_in_definition
from zoomagent.training.nano.branches import LOOK_KINDS, Dialogues, Practice
from zoomagent.training.nano.dense import thousandths
from zoomagent.training.nano.located import about, crop_region, located, relative, true_box
from zoomagent.training.nano.looks import View
from zoomagent.training.nano.packing import Branch

OFFERED = (zoom_in_definition("thousand"), search_definition())
"""The tools that the nano model is offered."""
RECOVERED = 0.2
"""Share of zooms that follow a wrong one."""
COARSE = 0.3
"""Share of searches that end too far away to read."""


@dataclass(frozen=True)
class Look:
    """A tool call and what came of it: the region now shown, or nothing."""

    name: str
    arguments: dict[str, Any]
    region: Region | None
    source: int = 0
    learn: bool = True


def tools_prompt() -> str:
    """What precedes the first user turn when tools are offered."""
    return f"<|im_start|>system\n{tools_text(OFFERED)}<|im_end|>\n"


def with_tools(dialogues: Dialogues, scene: Scene, rng: np.random.Generator) -> Practice:
    """One question answered with tools on offer."""
    while True:
        question = dialogues.ask(LOOK_KINDS, scene, rng, lambda q: dialogues.settled(q, scene))
        looks = _choose_looks(dialogues, question, scene, rng)
        region = looks[-1].region if looks else None
        answer = dialogues.closer_answer(question, scene, region)
        if answer is not None and (answer != CANNOT_TELL or question.kind == "absent"):
            words, side = dialogues.words, dialogues.config.crop_side
            branch: list[Any] = [words.text(macro_prompt(question.text))]
            views: list[View] = []
            regions: list[Region] = [(0.0, 0.0, 1.0, 1.0)]
            for look in looks:
                call = ToolCall("", look.name, orjson.dumps(look.arguments).decode())
                branch += words.turn("", calls_text([call]), look.learn)
                said = NOT_FOUND
                if look.region is not None:
                    inner = [round(v * 1000) for v in relative(look.region, regions[look.source])]
                    regions.append(look.region)
                    said = shown(len(regions) - 1, inner, look.source)
                branch.append(words.text(f"\n<|im_start|>user\n{response_text(said)}"))
                if look.region is not None:
                    views.append(View(side, look.region))
                    branch += (words.text("<|im_end|>"), *words.next_user(views[-1:]))
            turn: Branch = words.turn("", answer)
            sort = "+".join(look.name.removeprefix("image_").removesuffix("_tool") for look in looks) or "none"
            return Practice(f"tools/{sort}", (*branch, *turn), tuple(views), about(question))


def _choose_looks(dialogues: Dialogues, question: Question, scene: Scene, rng: np.random.Generator) -> list[Look]:
    phrases = question.phrases
    if question.kind == "absent":
        return [Look(SEARCH, {"label": phrases[0], "img_idx": 0}, None)]
    if dialogues.answer(question, scene) == question.answer or len(question.targets) != 1:
        return []
    box = true_box(question, scene)
    if dialogues.hidden(question, scene):
        # A search that shows the thing, or a wide region around it that has to be zoomed into.
        phrase = phrases[0]
        found = {"label": phrase, "img_idx": 0}
        if rng.random() > COARSE:
            return [Look(SEARCH, found, crop_region(located(box, rng)))]
        wide = crop_region(located(box, rng), margin=float(rng.uniform(1.5, 2.5)))
        return [Look(SEARCH, found, wide), _zoom(box, phrase, wide, 1)]
    looks = [_zoom(box, phrases[0], (0.0, 0.0, 1.0, 1.0), 0)]
    if rng.random() < RECOVERED:
        other = scene.items[int(rng.integers(len(scene.items)))]
        astray = _zoom(located(other.box, rng), phrases[0], (0.0, 0.0, 1.0, 1.0), 0, learn=False)
        missed = dialogues.closer_answer(question, scene, astray.region) == CANNOT_TELL
        looks = [astray, *looks] if missed else looks
    return looks


def _zoom(box: Region, phrase: str, source: Region, index: int, learn: bool = True) -> Look:
    """A zoom call into image `index`, which shows `source`."""
    inner = thousandths(np.array(relative(box, source)))
    side = source[2] - source[0]
    meant = tuple(source[i % 2] + v / 1000 * side for i, v in enumerate(inner))
    region = crop_region((meant[0], meant[1], meant[2], meant[3]))
    return Look(ZOOM_IN, {"bbox_2d": inner, "label": phrase, "img_idx": index}, region, index, learn)
