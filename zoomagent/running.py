"""Running the graph once: fresh, or on from where a killed run stopped.

A resumed run is invoked with no input, and is done only when its state holds an outcome: after a crash
LangGraph may say that nothing is next although the run is unfinished. It must ask the same as before; else it
is refused with what differs. A run killed before its question was in the state (its first checkpoint holds empty
lists only) has done nothing and starts anew.
"""

from collections.abc import AsyncIterator
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from zoomagent.answer import Step, steps_from
from zoomagent.errors import StoreError
from zoomagent.graphs import macro_micro, zoom
from zoomagent.graphs.context import Context
from zoomagent.graphs.state import Question, State


async def run(
    start: Question, context: Context, saver: BaseCheckpointSaver[Any] | None = None, thread: str = ""
) -> AsyncIterator[Step | State]:
    """The steps as they happen, then the final state. A finished run gives its state at once."""
    machine = zoom if context.strategy in zoom.STRATEGIES else macro_micro
    if saver is None:
        async for item in _stream(machine.graph, start, context, {}):
            yield item
        return
    kept = machine.builder.compile(checkpointer=saver, name=machine.graph.name)
    config = RunnableConfig(configurable={"thread_id": thread})
    stored = cast(State, (await kept.aget_state(config)).values)
    before = stored if "question" in stored else State()
    _check_same(before, start)
    if "outcome" in before:
        yield before
        return
    following = None if before else start
    async for item in _stream(kept, following, context, {"config": config, "durability": "sync"}):
        yield item


async def _stream(
    runner: Any, start: Question | None, context: Context, options: dict[str, Any]
) -> AsyncIterator[Step | State]:
    state: State | None = None
    modes = ["updates", "values"]
    async for mode, chunk in runner.astream(start, context=context, stream_mode=modes, **options):
        if mode == "values":
            state = chunk
            continue
        for update in chunk.values():
            for step in steps_from(update or {}):
                yield step
    assert state is not None and "outcome" in state, "a run ends in an outcome"
    yield state


def _check_same(before: State, start: Question) -> None:
    """A thread belongs to one question with one set of settings."""
    differs = [field for field in start if before and before.get(field) != start.get(field)]
    if differs:
        raise StoreError(
            f"This thread_id belongs to a run with another {', '.join(differs)}. Name another thread_id.",
            code="run_mismatch",
        )
