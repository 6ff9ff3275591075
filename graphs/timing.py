"""What a question about a clip asks of its time: when, how long, how often, which first; and about which things.

    timing_of("When is the red circle there?")        ("when", ["red circle"])
    timing_of('When does "a man sits down" happen?')   ("when", ["a man sits down"])
    timing_of("What does the sign say?")              ("look", [])

English only, and only these plain forms: all else is `look`, a question about what is to be seen, which is answered
from frames. "How long is the rope?" begins as a question about time does: what is asked of time says that the thing
is *there*, or what it *does*. A thing may be anything that a model can be asked to see. Pure; no model is asked.
"""

import re
from typing import Literal

Kind = Literal["when", "long", "often", "order", "look"]

MAX_THING = 80
MAX_PLAIN = 400
"""Characters of a plain question about time (ours): what is longer, as a whole conversation is, asks for more."""
_ASKS: tuple[tuple[Kind, str], ...] = (
    ("when", r"(?:when|at (?:what|which) (?:time|moment|second|point)|from when (?:to|till|until) when)\b"),
    ("long", r"(?:how long|for how (?:long|many seconds))\b"),
    ("often", r"(?:how often|how many times)\b"),
)
_ARTICLE = r"(?:the |a |an |any |some )?"
_HELPER = r"(?:is|are|was|were|do|does|did|can|could|may|will|['’]s)\b"
_LEAD = re.compile(
    rf"^\W*?(?:{_HELPER})?\s*"
    r"(?:(?:we|you|i|one|they|there) )?(?:(?:see|watch|find) )?" + _ARTICLE,
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"\s*\b(?:(?:ever|is|are|was|were|has been|have been|does|do|did) )?"
    r"(?:to be seen|be seen|seen|visible|shown|there|present|appear(?:s|ed)?|comes?(?: up)?|(?:turn|show)s? up|"
    r"in (?:the )?(?:picture|clip|video|scene|view|frame|sight)|on (?:the )?screen)\s*$",
    re.IGNORECASE,
)
_HEARD_LEAD = re.compile(rf"^\W*?(?:{_HELPER})?\s*(?:we|you|i|one|they) (?:hear|listen to) {_ARTICLE}", re.IGNORECASE)
_HEARD_TAIL = re.compile(
    r"\s*\b(?:(?:ever|is|are|was|were|does|do|did) )?"
    r"(?:to be heard|be heard|heard|audible|sound(?:s|ed|ing)?|in (?:the |this )?(?:sound|recording|audio|track))\s*$",
    re.IGNORECASE,
)
_BARE = re.compile(r"^\W*(?:is|are)\b", re.IGNORECASE)
"""Of a sound, "When is the alarm?" asks for its time: there is nothing else that an alarm can be."""
_QUOTED = re.compile(
    r"\s*(?:is|was|does|did) [\"“]([^\"“”]{1,300})[\"”](?: (?:there|happen|happening))?", re.IGNORECASE
)
"""Words in quotes are all of the thing, whatever they are."""
_ORDER = re.compile(r"^(?:is|are|was|were|do|does|did) (.+?) (before|after) (.+)$", re.IGNORECASE)
_DOES = re.compile(
    r"^\W*(?:(?:do|does|did)|(?:can|could|may|will) (?:we|you|i|one|they) (?:see|watch|find))\b", re.IGNORECASE
)
_MORE = re.compile(
    rf",|;|\b(?:what|whose|why|how)\b|\band (?:who|which|where|when)\b"
    rf"|^(?!\W*{_HELPER}).*\b(?:who|which|where|when)\b",
    re.IGNORECASE,
)
"""A second question, or a clause beside the first. "When is the man who runs there?" is one question."""
_NOTHING = re.compile(
    r"\b(?:not|never|no|before|after|until|till|since|while|during)\b|n't\b"
    # A time, and no thing.
    r"|^\W*[\d:., ]+\W*\w{0,2}$|\b(?:seconds?|secs?|minutes?|mins?|hours?|frames?)(?: \d+)?$"
    r"|^(?:very )?(?:end|beginning|start|middle)(?: of .*)?$"
    # The clip or sound itself.
    r"|^(?:this|that|it|these|those)$"
    r"|^(?:(?:this|that|whole|entire) )*(?:video|clip|film|movie|footage|recording|audio)\b"
    r"|^(?:(?:this|that|whole|entire) )*(?:sound|track)$",
    re.IGNORECASE,
)
"""What names nothing that a frame can show."""


def timing_of(question: str, heard: bool = False) -> tuple[Kind, list[str]]:
    """What is asked, and the things that it is asked about; no things where the words do not say them plainly. `heard`:
    it is asked of a sound."""
    text = _plain(question)
    if len(text) > MAX_PLAIN:
        return "look", []
    for kind, pattern in _ASKS:
        asked = re.match(pattern, text, re.IGNORECASE)
        if asked:
            rest = text[asked.end() :]
            if quoted := _QUOTED.fullmatch(rest):
                return kind, [quoted[1]]
            thing = "" if _MORE.search(rest) or not is_of_time(rest, heard) else thing_in(rest, heard)
            return (kind, [thing]) if thing else ("look", [])
    order = _ORDER.match(text)
    if order is None or _MORE.search(text) or not is_of_time(text[: order.end(1)], heard):
        return "look", []
    things = [thing_in(order[1], heard), thing_in(order[3], heard)]
    return ("order", things) if all(things) else ("look", [])


def is_of_time(text: str, heard: bool = False) -> bool:
    """Whether words say that a thing is there to be seen, or heard, or what it does; not what it is, or how it is
    made."""
    sounds = heard and (_BARE.match(text) or _HEARD_TAIL.search(text) or _HEARD_LEAD.match(text))
    return bool(sounds or _DOES.match(text) or _TAIL.search(text))


def thing_in(text: str, heard: bool = False) -> str:
    """The thing's name without what stands around it: `is the red circle there` -> `red circle`; "" for none."""
    lead = _HEARD_LEAD if heard and _HEARD_LEAD.match(text.strip()) else _LEAD
    bare = lead.sub("", text.strip(), count=1)
    while _TAIL.search(bare) or (heard and _HEARD_TAIL.search(bare)):
        bare = _TAIL.sub("", bare)
        bare = _HEARD_TAIL.sub("", bare) if heard else bare
    bare = bare.strip(" ,")
    return bare if 0 < len(bare) <= MAX_THING and not _NOTHING.search(bare) else ""


def asks_for_after(question: str) -> bool:
    """Whether an order is asked for with `after`."""
    order = _ORDER.match(_plain(question))
    return order is not None and order[2].lower() == "after"


def _plain(question: str) -> str:
    return " ".join(question.split()).rstrip("?!. ")
