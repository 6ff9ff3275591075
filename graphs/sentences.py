"""What a verdict says in words, generated from what happened: where the answer comes from, and whether it was earned.

    summary(state, "micro")              "Read from a closer look at the sign; the whole picture says the same."
    why_unearned(state, "No", "macro")   the reason; "" where the looks could have seen what the answer denies

"No", "0", a count and "Cannot tell" are right only if nothing was missed. No terms of ours, no numbers but sizes. Left
out: which answers claim something about everything (`zoomagent/confidence/claims.py`), and why this answer was chosen
(`zoomagent/confidence/learned.py`).
"""

from collections.abc import Sequence

from zoomagent.confidence import claims
from zoomagent.confidence.relations import relation_in
from zoomagent.confidence.replies import abstains, plain
from zoomagent.graphs.state import State
from zoomagent.run_record import Perspective

POINTED = "what the question asks about"
"""How a thing is called that was pointed at and never named."""


def summary(state: State, perspective: Perspective) -> str:
    """The sentence for the answer that was chosen."""
    if perspective == "micro" and "searched" in state:
        record = state["searched"]
        things = ", ".join(f"{number} × {name}" for name, number in record["found"] if number)
        none = enumeration([name for name, number in record["found"] if not number])
        found = " and ".join(text for text in (things and f"found {things}", none and f"found no {none}") if text)
        extent = "The whole picture was searched" if record["complete"] else "A part of the picture was searched"
        return f"{extent} for things of at least {round(record['least'])} pixels: {found}."
    if perspective == "micro":
        return closer_sentence(state)
    looks = looks_made(state)
    if "micro" in state:
        return "Read from the whole picture; a closer look says something else."
    if looks:
        return f"Read from the whole picture; {looks} closer look{'s' if looks > 1 else ''} gave no other answer."
    return f"Read from the whole picture{', shown with all its pixels' if is_shown_in_full(state) else ''}."


def closer_sentence(state: State) -> str:
    """The sentence for an answer from crops: what they show, and how the whole picture's answer compares."""
    names = [target["phrase"] for target in state.get("targets", []) if target["fate"] == "located"]
    names = [f"the {name}" for name in names if name != POINTED]
    read = f"Read from a closer look{f' at {enumeration(names)}' if names else ''}"
    if any(check["id"] == f"placed-{state.get('closer')}" for check in state.get("checks", [])):
        read = f"Measured by the places of {enumeration(names)}"
    if "macro" not in state:
        return f"{read}."
    if abstains(state["macro"]["text"]):
        return f"{read}; the whole picture was too small to tell."
    same = plain(state["macro"]["text"]) == plain(state["micro"]["text"])
    return f"{read}; the whole picture {'says the same' if same else 'alone says something else'}."


def looks_made(state: State) -> int:
    """How many views closer than the whole the model was shown, blanks not counted."""
    whole = [0, 0, state["picture"]["width"], state["picture"]["height"]]
    return sum(view["box"] != whole and not view.get("blank") for view in state.get("views", []))


def enumeration(names: Sequence[str]) -> str:
    """a; a and b; a, b and c."""
    return " and ".join([*([", ".join(names[:-1])] if len(names) > 1 else []), *names[-1:]])


# Answers about everything in the picture


def why_unearned(state: State, text: str, perspective: Perspective) -> str:
    """Why no confidence may be given to this answer, in words, or nothing."""
    question, missing = state["question"], things_missed(state)
    if missing and perspective == "micro":
        return f"{text!r} was not earned: the search did not find {enumeration(missing)}."
    doubt = why_doubtful(state, text) if perspective == "micro" else ""
    if doubt or not claims.absent(question, text) or is_shown_in_full(state):
        return doubt
    if "searched" in state and perspective == "micro":
        return "" if state["searched"]["complete"] else f"{text!r} was not earned: the search did not see every part."
    found = sum(target["fate"] == "located" for target in state.get("targets", [])) + ("crop" in state)
    # An answer that speaks of things that were found and shown up close denies nothing unseen. A bare "No" does so only
    # where it compares things.
    speaks_of_them = len(state.get("phrases", [])) > 1 or not claims.negative(text)
    if perspective == "micro" and found and speaks_of_them and not abstains(text) and not claims.counts(question):
        return ""
    if perspective == "micro" and is_given_in_full(state):
        return ""
    least = round(state["picture"].get("least", 1))
    claim = f"{text!r} is a claim about the whole picture, in which things of less than {least} pixels may be missed"
    return f"{claim}: it is given without confidence."


def things_missed(state: State) -> list[str]:
    """Which things of several that the question takes for granted a search did not find: what was not found cannot be
    compared, whatever the answer is."""
    targets = state.get("targets", [])
    if len(targets) < 2 or not claims.takes_for_granted(state["question"]):
        return []
    return [target["phrase"] for target in targets if target["fate"] == "missing"]


def why_doubtful(state: State, text: str) -> str:
    """Why the boxes of two things speak against what the model said of them, in words, or nothing."""
    id, relation = f"boxes-{state.get('closer')}", relation_in(state["question"], state.get("phrases", []))
    for check in state.get("checks", []):
        if check["id"] == id and relation and plain(text) == plain(relation.no if check["value"] else relation.yes):
            return f"{text!r} is given without confidence. {check['text']}"
    return ""


def is_given_in_full(state: State) -> bool:
    """Whether all that the question is about are regions, each shown with every original pixel."""
    given = [target for target in state.get("targets", []) if target.get("given")]
    views = {view["id"]: view for view in state.get("views", [])}
    crops = [views[target["crop"]] for target in given if target["crop"] in views]
    full = all(crop["box"][2] - crop["box"][0] <= crop["size"][0] for crop in crops)
    return bool(given) and len(crops) == len(given) and full


def is_shown_in_full(state: State) -> bool:
    """Whether the whole picture was shown with every original pixel."""
    whole = [0, 0, state["picture"]["width"], state["picture"]["height"]]
    widths = [
        v["size"][0] for v in state.get("views", []) if v["box"] == whole and "sheet" not in v and not v.get("blank")
    ]
    return whole[2] <= max(widths, default=1)
