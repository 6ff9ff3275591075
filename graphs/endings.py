"""How runs end: every path, failures included, leads to exactly one outcome.

`step` makes a node of a function: it times it, names its step, and turns a RunError into what the run can still do
about it. An answer is there: keep it and stop looking (`problems`). None yet, but one more look may bring it: look at
the whole. Otherwise the run is `refused` (the input) or `failed` (the rest) with the error's code. A setting that
cannot be fails at once: no step after it could do without it. Other exceptions are bugs and stay exceptions. Clients of
a graph server may write a thread's state: there they can come of what was written too, and end it as `bad_state`.

`model_step` is the same for a function that asks the model: it is given its `NodeRun`, and what it spent is billed,
whatever became of it.
"""

import functools
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from langgraph.runtime import Runtime

from zoomagent.errors import ContextTooLong, InputRefused, RunError, SettingInvalid, ToolError
from zoomagent.graphs.asking import NodeRun, branch
from zoomagent.graphs.context import Context, Live, bench_of, check_asked
from zoomagent.graphs.state import OutcomeRecord, ProblemRecord, State, StepRecord, Update
from zoomagent.media.patience import patience

STOPPED = "Stopped. "
"""How the text of a step begins that ended the run without an answer."""
log = logging.getLogger(__name__)

MAX_WORDS = 400
"""Characters of a step's text: a model may have said much more, which is kept where it belongs."""


class Node(Protocol):
    """A step of the graph: what the run knows and was given, to what it knows more."""

    __name__: str

    def __call__(self, state: State, runtime: Runtime[Context]) -> Coroutine[Any, Any, Update]: ...


def step(function: Callable[[State, Runtime[Context]], Coroutine[Any, Any, Update]]) -> Node:
    """A node that books its own step and never raises a RunError."""
    name = function.__name__

    async def node(state: State, runtime: Runtime[Context]) -> Update:
        began = time.monotonic()
        if not isinstance(runtime.context, Live):
            try:
                check_asked(state)
            except InputRefused as error:
                # Nothing of such a state may be read, so its steps are not counted either.
                return Update(outcome=outcome_of_error(error), steps=step_words(f"{STOPPED}{error}"))
        try:
            update = await function(state, runtime)
        except RunError as error:
            update = after_error(state, name, error)
        except (
            LookupError,
            TypeError,
            ValueError,
            ArithmeticError,
            AttributeError,
            AssertionError,
            ToolError,
        ) as error:
            if isinstance(runtime.context, Live):
                raise
            log.exception("the state of a thread leads nowhere at %s", name)
            text = f"The parts of this thread's state do not fit together ({type(error).__name__} at {name})."
            text += " Start another thread. If nobody wrote to this one, report it with the server's log."
            update = Update(outcome=outcome_of_error(InputRefused(text, code="bad_state")), steps=step_words(text))
        identity, seconds = f"step-{len(state.get('steps', [])) + 1}{branch(state)}", round(time.monotonic() - began, 6)
        steps: list[StepRecord] = [
            {**record, "id": identity, "name": name, "seconds": seconds} for record in update.get("steps", [])
        ]
        return {**update, "steps": steps}

    # Not functools.wraps: LangGraph would look for `runtime` among the arguments of what is wrapped.
    node.__name__, node.__doc__ = name, function.__doc__
    return node


def model_step(function: Callable[[NodeRun], Coroutine[Any, Any, Update]]) -> Node:
    """A node that asks the model: its function is given its run, on whose bill every call is put."""

    async def node(state: State, runtime: Runtime[Context]) -> Update:
        began = time.monotonic()
        run = NodeRun(state, runtime.context, await bench_of(state, runtime), function.__name__, began)
        try:
            with patience(run.seconds_left()):  # of views that are decoded or computed
                return run.with_bill(await function(run))
        except RunError as error:
            return run.with_bill(after_error(state, run.name, error))

    node.__name__, node.__doc__ = function.__name__, function.__doc__
    return step(node)


def choice(function: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """The choice of the next node as a coroutine: LangGraph would wake a thread for a plain function."""

    @functools.wraps(function)
    async def choose(*given: Any, **named: Any) -> Any:
        return function(*given, **named)

    return choose


def step_words(text: str, views: list[str] | None = None, boxes: list[list[int]] | None = None) -> list[StepRecord]:
    """The step of a node, in words; `step` adds its name and time."""
    short = text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]} …"
    return [StepRecord(id="", name="", text=short, views=views or [], boxes=boxes or [], seconds=0.0)]


def after_error(state: State, node: str, error: RunError) -> Update:
    """What a run does about an error that one of its nodes met."""
    worth_a_look = isinstance(error, ContextTooLong) or error.code.startswith("budget_")
    can_go_on = "macro" in state or "micro" in state or (worth_a_look and node != "look")
    if can_go_on and not isinstance(error, InputRefused | SettingInvalid):
        return stop(state, error.code, str(error))
    return Update(outcome=outcome_of_error(error), steps=step_words(f"{STOPPED}{error}"))


def stop(state: State, code: str, text: str) -> Update:
    """No further look: the run goes to its end with the answer it has, or with a look at the whole."""
    problem = ProblemRecord(
        id=f"problem-{len(state.get('problems', [])) + 1}{branch(state)}", code=code, text=text, stops=True
    )
    return Update(problems=[problem], steps=step_words(f"No closer look. {text}"))


def outcome_of_error(error: RunError) -> OutcomeRecord:
    """The outcome of a run that has no answer."""
    return OutcomeRecord(
        kind="refused" if isinstance(error, InputRefused) else "failed",
        reasons=[str(error)],
        code=error.code,
        exit_status=75 if error.code.startswith("budget_") else error.exit_status,
    )
