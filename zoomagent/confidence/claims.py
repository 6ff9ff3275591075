"""What an answer claims: something about a thing that is seen, or something about the whole picture.

    claims_all("Is there a yellow circle?", "No")            -> True
    claims_all("What colour is the background?", "gray")     -> False

"No", "0", a count, a comparison and "Cannot tell" turn on everything in the picture, however small: one look at a
shrunken whole does not earn them. No list of words knows every wording, so the doubt goes the safe way: what is not
plainly about one thing, in a language that is known here, claims all. Left out: whether the claim was earned
(`graphs/sentences.py`).
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from zoomagent.confidence.claim_words import (
    ALL_OF_A_NAME,
    COUNTING,
    DENYING,
    EXISTING,
    FEWER,
    KNOWN,
    MORE,
    NAMES_A_NUMBER,
    NO,
    NONE,
    NUMBERS,
    PAIRS,
    QUALITIES,
    QUANTITY,
    SKIPPED,
    THAN,
    YES,
)
from zoomagent.confidence.replies import MOST_PLAIN, abstains, plain

MOST_DIGITS = 9
"""Of a number that an answer is (ours)."""
UNSPACED = re.compile("[\u0e00-\u0eff\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Scripts whose words are not told apart by spaces."""


def claims_all(question: str, answer: str) -> bool:
    """Whether the answer may turn on everything in the picture. `question` without its options."""
    text = plain_answer(answer)
    number = bool(text) and (all(c.isnumeric() for c in text.replace(" ", "")) or text in NUMBERS)
    if number or text in YES or absent(question, answer):
        return True
    words = set(words_of(question))
    known = not UNSPACED.search(question) and any(len(words & language) > 1 for language in KNOWN)
    return not known


def absent(question: str, answer: str) -> bool:
    """Whether the answer says that something is not there, or how much of it all there is: what was not seen may make
    it wrong. A "Yes" does where the question itself denies ("Is the picture free of circles?")."""
    if abstains(answer) or negative(answer) or quantity(question):
        return True
    return plain_answer(answer) in YES and denies(question)


def denies(question: str) -> bool:
    """Whether the question itself denies, so that a "Yes" says that something is not there."""
    return bool(set(words_of(question)) & DENYING)


def takes_for_granted(question: str) -> bool:
    """Whether the question takes it for granted that what it names is there ("Is the cup left of the dish?")."""
    return not counts(question) and not set(words_of(question)) & EXISTING


def negative(answer: str) -> bool:
    """Whether the answer says that something is not there: "No", "0", "none"."""
    text = plain_answer(answer)
    first = re.match(r"(\w+)\s*[,.;:]", text)
    return number(answer) == 0 or text in NO or bool(first and first[1] in NO | NONE)


def number(answer: str) -> int | None:
    """The number that the whole answer is, "none" among them; None where it is something else, as "No"."""
    text = plain_answer(answer)
    if text in NONE:
        return 0
    digits = [unicodedata.digit(c, None) for c in text[:MOST_DIGITS]]
    if not text or len(text) > MOST_DIGITS or None in digits:
        return None
    return int("".join(map(str, digits)))


def quantity(question: str) -> bool:
    """Whether the question asks how many, which of them, or how things compare."""
    words = words_of(question)
    following, than = "", False
    # From the end on, so that what follows a word is known: a question may be long.
    for place in reversed(range(len(words))):
        word = words[place]
        choice = word in QUANTITY and following not in QUALITIES
        if choice and (word not in NAMES_A_NUMBER or _counts(words, place, than)):
            return True
        following, than = following if word in SKIPPED else word, than or word in THAN
    return False


def counts(question: str) -> bool:
    """Whether the question asks how many there are, or of which there are more: all things of a name must be found."""
    words = words_of(question)
    last = max((place for place, word in enumerate(words) if word in THAN), default=-1)
    return any(_counts(words, place, place < last) for place in range(len(words)))


def asks_for_all_of(question: str, names: Sequence[str]) -> bool:
    """Whether the question asks for nothing but all things of these names, in one or in many: not for those among them
    that are red, that lie on something, or that are more than five. What is not plainly so is not."""
    text = f" {' '.join(words_of(question))} "
    for name in sorted((" ".join(words_of(name)) for name in names), key=len, reverse=True):
        text, found = re.subn(f" {re.escape(name)}(?:s|es)? ", " ", text, count=1)
        if not name or not found:
            return False
    return set(text.split()) <= ALL_OF_A_NAME


def says_which_are_more(question: str, names: Sequence[str], numbers: Sequence[int], answer: str) -> bool:
    """Whether "Yes" or "No" to "Are there more cups than plates?" is what the numbers of both say. `names` are the two
    things in the order of the question; where they are not found in it so, nothing is said."""
    words, text = set(words_of(question)), plain(answer)
    places = [question.casefold().find(name.casefold()) for name in names]
    if len(places) != 2 or not 0 <= places[0] < places[1] or not words & MORE or text not in YES | NO:
        return False
    more = numbers[0] < numbers[1] if words & FEWER else numbers[0] > numbers[1]
    return more == (text in YES)


def _counts(words: Sequence[str], place: int, than: bool) -> bool:
    """Whether a word asks how many; `than`: whether such a word follows it."""
    pair = (words[place], words[place + 1]) if place + 1 < len(words) else ("", "")
    return words[place] in COUNTING or pair in PAIRS or (words[place] in MORE and than)


def plain_answer(answer: str) -> str:
    """An answer as it is compared; of one that is longer than any word or number, how it begins."""
    return plain(answer[:MOST_PLAIN])


@lru_cache(64)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, folded; digits count as words. A run asks for those of its question at every step."""
    return tuple(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))
