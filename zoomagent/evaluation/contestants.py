"""Who takes part in the haystack: the agent's own strategies, rival procedures, and the ceiling, asked alike.

A contestant answers one question about one open picture. The agent's strategies go through ZoomAgent with its own
budget; rivals spend what their procedure asks for. `oracle` is no contestant: it is computed from results.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from zoomagent.agent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.batch.asking import AWAY
from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.questions import LEGIBLE
from zoomagent.data.world.scene import TEXT_HEIGHT, Level
from zoomagent.errors import RunError, ToolError
from zoomagent.evaluation.results import Key, Result
from zoomagent.evaluation.rivals.asking import Procedure
from zoomagent.evaluation.rivals.deepeyes import deepeyes
from zoomagent.evaluation.rivals.frames import GRID
from zoomagent.evaluation.rivals.p2r import p2r
from zoomagent.evaluation.rivals.qwen_agent import qwen_agent
from zoomagent.evaluation.rivals.tiling import depth_for, tiling_to
from zoomagent.evaluation.rivals.vicrop import vicrop
from zoomagent.evaluation.rivals.zoomeye import zoomeye
from zoomagent.geometry import Box, Size
from zoomagent.graphs.context import Bench, Budget
from zoomagent.media import Picture, Video
from zoomagent.media.video.sheet import Sheet
from zoomagent.models.base import Model
from zoomagent.models.loading import identify
from zoomagent.models.metering import metered
from zoomagent.strategy import Strategy
from zoomagent.tools.grounding import ground
from zoomagent.tools.viewing import ViewStore

AGENT: tuple[str, ...] = get_args(Strategy)
RIVALS: dict[str, Procedure] = {
    "zoomeye": zoomeye,
    "p2r": p2r,
    "vicrop": vicrop,
    "deepeyes": deepeyes,
    "qwen-agent": qwen_agent,
}
ORACLE = "oracle"
NAMES = (*AGENT, "tiling", ORACLE, *RIVALS)
RIVAL_BUDGET = Budget(calls=5000, seconds=None)
"""Rivals stop by themselves."""


@dataclass(frozen=True)
class Given:
    """What a contestant answered, and its bill."""

    text: str
    outcome: str
    zoomed: bool
    confidence: float | None
    calls: int
    visual_tokens: int
    mattered: bool | None = None
    calibrated: bool = False
    reply: str = ""
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def code(self) -> str:
        """Why there is no answer; "" where there is one."""
        return self.outcome.partition(": ")[2]

    @property
    def answered(self) -> bool:
        return self.outcome.startswith("answered")

    @property
    def abstained(self) -> bool:
        return self.answered and self.text == CANNOT_TELL

    def result(
        self, key: Key, question: str, options: Sequence[str], wanted: str, right: bool, seconds: float
    ) -> Result:
        """The result of a question of any set; what one set has besides is its own to add."""
        return Result(
            key=key,
            question=question,
            options=tuple(options),
            wanted=wanted,
            given=self.text,
            right=right,
            abstained=self.abstained,
            outcome=self.outcome,
            zoomed=self.zoomed,
            confidence=self.confidence,
            calls=self.calls,
            visual_tokens=self.visual_tokens,
            seconds=seconds,
            mattered=self.mattered,
            calibrated=self.calibrated,
        )


Media = Picture | Video
Contestant = Callable[[Media, str, Sequence[str]], Awaitable[Given]]


def of_agent(agent: ZoomAgent) -> Contestant:
    """A strategy of the agent's."""

    async def contestant(picture: Media, question: str, options: Sequence[str]) -> Given:
        return result_of(await agent.aask(picture, question, options))

    return contestant


def of_seeking(agent: ZoomAgent) -> Contestant:
    """The agent asked when something happens in a clip; its first moment is its answer."""

    async def contestant(clip: Media, question: str, options: Sequence[str]) -> Given:
        answer = await agent.aask(clip, question, options)
        given = result_of(answer)
        found = [[one.start, one.end] for one in answer.moments[:1] if answer.answered]
        # Boxes would be those of another sheet for each answer.
        return replace(given, text=str(found[0]) if found else given.text, boxes=())

    return contestant


