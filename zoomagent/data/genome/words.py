"""Words of questions and annotations: what names what. English by the simplest rules; a plural is an s.

occurs("cup", "What colour are the cups?")          # True
label(thing, ("red",), "What is on the red cup?")   # "red cup"
"""

import re
from collections.abc import Iterable, Sequence

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
COUNTS = ("how many", "number of")
PLACES = frozenset(("where", "left", "right", "above", "below", "behind", "front", "top", "bottom", "side", "near"))
"""Words of questions that a crop alone does not answer."""
YES_NO = frozenset(("is", "are", "was", "were", "does", "do", "did", "can", "has", "have", "will"))
OPEN = frozenset(("what", "which", "who", "whose"))
"""First words of questions that take for granted that the thing is there."""


def words(text: str) -> tuple[str, ...]:
    """The words in their order, case and plural s taken away."""
    found = []
    for word in _WORD.findall(text.casefold()):
        if len(word) > 4 and word.endswith(("ses", "xes", "ches", "shes")):
            word = word[:-2]
        elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
            word = word[:-1]
        found.append(word)
    return tuple(found)


def place(phrase: str, text: str) -> int | None:
    """Where the words of `phrase` stand next to each other in `text`, counted in words; None when they do not."""
    wanted, said = words(phrase), words(text)
    ends = range(len(said) - len(wanted) + 1) if wanted else range(0)
    return next((i for i in ends if said[i : i + len(wanted)] == wanted), None)


def occurs(phrase: str, text: str) -> bool:
    return place(phrase, text) is not None


def label(names: Sequence[str], attributes: Sequence[str], question: str) -> str | None:
    """The thing as the question calls it, attributes before its name or before "one"; None when the question does
    neither.

    What the question does not say stays unsaid: a label must not give the answer away.
    """
    name = max((name for name in names if occurs(name, question)), key=len, default=None)
    said = {attribute: place(attribute, question) for attribute in attributes}
    order = sorted((where, attribute) for attribute, where in said.items() if where is not None)
    if name is None and order and occurs("one", question):
        name = "one"
    if name is None:
        return None
    return " ".join([*(attribute for _, attribute in order if attribute not in name), name])


def vocabulary(texts: Iterable[str]) -> set[str]:
    """Every word of all texts."""
    return {word for text in texts for word in words(text)}
