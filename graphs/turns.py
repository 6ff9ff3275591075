"""The turns of a dialogue as the state keeps them. An id is unique among all dialogues of a run."""

from collections.abc import Sequence

from zoomagent.graphs.state import ToolCallRecord, TurnRecord
from zoomagent.models.base import Reply, ToolCall


def user_turn(dialogue: str, name: str, views: list[str], text: str) -> TurnRecord:
    return TurnRecord(id=name, dialogue=dialogue, role="user", views=views, text=text, cut=False)


def said_turn(dialogue: str, name: str, text: str) -> TurnRecord:
    """A turn of the assistant that was not generated in this dialogue."""
    return TurnRecord(id=name, dialogue=dialogue, role="assistant", views=[], text=text, cut=False)


def reply_turn(dialogue: str, name: str, reply: Reply) -> TurnRecord:
    cut = reply.finish == "length"
    turn = TurnRecord(id=name, dialogue=dialogue, role="assistant", views=[], text=reply.text, cut=cut)
    return TurnRecord(**{**turn, "cut_in_thought": True}) if reply.cut_in_thought else turn


def calling_turn(dialogue: str, name: str, text: str, calls: Sequence[ToolCall]) -> TurnRecord:
    """The assistant's turn that calls tools."""
    records = [ToolCallRecord(id=call.id, name=call.name, arguments=call.arguments) for call in calls]
    return TurnRecord(id=name, dialogue=dialogue, role="assistant", views=[], text=text, cut=False, calls=records)


def result_turn(dialogue: str, name: str, views: list[str], text: str, call: ToolCall) -> TurnRecord:
    """What a tool gave back."""
    return TurnRecord(id=name, dialogue=dialogue, role="tool", views=views, text=text, cut=False, answers=call.id)


def shown_in(turns: Sequence[TurnRecord]) -> list[str]:
    """The views of the turns, in order."""
    return [view for turn in turns for view in turn["views"]]
