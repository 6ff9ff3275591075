"""Running the graph once: fresh, or on from where a killed run stopped.

A resumed run is invoked with no input, and is done only when its state holds an outcome: after a crash
LangGraph may say that nothing is next although the run is unfinished. It must ask the same as before; else it
is refused with what differs. A run killed before its question was in the state (its first checkpoint holds empty
lists only) has done nothing and starts anew. What a saver gives may be damaged or somebody else's, and is no state of a
run until it was looked at: `checkpoint_corrupt`.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from zoomagent.answer import from_state, steps_from
from zoomagent.errors import RunError, StoreError
from zoomagent.graphs import describing, macro_micro, zoom
from zoomagent.graphs.checking import check_state
from zoomagent.graphs.context import Context
from zoomagent.graphs.state import OutcomeRecord, Question, State
from zoomagent.run_record import Step

OPEN = OutcomeRecord(kind="failed", reasons=[], code=None, exit_status=0)
"""Stands for the outcome of a run that has none yet."""


async def run(
    start: Question,
    context: Context,
    saver: BaseCheckpointSaver[Any] | None = None,
    thread: str = "",
    machine: ModuleType | None = None,
) -> AsyncIterator[Step | State]:
    """The steps as they happen, then the final state. A finished run gives its state at once. `machine` is the module
    of the graph; None: the strategy's, or a description's."""
    if machine is None:
        machine = zoom if context.strategy in zoom.STRATEGIES else macro_micro
        machine = describing if "describe" in start else machine
    if saver is None:
        async for item in _stream(machine.graph, start, context, {}):
            yield item
        return
    runner = machine.builder.compile(checkpointer=saver, name=machine.graph.name)
    config = RunnableConfig(configurable={"thread_id": thread})
    with reading_of_checkpoint():
        before = state_in((await runner.aget_state(config)).values)
    # A thread belongs to one question with one set of settings.
    fields = dict.fromkeys((*start, "about", "describe"))
    differs = [field for field in fields if before and before.get(field) != start.get(field)]
    if differs:
        text = f"This thread_id belongs to a run with another {', '.join(differs)}. Name another thread_id."
        raise StoreError(text, code="run_mismatch")
    if "outcome" in before:
        yield before
        return
    following = None if before else start
    async for item in _stream(runner, following, context, {"config": config, "durability": "sync"}):
        yield item


async def _stream(
    runner: Any, start: Question | None, context: Context, options: dict[str, Any]
) -> AsyncIterator[Step | State]:
    state: State | None = None
    chunks = runner.astream(start, context=context, stream_mode=["updates", "values"], **options)
    if start is None:
        # The state as it was read comes before any node runs.
        with reading_of_checkpoint():
            _, state = await anext(chunks)
    async for mode, chunk in chunks:
        if mode == "values":
            state = chunk
            continue
        for update in chunk.values():
            for step in steps_from(update or {}):
                yield step
    if state is None or "outcome" not in state:
        if start is None:
            raise damaged("the run that it holds has no next step")
        raise RuntimeError("a run ended without an outcome: a node of the graph leads nowhere")
    yield state


@contextmanager
def reading_of_checkpoint() -> Iterator[None]:
    """Whatever is raised over what a saver gave becomes a StoreError."""
    try:
        yield
    except (RunError, sqlite3.Error):
        raise
    # Not narrower: what was read can be anything, and so can what libraries raise over it.
    except Exception as error:
        raise damaged(type(error).__name__) from error


def damaged(what: str) -> StoreError:
    """The error for a checkpoint that holds something else than a run's state."""
    text = f"The checkpoint of this run is damaged ({what}). Move it away, or name another thread_id."
    return StoreError(text, code="checkpoint_corrupt")


def state_in(stored: Any) -> State:
    """The state that a checkpoint holds, empty where nothing was done yet. Raises where it is none, or no answer can be
    made of it."""
    if "question" not in stored:
        if any(stored.values()):
            raise ValueError("a state without its question")
        return cast(State, {})
    state = cast(State, stored)
    check_state(state)
    from_state(cast(State, {"outcome": OPEN, **state}), model="", strategy="")
    return state
