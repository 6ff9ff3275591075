"""Whether an answer about everything in the picture was earned, by looks that could have seen what it denies.

    why = unearned(state, "No", "macro")      -> the reason in words; "" where it was earned, or claims no such thing

"No", "0", a count and "Cannot tell" are right only if nothing was missed. Left out: which answers claim that
(`zoomagent/confidence/claims.py`), searching.
"""

from zoomagent.confidence import claims
from zoomagent.confidence.replies import abstains
from zoomagent.graphs.state import Perspective, State


def unearned(state: State, text: str, perspective: Perspective) -> str:
    """Why no confidence may be given to this answer, in words, or nothing."""
    if not claims.absent(state["question"], text) or shown_in_full(state):
        return ""
    if "searched" in state and perspective == "micro":
        return "" if state["searched"]["complete"] else f"{text!r} was not earned: the search did not see every part."
    if perspective == "micro" and _about_what_was_found(state, text):
        return ""
    least = round(state["picture"].get("least", 1))
    claim = f"{text!r} is a claim about the whole picture, in which things of less than {least} pixels may be missed"
    return f"{claim}: it is given without confidence."


def shown_in_full(state: State) -> bool:
    """Whether the whole picture was shown with every original pixel."""
    return _shrunken(state) <= 1.0


def _shrunken(state: State) -> float:
    """How many original pixels one pixel of the whole view stands for."""
    whole = [0, 0, state["picture"]["width"], state["picture"]["height"]]
    widths = [v["size"][0] for v in state.get("views", []) if v["box"] == whole and not v.get("blank")]
    return whole[2] / max(widths, default=1)


def _about_what_was_found(state: State, text: str) -> bool:
    """Whether the answer speaks of things that were found and shown up close: then it denies nothing unseen. A bare
    "No" does so only where it compares things."""
    found = sum(target["fate"] == "located" for target in state.get("targets", [])) + ("crop" in state)
    if abstains(text) or claims.counts(state["question"]) or not found:
        return False
    return len(state.get("phrases", [])) > 1 or not claims.negative(text)
