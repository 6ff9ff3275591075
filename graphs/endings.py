"""How runs end: every path, failures included, leads to exactly one outcome.

`step` wraps a node: it times it, names its step, and turns a RunError into what the run can still do about
it: an answer is there -> keep it and stop looking (`problems`); none yet but one more look may bring it ->
look at the whole; otherwise the run is `refused` (the input) or `failed` (the rest) with the error's code. A setting
that can not be fails at once: no step after it could do without it.
Other exceptions are bugs and stay exceptions.
"""

import functools
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from langgraph.runtime import Runtime

from zoomagent.errors import ContextTooLong, InputRefused, RunError, SettingInvalid
from zoomagent.graphs.billing import new_bill
from zoomagent.graphs.context import Context, Live, check_asked
from zoomagent.graphs.state import OutcomeRecord, ProblemRecord, State, StepRecord, Update

STOPPED = "Stopped. "
"""How the text of a step begins that ended the run without an answer."""
MAX_WORDS = 400
"""Characters of a step's text: a model may have said much more, which is kept where it belongs."""


class Node(Protocol):
    """A step of the graph: what the run knows and was given, to what it knows more."""

    def __call__(self, state: State, runtime: Runtime[Context]) -> Coroutine[Any, Any, Update]: ...


def step(node: Callable[[State, Runtime[Context]], Coroutine[Any, Any, Update]]) -> Node:
    """A node that books its own step and never raises a RunError."""

    @functools.wraps(node)
    async def run(state: State, runtime: Runtime[Context]) -> Update:
        began, bill = time.monotonic(), new_bill()
        if not isinstance(runtime.context, Live):
            try:
                check_asked(state)
            except InputRefused as error:
                # Nothing of such a state may be read, so its steps are not counted either.
                return Update(outcome=ended(error), steps=said(f"{STOPPED}{error}"))
        try:
            update = await node(state, runtime)
        except RunError as error:
            update = {**what_now(state, node.__name__, error), **bill.update()}
        steps = [_named(entry, state, node.__name__, began) for entry in update.get("steps", [])]
        # What a node paid for and then made no use of is on the bill as well.
        paid = Update(calls=list(bill.calls)) if bill.calls else Update()
        return {**update, **paid, "steps": steps}

    return run


def said(text: str, views: list[str] | None = None, boxes: list[list[int]] | None = None) -> list[StepRecord]:
    """The step of a node, in words; `step` adds its name and time."""
    short = text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]} …"
    return [StepRecord(id="", name="", text=short, views=views or [], boxes=boxes or [], seconds=0.0)]


def what_now(state: State, node: str, error: RunError) -> Update:
    """What a run does about an error that one of its nodes met."""
    if isinstance(error, InputRefused | SettingInvalid) or not _can_go_on(state, node, error):
        return Update(outcome=ended(error), steps=said(f"{STOPPED}{error}"))
    return stop(state, error.code, str(error))


def stop(state: State, code: str, text: str) -> Update:
    """No further look: the run goes to its end with the answer it has, or with a look at the whole."""
    number = len(state.get("problems", [])) + 1
    problem = ProblemRecord(id=f"problem-{number}{_sent(state)}", code=code, text=text, stops=True)
    return Update(problems=[problem], steps=said(f"No closer look. {text}"))


def ended(error: RunError) -> OutcomeRecord:
    """The outcome of a run that has no answer."""
    kind = "refused" if isinstance(error, InputRefused) else "failed"
    return OutcomeRecord(
        kind="refused" if kind == "refused" else "failed",
        reasons=[str(error)],
        code=error.code,
        exit_status=75 if error.code.startswith("budget_") else error.exit_status,
    )


def _can_go_on(state: State, node: str, error: RunError) -> bool:
    if "macro" in state or "micro" in state:
        return True
    worth_a_look = isinstance(error, ContextTooLong) or error.code.startswith("budget_")
    return node != "look" and worth_a_look


def _named(entry: StepRecord, state: State, name: str, began: float) -> StepRecord:
    number = len(state.get("steps", [])) + 1
    seconds = round(time.monotonic() - began, 6)
    return {**entry, "id": f"step-{number}{_sent(state)}", "name": name, "seconds": seconds}


def _sent(state: State) -> str:
    """What tells steps apart that were fanned out."""
    return f"-{state['sent']}" if "sent" in state else ""
