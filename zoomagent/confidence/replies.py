"""What a reply says: the answer inside the model's words, and whether two answers are the same.

    read("**B**", ["red", "blue"]).text == "blue"
    same_answer("The  sign.", "the sign")

With options a reply must name exactly one, by its text, its letter, or as the only one it mentions and does not deny;
where two are named nothing is guessed. Without options the words are the answer. "Cannot tell" is always an answer, a
tool call or bare markup never. `read_published` keeps the rule of DualFocus' eval scripts, quirk included. Left out:
what replies are wrapped in (`models/words/unwrapping.py`), and judging whether an answer is right (`evaluation`).
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from zoomagent.confidence.words import folded, places, words
from zoomagent.confidence.words import plain as plain
from zoomagent.models.words.phrases import ABSTAIN, CLAUSE_ENDS, DENIES_NOTHING, DENY, DENY_UNSPACED, LEAD, NAME
from zoomagent.models.words.unwrapping import NEAR, is_call, unwrapped

CANNOT_TELL = "Cannot tell"
MOST_PLAIN = 1000
"""Characters of a reply, with its wrapping off, that may be one plain word or sentence (ours)."""

_LETTER = r"([A-Za-z])"
_AFTER = (
    r"(?:\s*$|\s*[).:;,、。\]】\n!?'\"–—-]|\s*(?=[^\x00-\u024f\s])"
    r"|\s+(?=(?:because|since|as|is|est|es|ist|é|è|parce|porque|weil|car|perché)\b))"
)
_AT_START = re.compile(
    rf"[\W_]*(?:(?:{LEAD})[\W_]*){{0,6}}(?<![A-Za-z0-9]){_LETTER}(?![A-Za-z0-9']){_AFTER}", re.IGNORECASE
)
_NAMED = re.compile(
    rf"(?:{NAME})[\s:：(\[\"'是为為은는]{{0,6}}{_LETTER}(?![A-Za-z0-9'])",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"[(\[【]\s?([A-Za-z])\s?[)\]】]")
_STANDING = re.compile(
    r"(?<![A-Za-z0-9'])([A-Z])(?![A-Za-z0-9'])(?=\s*(?:$|[).:;,、。\]】\n!?/]|(?:or|and|oder|ou|und|et|o|y|e|或|和)\b))"
)
_ALONE = re.compile(r"[\W_]*+([A-Z])(?:[\W_]++\1)*+[\W_]*+")

_DENIES = frozenset(word for line in DENY for word in line.split())
_DENIES_UNSPACED = tuple(words(text) for text in DENY_UNSPACED.split())
_CLAUSE = re.compile(CLAUSE_ENDS, re.IGNORECASE)
_NO_DENIAL = re.compile(DENIES_NOTHING, re.IGNORECASE)
_ABSTAINS = re.compile("|".join(ABSTAIN))


@dataclass(frozen=True)
class ReadAnswer:
    """`text` is the option's text or the reply's words; `valid` is False when the reply answers nothing."""

    text: str
    valid: bool
    letter: str | None = None


def read(reply: str, options: Sequence[str] = ()) -> ReadAnswer:
    """The answer in a reply."""
    if is_call(reply):
        return ReadAnswer("", False)
    text = unwrapped(reply)
    if not options:
        return ReadAnswer(CANNOT_TELL, True) if abstains(text) else ReadAnswer(text, bool(text))
    # The option that is the whole reply, with its letter before it or not.
    said, texts = plain(text), [plain(option) for option in options]
    lettered = [i for i, one in enumerate(texts) if stands_after(rf"\(?{chr(97 + i)}[).:]?\s?", one, said)]
    index = texts.index(said) if said in texts else lettered[0] if len(lettered) == 1 else None
    if index is None and abstains(text):
        return ReadAnswer(CANNOT_TELL, True)
    return _option(_named(text, options) if index is None else index, text, options)


def read_published(reply: str, options: Sequence[str] = ()) -> ReadAnswer:
    """As DualFocus' `process_outputs`: the first character if it is an option's letter ("blue" counts as B),
    else the first option whose text occurs in the reply. Free text is taken as it is and is always valid, but for
    tool calls and markup, which its models never wrote."""
    if reply.strip() and is_call(reply):
        return ReadAnswer("", False)
    if abstains(reply):
        return ReadAnswer(CANNOT_TELL, True)
    if not options:
        return ReadAnswer(reply.strip(), True)
    first = reply.strip()[:1].lower()
    if first and 0 <= ord(first) - ord("a") < len(options):
        return _option(ord(first) - ord("a"), reply, options)
    found = (i for i, option in enumerate(options) if option.lower() in reply.lower())
    return _option(next(found, None), reply, options)


def abstains(text: str) -> bool:
    """Whether the words say that the answer cannot be seen, and nothing else."""
    bare = unwrapped(text)
    said = plain(bare) if len(bare) <= MOST_PLAIN else bare
    return said == plain(CANNOT_TELL) or (len(said) <= 200 and _ABSTAINS.fullmatch(said) is not None)


def same(a: ReadAnswer, b: ReadAnswer) -> bool:
    """Whether two answers say the same."""
    return same_answer(a.text, b.text)


def same_answer(given: str, wanted: str) -> bool:
    """Whether two texts are one answer: apart from case, width, spaces, and punctuation around the whole. No judge, no
    substring luck."""
    return plain(given) == plain(wanted)


def _option(index: int | None, reply: str, options: Sequence[str]) -> ReadAnswer:
    if index is None:
        return ReadAnswer(reply.strip(), False)
    return ReadAnswer(options[index], True, chr(ord("A") + index))


def stands_after(lead: str, text: str, said: str) -> bool:
    """Whether `said` is `text` with what the pattern `lead` allows before it. No pattern is made of the text itself,
    which may be long."""
    return said.endswith(text) and re.fullmatch(lead, said.removesuffix(text)) is not None


def _named(reply: str, options: Sequence[str]) -> int | None:
    """The one option that the reply names by its letter or mentions; None where they differ, or two are named."""
    reply = unicodedata.normalize("NFKC", reply[: NEAR + 1])
    if len(reply) > NEAR:
        return None
    letters, start = _letters(reply, len(options))
    if len(letters) > 1:
        return None
    if not letters:
        mentioned = _mentioned(reply, options)
        return mentioned.pop() if len(mentioned) == 1 else None
    [letter] = letters
    rest = re.split(r"[.\n\u3002]\s", reply[start:].strip(" .):,-\u3002\n"), maxsplit=1)[0]
    beside = _mentioned(rest, options) if start else _mentioned(reply, options)
    return letter if len(beside) != 1 or letter in beside else None


def _letters(reply: str, count: int) -> tuple[set[int], int]:
    """The options that are named by letter, and where the words after the first of them begin (0: anywhere)."""
    first = _AT_START.match(reply)
    if first is not None and first[1].islower():
        # A small letter stands for an option where it is alone, or closed like one (`b.`, `(b)`, `b: a dog`).
        before, after = reply[: first.start(1)].strip(" \t\n*([").casefold(), reply[first.end(1) :].strip()
        if before not in ("", "option", "choice", "letter") or (after and after[0] not in ").:]"):
            first = None
    found = [match[1] for pattern in (_NAMED, _BRACKETED) for match in pattern.finditer(reply)]
    found = [letter for letter in found if letter.isupper()]
    alone = [match[1] for line in reply.split("\n") if (match := _ALONE.fullmatch(line))]
    if first is not None or found or alone:
        found += [match[1] for match in _STANDING.finditer(reply)]
        found += alone
    if first is not None:
        found.append(first[1].upper())
    indices = {ord(letter) - ord("A") for letter in found}
    return {index for index in indices if index < count}, first.end() if first else 0


def _mentioned(reply: str, options: Sequence[str]) -> set[int]:
    """The options whose words occur in the reply, unless a longer option holds them there; none that is denied."""
    said = words(reply)
    longest = [0] * len(said)
    found: set[int] = set()
    parts = ((option_words(option), i) for i, option in enumerate(options))
    for part, index in sorted(parts, key=lambda one: -len(one[0])):
        for at in places(part, said):
            if min(longest[at : at + len(part)]) <= len(part):
                found.add(index)
                longest[at : at + len(part)] = [max(len(part), known) for known in longest[at : at + len(part)]]
    if len(found) != 1:
        return found
    [only] = found
    return set() if _denied(reply, options[only], options) else found


@lru_cache(128)
def option_words(option: str) -> tuple[str, ...]:
    """The words of an option, which every reply is compared with."""
    return tuple(words(option))


def _denied(reply: str, option: str, options: Sequence[str]) -> bool:
    """Whether a clause that mentions the option says no. Words of the options themselves deny nothing."""
    part, own = option_words(option), {word for text in options for word in option_words(text)}
    for clause in _CLAUSE.split(_NO_DENIAL.sub(" ", folded(reply))):
        # A reply of thousands of clauses is looked through fast: most hold nothing of the option.
        if not part or part[0] not in clause:
            continue
        said = words(clause)
        if places(part, said) and (
            any(word in _DENIES and word not in own for word in said)
            or any(places(no, said) and not set(no) <= own for no in _DENIES_UNSPACED)
        ):
            return True
    return False
