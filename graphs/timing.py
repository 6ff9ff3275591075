"""What a question about a clip asks of its time: when, how long, how often, which first; and about which things.

    timing_of("When is the red circle there?")        ("when", ["red circle"])
    timing_of("What does the sign say?")              ("look", [])

English only, and only these plain forms: all else is `look`, a question about what is to be seen, which is answered
from frames. A thing may be anything that a model can be asked to see. Pure; no model is asked.
"""

import re
from typing import Literal

Kind = Literal["when", "long", "often", "order", "look"]

MAX_THING = 80
_ASKS: tuple[tuple[Kind, str], ...] = (
    ("when", r"(?:when|at (?:what|which) (?:time|moment|second|point)|from when (?:to|till|until) when)\b"),
    ("long", r"(?:how long|for how (?:long|many seconds))\b"),
    ("often", r"(?:how often|how many times)\b"),
)
_ARTICLE = r"(?:the |a |an |any |some )?"
_LEAD = re.compile(
    r"^\W*(?:(?:is|are|was|were|do|does|did|can|could|may|will)\b)?\s*"
    r"(?:(?:we|you|i|one|they|there) )?(?:(?:see|watch|find) )?" + _ARTICLE,
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"\s*\b(?:to be seen|be seen|seen|visible|shown|there|present|appear(?:s|ed)?|comes?(?: up)?|(?:turn|show)s? up|"
    r"in (?:the )?(?:picture|clip|video|scene|view|frame|sight)|on (?:the )?screen)\s*$",
    re.IGNORECASE,
)
_ORDER = re.compile(r"^(?:is|are|was|were|do|does|did) (.+?) (before|after) (.+)$", re.IGNORECASE)


def timing_of(question: str) -> tuple[Kind, list[str]]:
    """What is asked, and the things that it is asked about; no things where the words do not say them plainly."""
    text = " ".join(question.split()).rstrip("?!. ")
    for kind, pattern in _ASKS:
        asked = re.match(pattern, text, re.IGNORECASE)
        if asked:
            thing = thing_in(text[asked.end() :])
            return (kind, [thing]) if thing else ("look", [])
    order = _ORDER.match(text)
    things = [thing_in(order[1]), thing_in(order[3])] if order else []
    return ("order", things) if len(things) == 2 and all(things) else ("look", [])


def thing_in(text: str) -> str:
    """The thing's name without what stands around it: `is the red circle there` -> `red circle`; "" for none."""
    bare = _LEAD.sub("", text.strip(), count=1)
    while _TAIL.search(bare):
        bare = _TAIL.sub("", bare)
    bare = bare.strip(" ,")
    return bare if 0 < len(bare) <= MAX_THING else ""


def asks_for_after(question: str) -> bool:
    """Whether an order is asked for with `after`."""
    order = _ORDER.match(" ".join(question.split()).rstrip("?!. "))
    return bool(order) and order[2].lower() == "after"  # type: ignore[index]
