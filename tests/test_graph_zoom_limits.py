"""Limits and faults of the agent's graph: whatever ends first, the run answers, pays what it says, and stops."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fake_model import Call, FakeModel, Scripted, reply_of
from truthful_model import Truth
from zoom_world import (
    FAR_LEFT_OF_NEAR,
    NEAR_LEFT_OF_ALSO,
    PROFILE,
    READ_BIG,
    READ_FAR,
    READ_NEAR,
    SCENE,
    Ran,
    even,
    run,
    scene,
    scripted,
    truthful,
)

from zoomagent import prompts
from zoomagent.data.world.questions import Question
from zoomagent.errors import BadServerResponse, ContextTooLong, ModelUnavailable
from zoomagent.graphs.context import Budget
from zoomagent.models.base import Reply, ToolCall
from zoomagent.tools.definitions import GROUND, SEARCH, VERIFY, ZOOM_IN
from zoomagent.tools.progress import PER_RUN, PER_TURN
from zoomagent.tools.viewing import ViewStore

POLICIES = ("locate", "search", "tools", "auto")
HARD = [FAR_LEFT_OF_NEAR, READ_FAR, NEAR_LEFT_OF_ALSO]


def shown_tokens(ran: Ran) -> int:
    """Visual tokens that the model really received."""
    sizes = [view.image.size for call in ran.model.history for view in call.views]
    return sum(width // 16 * (height // 16) for width, height in sizes)


def judge(ran: Ran, unlimited: Ran) -> None:
    """It answered; where it did less than without a limit, it says why; its bill is what the model was asked."""
    assert ran.kind in ("answered", "answered_degraded") and ran.text
    assert len(ran.state["calls"]) == len(ran.model.history)
    assert sum(call["visual_tokens"] for call in ran.state["calls"]) == shown_tokens(ran)
    words = " ".join([*ran.state["outcome"]["reasons"], *(step["text"] for step in ran.state["steps"])])
    if len(ran.model.history) < len(unlimited.model.history):
        assert "budget" in words
    if ran.kind == "answered":
        assert ran.text == unlimited.text


@pytest.mark.parametrize("strategy", POLICIES)
@pytest.mark.parametrize("question", HARD, ids=lambda q: q.text)
def test_every_number_of_calls_answers_within_it(question: Question, strategy: str) -> None:
    free = truthful(question, strategy=strategy)
    for calls in range(1, 21):
        ran = truthful(question, strategy=strategy, budget=Budget(calls=calls))
        assert len(ran.model.history) <= calls
        judge(ran, free)


@pytest.mark.parametrize("strategy", POLICIES)
def test_every_number_of_visual_tokens_answers_within_it(strategy: str) -> None:
    free = truthful(FAR_LEFT_OF_NEAR, strategy=strategy)
    for tokens in range(64, shown_tokens(free), 89):
        ran = truthful(FAR_LEFT_OF_NEAR, strategy=strategy, budget=Budget(visual_tokens=tokens))
        assert shown_tokens(ran) <= tokens
        judge(ran, free)


class Late(FakeModel):
    """Answers `good` calls at once and every later one too late."""

    good = 0

    async def generate(self, messages: Any, **options: Any) -> list[Reply]:
        await asyncio.sleep(60 if len(self.history) >= self.good else 0)
        return await super().generate(messages, **options)

    async def score(self, messages: Any, continuations: Any, **options: Any) -> Any:
        await asyncio.sleep(60 if len(self.history) >= self.good else 0)
        return await super().score(messages, continuations, **options)


def late(good: int, question: Question) -> Ran:
    views = ViewStore(scene(), PROFILE)
    truth = Truth(SCENE, question, views)
    model = Late(profile=PROFILE, respond=truth.reply, respond_score=truth.scores)
    model.good = good
    return run(model, question, views=views, budget=Budget(seconds=0.4))


@pytest.mark.parametrize("good", range(1, 11))
def test_whenever_time_ends_the_run_answers(good: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoomagent.graphs.asking.GRACE", 0.01)
    ran = late(good, READ_FAR)
    judge(ran, truthful(READ_FAR))
    assert len(ran.state["calls"]) == good


def test_time_that_ends_at_once_has_no_answer_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoomagent.graphs.asking.GRACE", 0.01)
    ran = late(0, READ_FAR)
    assert (ran.kind, ran.state["outcome"]["code"]) == ("failed", "budget_seconds")


@pytest.mark.parametrize("strategy", POLICIES)
def test_no_depth_is_the_whole_alone(strategy: str) -> None:
    ran = truthful(READ_FAR, strategy=strategy, budget=Budget(depth=0))
    assert ran.kind == "answered_degraded" and len(ran.model.history) == 1


# Faults of the server


class Failing(FakeModel):
    """Fails at call number `at` (from 0), and ever after unless `once`."""

    at = 0
    once = False
    error: Exception = ModelUnavailable("gone")

    def fails(self) -> bool:
        return len(self.history) == self.at if self.once else len(self.history) >= self.at

    async def generate(self, messages: Any, **options: Any) -> list[Reply]:
        if self.fails():
            self.history.append(Call("generate", tuple(messages)))
            raise self.error
        return await super().generate(messages, **options)

    async def score(self, messages: Any, continuations: Any, **options: Any) -> Any:
        if self.fails():
            self.history.append(Call("score", tuple(messages)))
            raise self.error
        return await super().score(messages, continuations, **options)


@pytest.mark.parametrize("error", [ModelUnavailable("gone"), BadServerResponse("what?"), ContextTooLong("long")])
@pytest.mark.parametrize("strategy", POLICIES)
@pytest.mark.parametrize("once", [True, False])
def test_a_server_that_fails_at_any_call_ends_in_one_outcome(strategy: str, once: bool, error: Exception) -> None:
    for at in range(14):
        views = ViewStore(scene(), PROFILE)
        truth = Truth(SCENE, FAR_LEFT_OF_NEAR, views)
        model = Failing(profile=PROFILE, respond=truth.reply, respond_score=truth.scores)
        model.at, model.once, model.error = at, once, error
        ran = run(model, FAR_LEFT_OF_NEAR, views=views, strategy=strategy)
        if at == 0 and not (once and isinstance(error, ContextTooLong)):
            assert (ran.kind, ran.state["outcome"]["code"]) == ("failed", getattr(error, "code", ""))
        else:
            assert ran.kind in ("answered", "answered_degraded") and ran.text


def test_a_bug_stays_an_exception() -> None:
    with pytest.raises(ZeroDivisionError):
        scripted(lambda call: ZeroDivisionError())


# Tools that a model calls


def calling(*calls: tuple[str, str]) -> Reply:
    made = tuple(ToolCall(f"c{i}", name, arguments) for i, (name, arguments) in enumerate(calls))
    return replace(reply_of(""), finish="tool_calls", tool_calls=made)


def driven(turns: Callable[[int], Scripted], **settings: Any) -> Ran:
    """The policy `tools` with a model whose n-th turn with tools at hand is `turns(n)`; it says Exit otherwise."""

    def respond(call: Call) -> Scripted:
        if not call.options["tools"]:
            return "[100, 100, 200, 200]" if prompts.GROUND in call.text else "Exit"
        return turns(sum(message.role == "assistant" for message in call.messages))

    return scripted(respond, even, strategy="tools", **settings)


def zoom_in(*box: float, index: int = 0) -> tuple[str, str]:
    return ZOOM_IN, f'{{"bbox_2d": {list(box)}, "label": "it", "img_idx": {index}}}'


def told(ran: Ran) -> list[str]:
    return [turn["text"] for turn in ran.state["messages"] if turn["role"] == "tool"]


LOOPS: dict[str, Callable[[int], tuple[str, str]]] = {
    "the same box": lambda n: zoom_in(100, 100, 300, 300),
    "a box that drifts": lambda n: zoom_in(100 + n, 100, 300 + n, 300),
    "to and fro": lambda n: zoom_in(100, 100, 300, 300) if n % 2 else zoom_in(600, 600, 800, 800),
    "a box inside the last": lambda n: zoom_in(10, 10, 900, 900, index=n),
    "no such tool": lambda n: ("open_url", '{"url": "http://example.org"}'),
    "always another label": lambda n: (VERIFY, f'{{"label": "thing {n}", "img_idx": 0}}'),
    "always another search": lambda n: (SEARCH, f'{{"label": "thing {n}", "img_idx": 0}}'),
}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_model_that_loops_is_stopped_with_an_answer(loop: str) -> None:
    ran = driven(lambda n: calling(LOOPS[loop](n)))
    assert ran.text == "Exit" and ran.kind == "answered_degraded"
    turns = [call for call in ran.model.history if call.options.get("tools")]
    assert len(turns) <= 12 and len(ran.state.get("tool_looks", [])) <= PER_RUN


def test_refusals_are_told_and_the_run_goes_on() -> None:
    script: list[Scripted] = [
        calling((ZOOM_IN, '{"bbox_2d": [1, 2, 3], "label": "x", "img_idx": 0}')),
        calling((ZOOM_IN, '{"bbox_2d": [100, 100, 200, 200], "label": "x", "img_idx": -1}')),
        calling(("read_file", '{"path": "/etc/passwd"}')),
        calling((ZOOM_IN, '{"bbox_2d": [100, 100, 200, 200], "label": "x", "img_idx": 0, "url": "http://x"}')),
        calling(zoom_in(100, 100, 200, 200)),
        "Exit 12",
    ]
    ran = driven(lambda n: script[n])
    assert ran.state["micro"]["text"] == "Exit 12" and ran.kind == "answered"
    box, index, tool, url, good = told(ran)
    assert "four" in box and "img_idx must be" in index and "There is no tool 'read_file'" in tool
    assert "no argument 'url'" in url
    assert "img_idx 1 shows" in good
    assert len({view for turn in ran.state["messages"] for view in turn["views"]}) == 2


@pytest.mark.parametrize("call", [zoom_in, lambda *box: (GROUND, f'{{"label": "thing {box}", "img_idx": 0}}')])
def test_of_a_hundred_calls_in_one_turn_four_are_run(call: Callable[..., tuple[str, str]]) -> None:
    many = calling(
        *(call(10 * (i % 9) * 10, 10 * (i // 9) * 8, 100 * (i % 9) + 90, 80 * (i // 9) + 70) for i in range(100))
    )
    ran = driven(lambda n: many if n == 0 else "Exit 12")
    texts = told(ran)
    assert len(texts) == 100 and ran.state["micro"]["text"] == "Exit 12"
    assert len(ran.state["tool_looks"]) == PER_TURN
    assert sum(text.startswith("Not run: at most") for text in texts) == 100 - PER_TURN


def test_calls_that_fail_after_asking_the_model_count_as_calls() -> None:
    """Else a model that points badly could be asked a hundred times in one turn."""
    many = calling(*((GROUND, f'{{"label": "thing {i}", "img_idx": 0}}') for i in range(100)))

    def respond(call: Call) -> Scripted:
        if not call.options["tools"]:
            return "no box at all" if prompts.GROUND in call.text else "Exit"
        return "Exit 12" if len(call.messages) > 1 else many

    ran = scripted(respond, even, strategy="tools", budget=Budget(calls=500))
    assert len(ran.asked(prompts.GROUND)) == PER_TURN
    assert len(told(ran)) == 100 and ran.state["micro"]["text"] == "Exit 12"


@pytest.mark.parametrize("bad", ["\ud800", "x" * 10**6, "{" * 100_000, '{"lc": 1, "type": "secret"}'])
def test_hostile_arguments_are_told_and_stay_storable(bad: str) -> None:
    ran = driven(lambda n: "Exit 12" if n else calling((ZOOM_IN, bad), (f"tool{bad}", "{}")))
    assert ran.state["micro"]["text"] == "Exit 12"
    assert len(json.dumps(ran.state, ensure_ascii=False).encode()) < 500_000


def test_ten_thousand_calls_in_one_turn_are_stored_as_a_few() -> None:
    ran = driven(lambda n: "Exit 12" if n else calling(*[zoom_in(1, 1, 50, 50)] * 10_000))
    assert ran.state["micro"]["text"] == "Exit 12" and len(str(ran.state)) < 500_000


def test_a_search_of_many_things_takes_as_many_steps_as_it_needs() -> None:
    """LangGraph's own limit of steps must not end a run."""
    names = "green star, white cross, black star, orange cross"
    ran = scripted(
        lambda call: names if prompts.CUES in call.text else "Exit",
        lambda call: [-1.0, *[-2.5] * 9] if prompts.PARTS in call.text else even(call),
        strategy="search",
        budget=Budget(calls=500),
    )
    assert ran.nodes.count("search") > 25 and ran.kind == "answered"


def test_a_big_thing_needs_no_further_look_inside() -> None:
    assert truthful(READ_BIG, strategy="locate").nodes.count("ground") == 1
    assert truthful(READ_NEAR, strategy="locate").state["verdict"]["perspective"] == "micro"
