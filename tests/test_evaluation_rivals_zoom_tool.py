"""Rivals in which the model calls a zoom tool: their words, the order of their turns, and where they end."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from fake_model import FAKE_PROFILE, Call, FakeModel, Scripted
from PIL import Image

from zoomagent.evaluation.contestants import RIVALS, Given, of_rival
from zoomagent.evaluation.rivals.asking import Procedure, RivalAnswer
from zoomagent.evaluation.rivals.deepeyes import FORMAT, SYSTEM, TRIES, deepeyes
from zoomagent.evaluation.rivals.qwen_agent import DEFINITION, MOST_CALLS, grown, qwen_agent
from zoomagent.geometry import Box, Size
from zoomagent.graphs.context import Budget
from zoomagent.media import Picture, open_picture
from zoomagent.models.base import Reply, Text, ToolCall
from zoomagent.prompts import macro_prompt
from zoomagent.tools.viewing import ViewStore

OPTIONS = ("red", "blue")
QUESTION = "What colour is the cup?"
CORNER = [0, 0, 100, 200]
"""In thousandths: red; all else of the picture is blue."""


def attempt(procedure: Procedure, replies: Sequence[Scripted], max_images: int = 8) -> tuple[RivalAnswer, list[Call]]:
    pixels = np.full((1000, 1000, 3), (0, 0, 255), np.uint8)
    pixels[:200, :100] = (255, 0, 0)
    model = FakeModel(profile=replace(FAKE_PROFILE, max_images=max_images))
    model.enqueue(replies)
    with open_picture(Image.fromarray(pixels)) as picture:
        views = ViewStore(picture, model.profile)
        return asyncio.run(procedure(model, views, QUESTION, OPTIONS, Budget(calls=500))), model.history


def tagged(box: object, name: str = "image_zoom_in_tool") -> str:
    call = json.dumps({"name": name, "arguments": {"bbox_2d": box, "label": "cup"}})
    return f"<think>closer</think>\n<tool_call>\n{call}\n</tool_call>"


def calling(*arguments: dict[str, object], name: str = "image_zoom_in_tool") -> Reply:
    calls = tuple(ToolCall(str(i), name, json.dumps(one)) for i, one in enumerate(arguments))
    return Reply("", "tool_calls", tool_calls=calls)


def zoom(box: object, index: object = 0) -> dict[str, object]:
    return {"bbox_2d": box, "label": "cup", "img_idx": index}


def words(call: Call) -> list[list[str]]:
    """The texts of each turn, pictures by their middle's colour."""
    return [
        [part.text if isinstance(part, Text) else colour(part.image) for part in message.parts]
        for message in call.messages
    ]


def colour(image: Image.Image) -> str:
    red, _, blue = image.convert("RGB").resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    return "red picture" if red > blue else "blue picture"


