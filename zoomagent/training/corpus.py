"""What the nano tokenizer is built from: every question form of a level, the prompts, tool-call JSON."""

from collections.abc import Iterator

import numpy as np

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.questions import ask, every_name
from zoomagent.data.scene import Level, draw_scene
from zoomagent.graphs.prompts import BOX, BOX_FORMAT, LETTER, MICRO, SHORT, VISIBLE
from zoomagent.training.mix import KINDS

PHRASES = (SHORT, LETTER, BOX, MICRO, VISIBLE, BOX_FORMAT["thousand"])
"""Fixed sentences of the prompts, one token each."""

CALL = '<tool_call>\n{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [0, 0, 1, 1], "label": "a"}}\n'
_WORDS = (
    "zoom crop image name arguments bbox_2d label img_idx source answer box view text function type object string "
    "number array properties required description parameters picture read search verify Yes No user assistant system "
    "Tools You may call one or more functions to assist with the query signatures within return json"
)


def corpus(level: Level, scenes: int = 400) -> Iterator[str]:
    """Lines for the BPE trainer, the same every time."""
    rng = np.random.default_rng(0)
    yield from PHRASES
    for word in [*_WORDS.split(), *every_name(level), CANNOT_TELL, "Left", "Right", "Yes", "No"]:
        yield from [word, " " + word] * 40
    for index in range(scenes):
        scene = draw_scene(level, 0, index)
        for kind in KINDS:
            question = ask(kind, scene, level, rng)
            if question:
                yield question.text
                yield question.answer
    yield from [CALL] * 40
