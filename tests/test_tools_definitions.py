"""What is offered is what is checked: each definition says exactly what its arguments take."""

import json
from typing import get_args

import pytest
from fake_model import FAKE_PROFILE

from zoomagent.errors import SettingInvalid, ToolArgsInvalid
from zoomagent.geometry import Space
from zoomagent.models.base import ToolCall
from zoomagent.tools import definitions as words
from zoomagent.tools.arguments import Call, read_arguments

NAMES = (
    words.ZOOM_IN,
    words.ZOOM_OUT,
    words.SEARCH,
    words.READ,
    words.VERIFY,
    words.TAG,
    words.GROUND,
    words.VIDEO_ZOOM,
)
EXAMPLES = {"bbox_2d": [1, 2, 3, 4.5], "label": "sign", "img_idx": 0, "labels": ["car", "sign"], "segment": [1, 2.5]}


@pytest.mark.parametrize("name", NAMES)
def test_a_definition_is_a_strict_function_of_openai(name: str) -> None:
    [definition] = words.definitions([name], "thousand")
    function = definition["function"]
    parameters = function["parameters"]
    assert (definition["type"], function["name"]) == ("function", name) and function["description"]
    assert parameters["additionalProperties"] is False and parameters["required"] == list(parameters["properties"])
    assert all(json.loads(json.dumps(definition))[key] == definition[key] for key in definition)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_definition_asks_for_is_what_is_taken(name: str) -> None:
    [definition] = words.definitions([name], "thousand")
    properties = definition["function"]["parameters"]["properties"]
    given = {key: EXAMPLES[key] for key in properties}
    arguments = read_arguments(ToolCall("", name, json.dumps(given)), [name], 1)
    assert arguments.model_dump() == given
    for key in given:
        less = {other: value for other, value in given.items() if other != key}
        with pytest.raises(ToolArgsInvalid, match=key):
            read_arguments(ToolCall("", name, json.dumps(less)), [name], 1)


def test_every_kind_of_arguments_is_of_a_tool() -> None:
    kinds = {type(read_arguments(_example(name), NAMES, 1)) for name in NAMES}
    assert kinds == set(get_args(Call)) and len(kinds) == len(NAMES)


def _example(name: str) -> ToolCall:
    [definition] = words.definitions([name], "thousand")
    properties = definition["function"]["parameters"]["properties"]
    return ToolCall("", name, json.dumps({key: EXAMPLES[key] for key in properties}))


@pytest.mark.parametrize("space", get_args(Space))
def test_boxes_are_asked_for_in_the_models_own_space(space: Space) -> None:
    [zoom] = words.definitions([words.ZOOM_IN], space)
    assert words.UNITS[space] in zoom["function"]["parameters"]["properties"]["bbox_2d"]["description"]


def test_tools_come_in_the_order_asked_for_and_unknown_ones_are_refused() -> None:
    offered = words.definitions(FAKE_PROFILE.tools, "thousand")
    assert [one["function"]["name"] for one in offered] == list(FAKE_PROFILE.tools)
    assert words.definitions([], "thousand") == []
    with pytest.raises(SettingInvalid, match="image_zoom_in_tool"):
        words.definitions(["image_hack_tool"], "thousand")
