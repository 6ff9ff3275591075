"""What a reply says: the answer inside the model's words, and whether two answers are the same.

With options a reply must name one; the answer is then the option's text. Without options the words are the
answer. "Cannot tell" is always an answer. `read_published` keeps the rule of DualFocus' eval scripts, quirk
included. Left out: judging whether an answer is right (zoomagent/bench).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

CANNOT_TELL = "Cannot tell"
LETTER = re.compile(r"\(?([A-Za-z])(?:[).:]|\s*$)")
"""A letter that stands for an option: `B`, `b.`, `(B)`, `B: a dog`; not the first letter of a word."""


WORD = r"\w+"


@dataclass(frozen=True)
class Answered:
    """`text` is the option's text or the reply itself; `valid` is False when the reply answers nothing."""

    text: str
    valid: bool
    letter: str | None = None


def read(reply: str, options: Sequence[str] = ()) -> Answered:
    """The answer in a reply: the option it names, by its text, its letter, or as the only one mentioned."""
    if abstains(reply):
        return Answered(CANNOT_TELL, True)
    if not options:
        return Answered(reply.strip(), bool(reply.strip()))
    index = _by_text(reply, options)
    if index is None:
        index = _by_letter(reply, options)
    if index is None:
        index = _only_mentioned(reply, options)
    return _option(index, reply, options)


def read_published(reply: str, options: Sequence[str] = ()) -> Answered:
    """As DualFocus' `process_outputs`: the first character if it is an option's letter ("blue" counts as B),
    else the first option whose text occurs in the reply. Free text is taken as it is and is always valid."""
    if abstains(reply):
        return Answered(CANNOT_TELL, True)
    if not options:
        return Answered(reply.strip(), True)
    first = reply.strip()[:1].lower()
    if first and 0 <= ord(first) - ord("a") < len(options):
        return _option(ord(first) - ord("a"), reply, options)
    found = (i for i, option in enumerate(options) if option.lower() in reply.lower())
    return _option(next(found, None), reply, options)


def abstains(text: str) -> bool:
    """Whether the words say that the answer can not be seen."""
    return plain(text) == plain(CANNOT_TELL)


def same(a: Answered, b: Answered) -> bool:
    """Whether two answers say the same, apart from case, spaces and closing punctuation."""
    return plain(a.text) == plain(b.text)


def plain(text: str) -> str:
    """Case, runs of spaces and closing punctuation taken away."""
    return " ".join(text.casefold().split()).rstrip(".!,;: ")


def _option(index: int | None, reply: str, options: Sequence[str]) -> Answered:
    if index is None:
        return Answered(reply.strip(), False)
    return Answered(options[index], True, chr(ord("A") + index))


def _by_text(reply: str, options: Sequence[str]) -> int | None:
    texts = [plain(option) for option in options]
    return texts.index(plain(reply)) if plain(reply) in texts else None


def _by_letter(reply: str, options: Sequence[str]) -> int | None:
    match = LETTER.match(reply.strip())
    if match is None:
        return None
    index = ord(match[1].upper()) - ord("A")
    return index if index < len(options) else None


def _only_mentioned(reply: str, options: Sequence[str]) -> int | None:
    words = _as_words(reply)
    named = [i for i, option in enumerate(options) if _as_words(option).strip() and _as_words(option) in words]
    return named[0] if len(named) == 1 else None


def _as_words(text: str) -> str:
    return f" {' '.join(re.findall(WORD, text.casefold()))} "
