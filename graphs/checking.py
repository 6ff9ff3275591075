"""What a run may be given from outside: a question, and a state that somebody else kept or wrote.

`check_question` is for every caller. `check_state` is for checkpoints, and for servers of graphs whose clients may
write a thread's state: every value has its type and can be written as JSON, every view that is named is there and lies
in the picture. Left out: whether the views are of the picture that is open (`context.py`).
"""

import json
import unicodedata
from functools import cache
from typing import Any

import orjson
from pydantic import TypeAdapter

from zoomagent.bounds import within
from zoomagent.confidence.replies import plain
from zoomagent.errors import InputRefused
from zoomagent.graphs.regions import check_regions, items_of
from zoomagent.graphs.state import State
from zoomagent.tools.viewing import MOST_SIDE, id_of

MAX_QUESTION = 8000
MAX_OPTIONS = 26
MAX_OPTION = 2000
"""Characters of an option (ours): all of them are told with every question."""
MAX_TOGETHER = 16_000
"""Characters of all options (ours): every reply is compared with each, while other runs wait."""
MAX_VALUES = 100_000
"""Values of a state (ours): the longest runs have some thousands."""


def check_question(question: object, options: object = (), regions: object = ()) -> None:
    """Raises InputRefused (bad_question, bad_region) for what cannot be asked."""
    if not isinstance(question, str) or not question.strip() or written_length(question, MAX_QUESTION) > MAX_QUESTION:
        raise bad_question(f"A question is text of 1 to {MAX_QUESTION} characters.")
    given = items_of(options, MAX_OPTIONS)
    if given is None:
        raise bad_question(f"Options are a list of at most {MAX_OPTIONS} texts.")
    if any(not isinstance(option, str) or not option.strip() for option in given):
        raise bad_question("Every option is a text that says something.")
    lengths = [written_length(option, MAX_OPTION) for option in given]
    if max(lengths, default=0) > MAX_OPTION or sum(lengths) > MAX_TOGETHER:
        raise bad_question(f"An option has at most {MAX_OPTION} characters, all together at most {MAX_TOGETHER}.")
    if len({plain(option) for option in given}) < len(given):
        raise bad_question("Two options say the same. Give each once.")
    if any("\ud800" <= character <= "\udfff" for character in "".join([question, *given])):
        raise bad_question("The question holds half a character (a lone surrogate). Send valid Unicode.")
    check_regions(regions, question)


def plain_words(question: object, options: object) -> tuple[Any, Any]:
    """A question and options whose texts and list are Python's own: a caller's classes could raise, or say something
    else, wherever a run reads them. What is no text and no list stays, for `check_question` to refuse."""
    items = items_of(options, MAX_OPTIONS)
    given = options if items is None else [str.__str__(one) if isinstance(one, str) else one for one in items]
    return str.__str__(question) if isinstance(question, str) else question, given


def written_length(text: str, most: int) -> int:
    """How long a text is once each sign is spelled out: one Arabic ligature is up to eighteen letters, and the letters
    are what is read. Of a text that is longer than `most` as it stands, more than `most`."""
    return len(unicodedata.normalize("NFKC", text[: most + 1]))


def bad_question(text: str) -> InputRefused:
    return InputRefused(text, code="bad_question")


@cache
def _shape() -> TypeAdapter[State]:
    return TypeAdapter(State)


def check_state(state: State) -> None:
    """Raises ValueError or TypeError for what is no state of a run."""
    if not within(state, MAX_VALUES):
        raise ValueError("more than a run can know")
    json.dumps(state, allow_nan=False)
    # Checked as JSON, so that nothing else is in it; a list may stand for a pair there.
    _shape().validate_json(orjson.dumps(state), strict=True)
    views = {view["id"]: view for view in state.get("views", [])}
    named = [name for side in ("macro", "micro") if side in state for name in state[side]["views"]]
    named += [name for turn in state.get("messages", []) for name in turn["views"]]
    named += [view["source"] for view in views.values() if view["source"]]
    named += [name for target in state.get("targets", []) for name in (target["source"], target["crop"]) if name]
    named += [state["crop"]] if "crop" in state else []
    if not all(name in views for name in named):
        raise ValueError("a view that is not there")
    if ("target" in state) != ("crop" in state):
        raise ValueError("a box without its view")
    if any(len(region) != 4 for region in state.get("about", [])):
        raise ValueError("a region that is no box")
    picture = state.get("picture")
    for target in state.get("targets", []):
        left, top, right, bottom = target["box"] or (0, 0, 1, 1)
        if not 0 <= left < right or not 0 <= top < bottom or not 0 <= (target["seen"] or 0.0) <= 1:
            raise ValueError("a target that cannot be")
    for view in views.values():
        left, top, right, bottom = view["box"]
        width, height = view["size"]
        inside = picture and 0 <= left < right <= picture["width"] and 0 <= top < bottom <= picture["height"]
        if "sheet" in view:  # of another size than the picture; the view store looks when it is there
            inside = 0 <= left < right and 0 <= top < bottom
        if not inside or not 0 < width <= MOST_SIDE or not 0 < height <= MOST_SIDE or view["depth"] < 0:
            raise ValueError("a view that cannot be")
        if any(len(mark) != 4 for mark in view.get("marks", [])):
            raise ValueError("a mark that is no box")
        if view["id"] != id_of(view):
            raise ValueError("a view under another's name")
