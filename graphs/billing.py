"""What a step has paid for so far: known even where the step breaks off, so that no call goes unbilled.

    bill = new_bill()        when a step begins (`endings.py`)
    open_bill()              the bill of the step that is running, wherever in it the model is asked

Steps that run at the same time have a bill each.
"""

from contextvars import ContextVar
from dataclasses import dataclass, field

from zoomagent.graphs.state import CallRecord, Update
from zoomagent.tools.viewing import ViewRecord


@dataclass(frozen=True)
class Bill:
    """The calls of one step, and the views they showed."""

    calls: list[CallRecord] = field(default_factory=list)
    views: list[ViewRecord] = field(default_factory=list)

    def add(self, call: CallRecord, views: list[ViewRecord]) -> None:
        self.calls.append(call)
        self.views.extend(views)

    @property
    def visual_tokens(self) -> int:
        return sum(call["visual_tokens"] for call in self.calls)

    def update(self) -> Update:
        return Update(calls=list(self.calls), views=list(self.views))


_open: ContextVar[Bill] = ContextVar("bill")


def new_bill() -> Bill:
    """The bill of a step that begins now."""
    bill = Bill()
    _open.set(bill)
    return bill


def open_bill() -> Bill:
    """The bill of the step that is running."""
    return _open.get()
