"""The tool definitions as providers want them, written from the same argument models that check the calls.

    zoomagent schema --format openai        # functions in strict mode
    tool_schemas("anthropic")

`openai`: for `tools=` of chat completions; `anthropic`: for `tools=` of messages; `json`: name, description, input and
output schema, as the Model Context Protocol lists them. Left out: running a call (`offering.py`).
"""

from typing import Any, Literal

from zoomagent.plugins.offers.offers import OFFERS, Offer

Format = Literal["openai", "anthropic", "json"]


def tool_schemas(format: Format) -> list[dict[str, Any]]:
    """Every tool that zoomagent offers, as plain JSON."""
    return [_schema(offer, format) for offer in OFFERS]


def _schema(offer: Offer, format: Format) -> dict[str, Any]:
    if format == "openai":
        import openai

        return dict(openai.pydantic_function_tool(offer.arguments, name=offer.name, description=offer.text))
    plain = {"name": offer.name, "description": offer.text, "input_schema": input_schema(offer)}
    if format == "anthropic":
        return plain
    return {**plain, "output_schema": offer.result.model_json_schema(mode="serialization")}


def input_schema(offer: Offer) -> dict[str, Any]:
    """The JSON schema of the tool's arguments; only those without a default are required."""
    return offer.arguments.model_json_schema()
