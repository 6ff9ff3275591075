"""Long questions, options and replies are read in little time: while one is read, every other run waits.

What is measured is processor time, in the best of three tries, against ten times what it took on a slow machine when
nothing was quadratic."""

import time
from collections.abc import Callable

import pytest

from zoomagent.confidence import claims, replies
from zoomagent.confidence.relations import relates_things
from zoomagent.errors import InputRefused
from zoomagent.graphs.checking import MAX_OPTION, MAX_QUESTION, MAX_TOGETHER, check_question
from zoomagent.graphs.timing import timing_of
from zoomagent.text import MAX_TEXT

LIGATURE = "\ufdfa"
"""One sign that stands for eighteen letters."""
UNITS = (
    "is ",
    "the ",
    "A) ",
    "how many more ",
    "there ",
    "in the picture ",
    "no, ",
    "left of ",
    f"{LIGATURE} ",
    "\u0130",
)
ENDS = ("", "?", " than", " seen")
LONGEST = 0.1
"""Processor seconds that reading one text may take here; before the readers were linear it took 0.3 to 2.3."""


def filled(unit: str, length: int, before: str = "", after: str = "") -> str:
    return before + (unit * (length // len(unit) + 1))[: length - len(before) - len(after)] + after


def seconds(read: Callable[[], object]) -> float:
    def once() -> float:
        claims.words_of.cache_clear()
        replies.option_words.cache_clear()
        began = time.thread_time()
        read()
        return time.thread_time() - began

    return min(once() for _ in range(3))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("after", ENDS)
def test_a_long_question_is_read_at_once(unit: str, after: str) -> None:
    question = filled(unit, MAX_QUESTION, "When ", after)
    readers: list[Callable[[str], object]] = [
        claims.counts, claims.quantity, claims.takes_for_granted, relates_things, timing_of,
        lambda text: claims.claims_all(text, "red"),
    ]  # fmt: skip
    assert max(seconds(lambda read=read: read(question)) for read in readers) < LONGEST  # type: ignore[misc]


@pytest.mark.parametrize("unit", UNITS)
def test_a_long_reply_is_read_at_once(unit: str) -> None:
    reply = filled(unit, MAX_TEXT)
    many = [f"{i} {'red blue ' * (MAX_TOGETHER // 26 // 9 - 1)}" for i in range(26)]
    for options in ((), ("red", "a blue cup", "no", "A"), many):
        assert seconds(lambda options=options: replies.read(reply, options)) < LONGEST  # type: ignore[misc]
        assert seconds(lambda options=options: replies.read(reply[:8000], options)) < LONGEST  # type: ignore[misc]
    assert seconds(lambda: claims.negative(reply)) < LONGEST
    assert seconds(lambda: claims.number(reply)) < LONGEST


def test_signs_that_stand_for_many_letters_count_as_these() -> None:
    check_question(LIGATURE * 400)
    check_question("What?", [LIGATURE, "x" * MAX_OPTION])
    for question, options in (
        (LIGATURE * 500, ()),
        ("What?", [LIGATURE * 120, "b"]),
        ("What?", [f"{i}" * MAX_OPTION for i in range(9)]),
    ):
        with pytest.raises(InputRefused, match="characters"):
            check_question(question, options)


def test_what_is_longer_than_any_answer_names_no_option() -> None:
    long = "I see a red cup. " * 600
    assert not replies.read(long, ["red", "blue"]).valid
    assert replies.read(f"{long}\nThe answer is: red", ["red", "blue"]).text == "red"
    assert replies.read("I see a red cup. " * 100, ["red", "blue"]).text == "red"


def test_a_denial_is_found_among_thousands_of_clauses() -> None:
    other = "That is so, I think. " * 300
    assert not replies.read(f"{other}It is not a red cup.", ["red cup", "blue"]).valid
    assert replies.read(f"{other}It is a red cup.", ["red cup", "blue"]).text == "red cup"