def test_deepeyes_asks_in_its_authors_order_and_crops_the_first_picture() -> None:
    answer, calls = attempt(deepeyes, [tagged(CORNER), tagged(CORNER), "<think>so</think><answer> A </answer>"])
    asked = f"Question: {QUESTION}\nOptions: \nA. red\nB. blue\n\n{FORMAT}"
    shown = ["<tool_response>", "red picture", FORMAT, "</tool_response>"]
    first = [[SYSTEM], ["blue picture", asked]]
    turn = [[tagged(CORNER)], shown]
    assert [words(call) for call in calls] == [first, first + turn, first + turn + turn]
    assert [m.role for m in calls[-1].messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert all(not call.options["tools"] for call in calls)
    assert (answer.text, answer.calls, answer.boxes, answer.used_crop) == ("red", 3, 2 * ((0, 0, 100, 200),), True)


def test_deepeyes_takes_a_reply_without_a_call_as_the_answer() -> None:
    answer, calls = attempt(deepeyes, ["<answer>B</answer>"])
    assert (answer.text, answer.used_crop, len(calls)) == ("blue", False, 1)
    assert attempt(deepeyes, ["blue"])[0].text == "blue"


@pytest.mark.parametrize("box", [[1, 2, 3], "all", [0, 0, True, 9], [900, 900, 100, 100], None])
def test_deepeyes_ends_without_an_answer_at_a_call_that_cannot_be_done(box: object) -> None:
    answer, calls = attempt(deepeyes, [tagged(box)])
    assert (answer.text, len(calls)) == ("", 1)


def test_deepeyes_asks_eleven_times_at_most_and_shows_no_more_pictures_than_the_model_takes() -> None:
    assert attempt(deepeyes, [tagged(CORNER)] * TRIES, max_images=50)[0].calls == TRIES == 11
    answer, calls = attempt(deepeyes, [tagged(CORNER)] * 3, max_images=3)
    assert answer.text == "" and len(calls[-1].views) == 3


def test_qwen_agent_offers_its_tool_and_says_nothing_beside_the_crop() -> None:
    answer, calls = attempt(qwen_agent, [calling(zoom(CORNER)), calling(zoom([0, 0, 500, 500], 1)), "red"])
    first = [["blue picture", macro_prompt(QUESTION, OPTIONS)]]
    assert [words(call) for call in calls] == [
        first,
        [*first, [], ["red picture"]],
        [*first, *2 * [[], ["red picture"]]],
    ]
    assert [m.role for m in calls[-1].messages] == ["user", "assistant", "tool", "assistant", "tool"]
    assert all(call.options["tools"] == [DEFINITION] for call in calls)
    # The second box is of the crop that img_idx names.
    assert answer.text == "red" and answer.boxes == ((0, 0, 100, 200), (0, 0, 50, 100)) and answer.used_crop


@pytest.mark.parametrize(
    ("arguments", "name", "said"),
    [
        (zoom(CORNER, 1), "image_zoom_in_tool", "There is no such picture. Give one of [0]"),
        (zoom(CORNER, "0"), "image_zoom_in_tool", "There is no such picture. Give one of [0]"),
        (zoom([1, 2]), "image_zoom_in_tool", "Give bbox_2d as exactly four numbers"),
        (zoom(CORNER), "web_search", "There is no tool web_search."),
    ],
)
def test_qwen_agent_tells_the_model_what_was_wrong_with_a_call(
    arguments: dict[str, object], name: str, said: str
) -> None:
    answer, calls = attempt(qwen_agent, [calling(arguments, name=name), "blue"])
    [text] = words(calls[-1])[-1]
    assert text.startswith(said) and (answer.text, answer.boxes, answer.used_crop) == ("blue", (), False)


def test_qwen_agent_runs_every_call_of_a_reply_and_asks_twenty_times_at_most() -> None:
    _, calls = attempt(qwen_agent, [calling(zoom(CORNER), zoom(CORNER)), "red"])
    assert words(calls[-1])[-2:] == [["red picture"], ["red picture"]]
    wrong = calling(zoom(CORNER, 9))
    assert attempt(qwen_agent, [wrong] * MOST_CALLS)[0].calls == MOST_CALLS == 20
    assert attempt(qwen_agent, [calling(*[zoom(CORNER)] * 3)], max_images=3)[0].text == ""


@pytest.mark.parametrize(
    ("box", "wider"),
    [
        (Box(100, 100, 140, 132), Box(100, 100, 140, 132)),
        (Box(100, 100, 110, 120), Box(100, 100, 110, 120)),
        (Box(100, 100, 111, 121), Box(89, 79, 122, 142)),
        (Box(500, 500, 507, 560), Box(487, 392, 520, 668)),
        (Box(0, 0, 9, 100), Box(0, 0, 9, 100)),
    ],
)
def test_small_boxes_grow_as_in_the_package(box: Box, wider: Box) -> None:
    """What maybe_resize_bbox of qwen-agent 0.0.34 gives for the same boxes."""
    assert grown(box, Size(1000, 1000)) == wider


async def asked(model: FakeModel, name: str, picture: Picture) -> Given:
    return await of_rival(RIVALS[name], model)(picture, QUESTION, OPTIONS)


@pytest.mark.parametrize("name", ["deepeyes", "qwen-agent"])
def test_a_run_without_an_answer_has_failed(name: str) -> None:
    model = FakeModel()
    replies: list[Scripted] = [tagged("none")] if name == "deepeyes" else [calling(zoom(CORNER, 9))] * MOST_CALLS
    model.enqueue(replies)
    with open_picture(Image.new("RGB", (200, 200))) as picture:
        given = asyncio.run(asked(model, name, picture))
    assert given.outcome == "failed: no_answer" and given.calls == len(model.history)
