"""zoomagent's tools for an agent of the OpenAI Agents SDK: `pip install openai-agents; python examples/agents_sdk.py`.

The agent's model is scripted here, so that it runs without a key; leave `model=` out to use OpenAI's.
"""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

from agents import Agent, FunctionTool, RunConfig, Runner, ToolOutputImage, ToolOutputText
from agents.testing import ScriptedModel, assistant_message, function_call
from agents.tool_context import ToolContext

import zoomagent
from zoomagent import (
    AnswerAboutImage,
    Opener,
    RunError,
    Told,
    ToolError,
    answer_told,
    looking,
    named_opener,
    read_offer,
    tool_schemas,
)

SCENE = Path(zoomagent.__file__).parent / "data" / "example" / "scene.jpg"


def tools(agent: zoomagent.ZoomAgent, opener: Opener) -> list[Any]:
    """Every tool of `zoomagent schema`, as the SDK wants them."""

    def made(schema: dict[str, Any]) -> FunctionTool:
        name = schema["name"]

        async def invoke(context: ToolContext[Any], arguments: str) -> Any:
            try:
                asked = read_offer(name, json.loads(arguments))
                if isinstance(asked, AnswerAboutImage):
                    return shown(await answer_told(agent, opener, asked))
                return shown(await looking(agent, opener, asked))
            except (ToolError, RunError) as error:
                return error.public

        return FunctionTool(name, schema["description"], schema["parameters"], invoke)

    return [made(schema["function"]) for schema in tool_schemas("openai")]


def shown(told: Told) -> list[ToolOutputText | ToolOutputImage]:
    urls = [f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}" for picture in told.pictures]
    return [ToolOutputText(text=told.text), *(ToolOutputImage(image_url=url) for url in urls)]


async def main() -> None:
    asked = {"image": "scene", "question": "What is written on the yellow circle?", "strategy": "search"}
    script = [
        [function_call("answer_about_image", asked, call_id="1")],
        [assistant_message("The number is in what the tool said.")],
    ]
    with zoomagent.ZoomAgent() as looker:
        offered = tools(looker, named_opener({"scene": SCENE}))
        inspector = Agent(
            name="inspector", instructions="Look before you say.", tools=offered, model=ScriptedModel(script)
        )
        done = await Runner.run(inspector, "Which number?", run_config=RunConfig(tracing_disabled=True))
    for item in done.new_items:
        if item.type == "tool_call_output_item":
            print("tool", [part.type for part in item.output], item.output[0].text)
    print("agent", done.final_output)


if __name__ == "__main__":
    asyncio.run(main())
