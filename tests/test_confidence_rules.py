"""Reading replies, measuring them, choosing between them: pure rules on tables of cases."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoomagent.confidence.likelihood import diluted, of_tokens, probability, usable
from zoomagent.confidence.replies import CANNOT_TELL, ReadAnswer, abstains, read, read_published, same
from zoomagent.confidence.selection import Candidate, Comparison, bound, choose, needs_weighing, take
from zoomagent.models.base import Likelihood, Token

OPTIONS = ["blue", "red sign", "A dog", "12"]


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("A", "A"),
        ("b.", "B"),
        ("(C)", "C"),
        ("D: 12", "D"),
        ("blue", "A"),  # the text beats the letter b
        ("Blue.", "A"),
        ("a dog", "C"),
        ("It is the red sign", "B"),
        ("the number is 12", "D"),
        ("E", None),
        ("blue or red sign", None),
        ("123", None),
        ("no idea", None),
        ("", None),
    ],
)
def test_a_reply_names_an_option_by_text_letter_or_mention(reply: str, letter: str | None) -> None:
    answer = read(reply, OPTIONS)
    assert answer.letter == letter
    assert answer.valid == (letter is not None)
    if letter:
        assert answer.text == OPTIONS[ord(letter) - ord("A")]


@pytest.mark.parametrize(
    ("reply", "letter"),
    [("blue", "B"), ("A", "A"), ("the red sign", "B"), ("a dog", "A"), ("E", None), ("12", "D")],
)
def test_the_published_rule_takes_the_first_character(reply: str, letter: str | None) -> None:
    assert read_published(reply, OPTIONS).letter == letter


@pytest.mark.parametrize("reply", ["Cannot tell", "cannot tell.", "  CANNOT  TELL "])
@pytest.mark.parametrize("rule", [read, read_published])
def test_cannot_tell_is_an_answer_and_not_option_c(reply: str, rule: Any) -> None:
    assert rule(reply, OPTIONS) == ReadAnswer(CANNOT_TELL, True)
    assert abstains(reply)


def test_free_text_is_its_own_answer_unless_empty() -> None:
    assert read(" Exit 12 ") == ReadAnswer("Exit 12", True)
    assert not read("  ").valid
    assert read_published("").valid


@given(st.text(), st.lists(st.text(min_size=1), max_size=5))
def test_any_reply_can_be_read(reply: str, options: list[str]) -> None:
    for rule in (read, read_published):
        answer = rule(reply, options)
        assert answer.letter is None or answer.text == options[ord(answer.letter) - ord("A")]


def test_answers_are_compared_without_case_spaces_and_closing_points() -> None:
    assert same(ReadAnswer("Exit  12.", True), ReadAnswer("exit 12", True))
    assert not same(ReadAnswer("Exit 12", True), ReadAnswer("Exit 1 2", True))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_no_likelihood_give_none(bad: float) -> None:
    assert of_tokens((Token("a", -0.1), Token("b", bad))) is None
    assert usable(Likelihood(bad, 2)) is None


def test_no_tokens_give_no_likelihood() -> None:
    assert of_tokens(None) is None and of_tokens(()) is None and usable(Likelihood(-1.0, 0)) is None


def test_probability_is_the_product_of_the_tokens() -> None:
    tokens = (Token("a", math.log(0.5)), Token("b", math.log(0.25)))
    likelihood = of_tokens(tokens)
    assert likelihood is not None and probability(likelihood) == pytest.approx(0.125)


def test_a_likelihood_above_certain_is_certain() -> None:
    assert probability(Likelihood(1e-7, 1)) == 1.0


def test_the_published_score_counts_the_box_turn_in() -> None:
    assert diluted(Likelihood(-6.0, 12), Likelihood(-1.0, 2)).mean == pytest.approx(-0.5)


def candidate(text: str, logprob: float | None = -0.5, valid: bool = True) -> Candidate:
    own = None if logprob is None else Likelihood(logprob, 2)
    return Candidate(ReadAnswer(text, valid), own)


A, B = candidate("Exit"), candidate("Car")
WORDS = (Likelihood(-0.2, 1), Likelihood(-0.1, 1))


@pytest.mark.parametrize(
    ("macro", "micro", "weighed", "chosen"),
    [
        (A, candidate("", valid=False), None, "macro"),
        (candidate("", valid=False), B, None, "micro"),
        (candidate("x", valid=False), candidate("y", valid=False), None, "macro"),
        (A, candidate("exit."), None, "micro"),
        (A, B, None, "macro"),
        (A, B, Comparison("shared", -1.0, -2.0, WORDS), "macro"),
        (A, B, Comparison("shared", -2.0, -1.0, WORDS), "micro"),
        (A, B, Comparison("shared", -1.0, -1.0, WORDS), "macro"),
        (A, B, Comparison("votes", 2, 3, asked=5), "micro"),
        (A, B, Comparison("votes", 0, 0, asked=5), "macro"),
    ],
)
def test_the_selection_is_that_of_dualfocus(
    macro: Candidate, micro: Candidate, weighed: Comparison | None, chosen: str
) -> None:
    choice = choose(macro, micro, weighed)
    assert choice.perspective == chosen
    assert choice.reason


def test_confidence_comes_from_the_words_even_where_ranks_are_diluted() -> None:
    choice = choose(A, B, Comparison("published", -2.0, -1.0, WORDS))
    assert choice.confidence == pytest.approx(math.exp(-0.1))


NONE_SEEN, BLIND = candidate("Exit", -0.1), candidate("Cannot tell", 0.0)


@pytest.mark.parametrize("weighed", [None, Comparison("votes", 4, 1, asked=5)])
def test_a_sure_cannot_tell_of_the_whole_loses_to_a_crop_that_a_check_saw(weighed: Comparison | None) -> None:
    assert choose(BLIND, NONE_SEEN, weighed, seen=0.9).perspective == "micro"
    assert choose(BLIND, NONE_SEEN, weighed, seen=0.2).perspective == "macro"
    assert choose(BLIND, NONE_SEEN, weighed).perspective == "macro"


def test_what_was_scored_in_one_dialogue_is_not_overruled_by_a_check() -> None:
    assert choose(BLIND, NONE_SEEN, Comparison("shared", -0.1, -5.0, WORDS), seen=0.9).perspective == "macro"


@pytest.mark.parametrize("macro", [-9.0, -1.0, 0.0])
def test_likelihoods_of_two_dialogues_are_never_compared(macro: float) -> None:
    """How sure the whole is of its answer changes nothing."""
    for micro in (-0.01, -0.3, -2.0):
        found = bound(candidate("Car", macro), candidate("Exit", micro))
        assert found == bound(candidate("Car", -3.0), candidate("Exit", micro))
        assert (found is not None) == (micro > -1.0)


def test_votes_are_a_share_and_say_that_they_are_agreement() -> None:
    choice = choose(A, B, Comparison("votes", 1, 3, asked=5))
    assert (choice.confidence, choice.source) == (0.6, "agreement")


def test_without_a_likelihood_there_is_no_confidence() -> None:
    assert take("macro", candidate("Exit", None), "because").confidence is None


def test_only_valid_answers_that_differ_are_weighed() -> None:
    assert needs_weighing(A, B)
    assert not needs_weighing(A, candidate("EXIT"))
    assert not needs_weighing(A, candidate("x", valid=False))
    assert not needs_weighing(A, None)
