"""The printed tool definitions are the ones that calls are checked by, in each provider's own form."""

import json
import subprocess
import sys
from typing import Any

import jsonschema
import pytest

from zoomagent.errors import ToolArgsInvalid
from zoomagent.plugins.offers.offers import OFFERS, Format, Offer, offer_of, read_offer, tool_schemas

EXAMPLES: dict[str, Any] = {
    "image": "a.png",
    "question": "What is written there?",
    "options": ["a", "b"],
    "strategy": "search",
    "rule": "micro",
    "target_error": 0.1,
    "gate": 0.9,
    "regions": [[0.1, 0.2, 0.3, 0.4]],
    "box": [0.1, 0.2, 0.3, 0.4],
    "units": "relative",
    "thing": "a red car",
}


def parameters(offer: Offer, format: Format) -> Any:
    schema = next(one for one in tool_schemas(format) if offer.name in (one.get("name"), _function(one).get("name")))
    return _function(schema)["parameters"] if format == "openai" else schema["input_schema"]


def _function(schema: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = schema.get("function", {})
    return function


@pytest.mark.parametrize("format", ["openai", "anthropic", "json"])
@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)
def test_what_a_definition_allows_is_what_is_taken(offer: Offer, format: Format) -> None:
    schema = parameters(offer, format)
    checker = jsonschema.Draft202012Validator(schema)
    full = {name: EXAMPLES[name] for name in schema["properties"]}
    checker.validate(full)
    assert read_offer(offer.name, full).model_dump() == full
    for name in schema["required"]:
        less = {key: value for key, value in full.items() if key != name}
        assert list(checker.iter_errors(less))
    for wrong in ({**full, "path": "/etc"}, {**full, "image": 7}):
        assert list(checker.iter_errors(wrong))
        with pytest.raises(ToolArgsInvalid):
            read_offer(offer.name, wrong)


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)
def test_openai_definitions_are_strict_and_null_is_as_good_as_left_out(offer: Offer) -> None:
    schema = parameters(offer, "openai")
    assert schema["required"] == list(schema["properties"]) and schema["additionalProperties"] is False
    needed = parameters(offer, "json")["required"]
    empty = {name: EXAMPLES[name] if name in needed else None for name in schema["properties"]}
    jsonschema.validate(empty, schema)
    assert read_offer(offer.name, empty) == read_offer(offer.name, {name: EXAMPLES[name] for name in needed})


def test_every_format_lists_every_tool_with_words() -> None:
    names = [offer.name for offer in OFFERS]
    assert [one["function"]["name"] for one in tool_schemas("openai")] == names
    assert [one["name"] for one in tool_schemas("anthropic")] == names
    assert all(
        one["description"] and set(one) == {"name", "description", "input_schema"} for one in tool_schemas("anthropic")
    )
    for one in tool_schemas("json"):
        jsonschema.Draft202012Validator.check_schema(one["output_schema"])


def test_the_command_prints_what_the_function_gives() -> None:
    command = [sys.executable, "-m", "zoomagent.cli", "schema", "--format", "anthropic"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == tool_schemas("anthropic")


def test_a_tool_that_is_not_offered_is_named_with_those_that_are() -> None:
    with pytest.raises(ToolArgsInvalid, match="answer_about_image"):
        offer_of("shell")
