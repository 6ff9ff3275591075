"""The one plain sentence that a verdict begins with: where the answer comes from, generated from what happened.

    summary(state, "micro")    -> "Read from a closer look at the yellow circle; the whole was too small to tell."

No terms of ours, no numbers but sizes. Left out: why this answer was chosen (`zoomagent/confidence/learned.py`).
"""

from collections.abc import Sequence

from zoomagent.confidence.replies import abstains, plain
from zoomagent.graphs.absence import shown_in_full
from zoomagent.graphs.state import Perspective, State

POINTED = "what the question asks about"
"""How a thing is called that was pointed at and never named."""


def summary(state: State, perspective: Perspective) -> str:
    """The sentence for the answer that was chosen."""
    if perspective == "micro" and "searched" in state:
        return _search(state)
    if perspective == "micro":
        return f"Read from a closer look{_at(state)}{_beside_whole(state)}."
    return _whole(state)


def _search(state: State) -> str:
    record = state["searched"]
    things = ", ".join(f"{number} × {name}" for name, number in record["found"] if number)
    none = _joined([name for name, number in record["found"] if not number])
    found = " and ".join(text for text in (things and f"found {things}", none and f"found no {none}") if text)
    extent = "The whole picture was searched" if record["complete"] else "A part of the picture was searched"
    least = round(record["least"])
    return f"{extent} for things of at least {least} pixels: {found}."


def _at(state: State) -> str:
    """What the closer look was at, by name."""
    names = [target["phrase"] for target in state.get("targets", []) if target["fate"] == "located"]
    names = [name for name in names if name != POINTED]
    return f" at {_joined([f'the {name}' for name in names])}" if names else ""


def _beside_whole(state: State) -> str:
    if "macro" not in state:
        return ""
    if abstains(state["macro"]["text"]):
        return "; the whole picture was too small to tell"
    same = plain(state["macro"]["text"]) == plain(state["micro"]["text"])
    return "; the whole picture says the same" if same else "; the whole picture alone says something else"


def _whole(state: State) -> str:
    looks = looks_made(state)
    if "micro" in state:
        return "Read from the whole picture; a closer look says something else."
    if looks:
        return f"Read from the whole picture; {looks} closer look{'s' if looks > 1 else ''} gave no other answer."
    return f"Read from the whole picture{', shown with all its pixels' if shown_in_full(state) else ''}."


def looks_made(state: State) -> int:
    """How many views closer than the whole the model was shown, blanks not counted."""
    whole = [0, 0, state["picture"]["width"], state["picture"]["height"]]
    return sum(view["box"] != whole and not view.get("blank") for view in state.get("views", []))


def _joined(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), *names[-1:]])
