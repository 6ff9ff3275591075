"""The tools of `offers.py` as LangChain tools, for agents made with LangChain or LangGraph (extra langchain).

    with ZoomAgent() as agent:
        tool = ZoomTool(agent=agent, opener=named_opener({"map": "map.jpg"}))
        message = tool.invoke({"type": "tool_call", "id": "1", "name": tool.name,
                               "args": {"image": "map", "question": "What is written there?"}})
        message.content     # text block, then one image block (JPEG, base64) for every region the answer rests on
        message.artifact    # PublicAnswer as a dict

`all_tools` gives the single tools too. `invoke` and `ainvoke` work, in a running loop or not. The steps of a run are
dispatched as custom events named STEP (`astream_events`, callbacks). What a model called wrongly is told to it as an
error message. Left out: the graph as a node of another graph, which needs nothing of this (docs/langchain.md).
"""

import base64
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing, contextmanager
from typing import Any, Literal

from langchain_core.callbacks import (
    AsyncCallbackManagerForToolRun,
    CallbackManagerForToolRun,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.tools import ArgsSchema, BaseTool, ToolException
from pydantic import SkipValidation, ValidationError

from zoomagent.agent import ZoomAgent
from zoomagent.background import Background
from zoomagent.errors import RunError, ToolError
from zoomagent.plugins.offers.inputs import Allowed, picture_opener
from zoomagent.plugins.offers.offering import Opener, Told, answering, looking
from zoomagent.plugins.offers.offers import OFFERS, AnswerAboutImage, Offer, read_offer, unfit
from zoomagent.run_record import Step

STEP = "zoomagent_step"
LOOP = Background()
"""Where sync calls of all tools run: one thread, from the first of them on."""
ANSWER, *SINGLE = OFFERS

Content = tuple[list[dict[str, Any]], dict[str, Any]]
"""Content blocks, and the artifact."""


class OfferedTool(BaseTool):
    """One of the tools. `opener` decides which pictures a model may name: data: URLs only, unless told."""

    agent: SkipValidation[ZoomAgent]
    opener: SkipValidation[Opener] = picture_opener(Allowed())
    offer: Offer
    name: str = ""
    description: str = ""
    args_schema: ArgsSchema | None = None
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_tool_error: bool | str | Callable[..., Any] | None = True

    def __init__(self, **given: Any) -> None:
        offer: Offer = given.setdefault("offer", ANSWER)
        named = {"name": offer.name, "description": offer.text, "args_schema": offer.arguments}

        def explain(error: Any) -> str:
            assert isinstance(error, ValidationError), "our argument models are pydantic's own"
            return unfit(offer.name, error).public

        told = {"handle_validation_error": explain}
        super().__init__(**{**named, **told, **given})

    def _run(self, *, run_manager: CallbackManagerForToolRun | None = None, **arguments: Any) -> Content:
        with told_to_the_model():
            asked = read_offer(self.offer.name, arguments)
            if not isinstance(asked, AnswerAboutImage):
                return blocks(LOOP.run(looking(self.agent, self.opener, asked)))
            with closing(LOOP.iterate(answering(self.agent, self.opener, asked))) as items:
                for item in items:
                    if isinstance(item, Told):
                        return blocks(item)
                    if run_manager is not None:
                        dispatch_custom_event(STEP, _plain(item), config={"callbacks": run_manager.get_child()})
        raise AssertionError("a run ends with what the client is told")

    async def _arun(self, *, run_manager: AsyncCallbackManagerForToolRun | None = None, **arguments: Any) -> Content:
        with told_to_the_model():
            asked = read_offer(self.offer.name, arguments)
            if not isinstance(asked, AnswerAboutImage):
                return blocks(await looking(self.agent, self.opener, asked))
            async with aclosing(answering(self.agent, self.opener, asked)) as items:
                async for item in items:
                    if isinstance(item, Told):
                        return blocks(item)
                    if run_manager is not None:
                        await adispatch_custom_event(STEP, _plain(item), config={"callbacks": run_manager.get_child()})
        raise AssertionError("a run ends with what the client is told")


class ZoomTool(OfferedTool):
    """Answers a question about a picture, looking closer where that is needed."""

    offer: Offer = ANSWER


def all_tools(agent: ZoomAgent, opener: Opener | None = None) -> list[BaseTool]:
    """ZoomTool, then crop, zoom, read_text, verify and ground."""
    given: dict[str, Any] = {"agent": agent} if opener is None else {"agent": agent, "opener": opener}
    return [ZoomTool(**given), *(OfferedTool(offer=offer, **given) for offer in SINGLE)]


@contextmanager
def told_to_the_model() -> Iterator[None]:
    """Our errors, as LangChain tells them to a model."""
    try:
        yield
    except (ToolError, RunError) as error:
        raise ToolException(error.public) from error


def blocks(told: Told) -> Content:
    """What a tool gave, as LangChain's content blocks, and its value as plain JSON. A run without an answer is an error
    of the tool."""
    if told.failed:
        raise ToolException(told.text)
    content: list[dict[str, Any]] = [{"type": "text", "text": told.text}]
    for picture in told.pictures:
        data = base64.b64encode(picture).decode()
        content.append({"type": "image", "base64": data, "mime_type": "image/jpeg"})
    return content, told.value.model_dump(mode="json")


def _plain(step: Step) -> dict[str, Any]:
    return step.model_dump(mode="json")
