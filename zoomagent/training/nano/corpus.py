"""What the nano tokenizer is built from: every question form of a level, the prompts, tool-call JSON."""

import json
from collections.abc import Iterator

import numpy as np

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.questions import Kind, ask, every_name
from zoomagent.data.world.scene import Level, draw_scene
from zoomagent.data.world.wordings import Style
from zoomagent.models.words.hermes import tools_text
from zoomagent.prompts import (
    BOX,
    BOX_FORMAT,
    CLOSER,
    CUES,
    EVERY,
    EVERY_FORMAT,
    FOUND,
    GROUND,
    HOLDS,
    LETTER,
    MARKED,
    MICRO,
    PARTS,
    SEARCHED,
    SEE,
    SHORT,
    TAGS,
    VISIBLE,
)
from zoomagent.tools.definitions import SEARCH, ZOOM_IN, search_definition, zoom_in_definition

KINDS: tuple[Kind, ...] = (
    "read", "colour", "shape", "side", "count", "presence", "relation", "more", "ground", "absent",
)  # fmt: skip
PROMPTS = (SHORT, LETTER, BOX, MICRO, VISIBLE, BOX_FORMAT["thousand"])
CALLS = (
    tools_text(()).split("</tools>")[0],
    "</tools>" + tools_text(()).split("</tools>")[1],
    json.dumps(zoom_in_definition("thousand"), ensure_ascii=False),
    json.dumps(search_definition(), ensure_ascii=False),
    f'{{"name": "{ZOOM_IN}", "arguments": {{"bbox_2d":',
    f'{{"name": "{SEARCH}", "arguments": {{"label":"',
    ',"label":"',
    '","img_idx":',
    " of img_idx ",
)
PHRASES = (
    *PROMPTS,
    SEE,
    CLOSER,
    HOLDS,
    CUES,
    GROUND,
    PARTS,
    TAGS,
    MARKED,
    EVERY,
    EVERY_FORMAT["thousand"],
    SEARCHED,
    FOUND,
    *CALLS,
)
"""Fixed sentences of the prompts and fixed parts of tool calls, one token each."""
CALL = '<tool_call>\n{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [0, 0, 1, 1], "label": "a"}}\n'
_WORDS = (
    "zoom crop image name arguments bbox_2d label img_idx source answer box view text function type object string "
    "number array properties required description parameters picture read search verify Yes No user assistant system "
    "Tools You may call one or more functions to assist with the query signatures within return json"
)


def corpus(level: Level, scenes: int = 400) -> Iterator[str]:
    """Lines for the BPE trainer, the same every time."""
    rng = np.random.default_rng(0)
    yield from PROMPTS
    for word in [*_WORDS.split(), *every_name(level), CANNOT_TELL, "Left", "Right", "Yes", "No"]:
        yield from [word, " " + word] * 40
    styles: tuple[Style, ...] = ("plain", "trained")
    for index in range(scenes):
        scene = draw_scene(level, 0, index)
        for kind in KINDS:
            for style in styles:
                question = ask(kind, scene, level, rng, style)
                if question:
                    yield question.text
                    yield question.answer
    yield from [CALL] * 40