def of_pointing(agent: ZoomAgent) -> Contestant:
    """The agent's model pointing at a phrase in the whole picture, in one call. A reply without a box is none."""

    async def contestant(picture: Media, phrase: str, options: Sequence[str]) -> Given:
        async def pointed(bench: Bench) -> tuple[list[Box], int]:
            whole = bench.views.whole()
            tokens = bench.model.profile.visual_tokens(Size(*whole["size"]))
            try:
                return await ground(bench.model, bench.views, whole["id"], phrase), tokens
            except ToolError:
                return [], tokens

        try:
            boxes, tokens = await agent.awork(picture, pointed)
        except RunError as error:
            return Given("", f"failed: {error.code}", False, None, 0, 0)
        corners = tuple(box.corners for box in boxes[:1])
        text = str(list(corners[0])) if corners else ""
        return Given(text, "answered" if text else "failed: no_answer", False, None, 1, tokens, boxes=corners)

    return contestant


def result_of(answer: Answer) -> Given:
    """The agent's answer as the bench counts it."""
    zoomed = answer.answered and answer.perspective == "micro"
    proven = [item.mattered for item in answer.evidence if item.mattered is not None]
    candidate = answer.micro if answer.perspective == "micro" else answer.macro
    return Given(
        answer.text,
        outcome_of(answer),
        zoomed,
        answer.confidence,
        answer.cost.model_calls,
        answer.cost.visual_tokens,
        any(proven) if proven else None,
        answer.confidence_from == "calibrated",
        candidate.reply if candidate else answer.text,
        answer.boxes,
        answer.cost.prompt_tokens,
        answer.cost.completion_tokens,
    )


def outcome_of(answer: Answer) -> str:
    """How a run ended, with the reason where there is no answer. One that could not look closer because its server went
    away has none: asked again it may say something else."""
    away = next((code for code in answer.outcome.codes if code.startswith(AWAY)), "")
    if away and answer.outcome.kind == "answered_degraded":
        return f"failed: {away}"
    return answer.outcome.kind if answer.answered else f"{answer.outcome.kind}: {answer.outcome.code}"


def of_rival(procedure: Procedure, model: Model, budget: Budget = RIVAL_BUDGET) -> Contestant:
    """A rival procedure. One that ends without an answer, or cannot go on, counts as failed."""

    async def contestant(picture: Media, question: str, options: Sequence[str]) -> Given:
        shown = Sheet(picture, picture.moment, GRID) if isinstance(picture, Video) else picture
        try:
            await identify(model)
            views = ViewStore(shown, model.profile)
            with metered(None) as meter:
                tried = await procedure(model, views, question, options, budget)
        except RunError as error:
            return Given("", f"failed: {error.code}", False, None, 0, 0)
        return Given(
            tried.text,
            "answered" if tried.text else "failed: no_answer",
            tried.used_crop,
            tried.confidence,
            tried.calls,
            tried.visual_tokens,
            reply=tried.text,
            boxes=tried.boxes,
            prompt_tokens=meter.usage.prompt_tokens,
            completion_tokens=meter.usage.completion_tokens,
        )

    return contestant


def procedure_of(name: str, level: Level, macro_side: int) -> Procedure:
    """The procedure of this name. Tiling goes down to where the level's smallest letters are legible."""
    if name != "tiling":
        return RIVALS[name]
    letters = level.sizes[0] * min(TEXT_HEIGHT[length] for length in level.text_lengths)
    return tiling_to(depth_for(letters, macro_side, LEGIBLE))


def make_agent(
    model: Model, strategy: Any, arbiter: str | Path | None = None, budget: Budget | None = None
) -> ZoomAgent:
    """The agent with this strategy, an arbiter other than the model's own if one is named, and its own defaults."""
    return ZoomAgent(model, strategy=strategy, arbiter=arbiter, budget=budget)
