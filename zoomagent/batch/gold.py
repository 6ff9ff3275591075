"""Whether an answer is the right one, for right answers as people keep them: a text, a letter, a number, a list.

    judge(row, "red")        # Verdict(right=True), for options ("red", "blue") and the right answer "A"

An answer is compared with what the right one says: with options, the option that it names by its text, its letter or
its key; without, the text itself, numbers by their value. Ten answers of people are scored by VQA's rule (Antol et al.
2015), fewer as one that any of them makes right. What cannot be scored is said, and is never wrong. Left out: asking.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zoomagent.batch.rows import Row
from zoomagent.confidence.replies import CANNOT_TELL, abstains, plain, same_answer, stands_after

VQA_ANSWERS = 10
"""People whose answers VQA has for a question; three of them make an answer wholly right."""

_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14}|[1-9]\d{0,2}(?:,\d{3}){1,4})(?:\.\d{1,15})?")
_LETTER = re.compile(r"\(?([A-Za-z])\)?[.:)]?")
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_DIGITS = "none zero one two three four five six seven eight nine ten".split()  # noqa: SIM905
_AS_DIGIT = {word: str(max(0, number - 1)) for number, word in enumerate(_DIGITS)}
_SPOKEN = {"true": "yes", "false": "no"}


@dataclass(frozen=True)
class Verdict:
    """`right` is None where nothing was to be compared; `why` then says why not, where a right answer was given.
    `score` is 0 to 1, and a part only by VQA's rule; `rule` names how several right answers were used."""

    right: bool | None = None
    score: float | None = None
    rule: Literal["", "any", "vqa"] = ""
    why: str = ""


def judge(row: Row, text: str) -> Verdict:
    """What `text` is worth as the answer to `row`; "" is no answer, and wrong."""
    given = row.answers or (() if row.answer is None else (row.answer,))
    if not given:
        return Verdict()
    wanted = [_text_of_gold(gold, row) for gold in given]
    known = [gold for gold in wanted if gold is not None]
    if len(known) < len(wanted):
        return Verdict(why="its right answer is no option, and no letter of one")
    if len(given) == VQA_ANSWERS:
        score = vqa_accuracy(text, known)
        return Verdict(score >= 0.5, score, "vqa")
    if row.options and len({plain(gold) for gold in known}) > 1:
        return Verdict(why="several of its options are said to be right")
    right = bool(text) and any(_says(text, gold) for gold in known)
    return Verdict(right, float(right), "any" if row.answers else "")


def gold_texts(row: Row) -> tuple[str, ...]:
    """The right answers of a row as texts, with options as texts of these; none where one of them names nothing."""
    given = row.answers or (() if row.answer is None else (row.answer,))
    texts = [_text_of_gold(gold, row) for gold in given]
    known = tuple(text for text in texts if text is not None)
    return known if len(known) == len(texts) else ()


def vqa_accuracy(text: str, people: Sequence[str]) -> float:
    """VQA's accuracy: an answer that three of the other nine gave is right, averaged over who is left out."""
    said, told = _as_vqa(text), [_as_vqa(one) for one in people]
    agree = sum(one == said for one in told) if said else 0
    shares = [min(1.0, (agree - (one == said)) / 3) for one in told]
    return sum(shares) / len(shares)


def _text_of_gold(gold: str, row: Row) -> str | None:
    """The text that a right answer stands for: an option's, where there are options. None where it stands for none."""
    if not row.options or abstains(gold):
        return CANNOT_TELL if abstains(gold) else gold
    named = [option for option in row.options if _says(option, gold)]
    if named:
        return named[0]
    if gold in row.keys:
        return row.options[row.keys.index(gold)]
    letter = _LETTER.fullmatch(gold.strip())
    index = ord(letter[1].upper()) - ord("A") if letter else len(row.options)
    if index < len(row.options):
        return row.options[index]
    lettered = [
        o for i, o in enumerate(row.options) if stands_after(rf"\(?{chr(97 + i)}[).:]\s*", plain(o), plain(gold))
    ]
    return lettered[0] if lettered else None


def _says(text: str, gold: str) -> bool:
    """Whether two texts are the same answer, or the same number."""
    if same_answer(text, gold):
        return True
    one, other = plain(text), plain(gold)
    if _NUMBER.fullmatch(one) and _NUMBER.fullmatch(other):
        return float(one.replace(",", "")) == float(other.replace(",", ""))
    return other in ("yes", "no") and _SPOKEN.get(one) == other


def _as_vqa(text: str) -> str:
    """As VQA's script compares: no articles, no punctuation, small numbers as digits."""
    words = _ARTICLE.sub(" ", re.sub(r"[^\w\s'.:-]", " ", plain(text))).split()
    return " ".join(_AS_DIGIT.get(word, word) for word in words).replace("'", "").rstrip(".")
