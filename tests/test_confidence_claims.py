"""Which answers turn on everything in the picture: in any wording, and where in doubt, yes."""

import pytest

from zoomagent.confidence.claims import (
    absent,
    asks_for_all_of,
    claims_all,
    counts,
    negative,
    quantity,
    says_which_are_more,
)

ABOUT_ALL = [
    ("Is there a yellow circle?", "No"),
    ("Is there a yellow circle?", "no."),
    ("Is there a yellow circle?", "No, there is none."),
    ("Does the picture show any yellow circle?", "Yes"),
    ("Is the picture free of circles?", "Yes"),
    ("How many circles are there?", "3"),
    ("How many circles are there?", "three"),
    ("Count the circles.", "none"),
    ("Give me the tally of circles.", "7"),
    ("Which is larger, the circle or the square?", "circle"),
    ("Which of the signs is red?", "the left one"),
    ("Are there more circles than squares?", "Yes"),
    ("Who is the tallest?", "Bob"),
    ("What is the colour of the smallest circle?", "red"),
    ("What colour do most of the circles have?", "red"),
    ("What is written on the sign?", "Cannot tell"),
    ("What is written on the sign?", "0"),
    ("Wie viele Kreise gibt es?", "drei"),
    ("Gibt es einen gelben Kreis?", "Nein"),
    ("Combien de cercles y a-t-il?", "3"),
    ("¿Hay un círculo amarillo?", "No"),
    ("有几个圆?", "红"),
    ("有没有黄色的圆?", "没有"),
    ("Hvor mange er der?", "fem"),
    ("Сколько кругов?", "три"),
    ("黄色い円はありますか", "いいえ"),
]
ABOUT_ONE = [
    ("What colour is the background?", "gray"),
    ("What colour is the circle?", "red"),
    ("Which colour has the circle?", "red"),
    ("What does the sign say?", "Exit"),
    ("Is the red circle on the left or the right?", "Left"),
    ("What is the number on the red circle?", "AB"),
    ("Welche Farbe hat der Kreis?", "rot"),
    ("Quelle est la couleur du fond?", "gris"),
    ("What is the man in the doorway wearing?", "a coat"),
]


@pytest.mark.parametrize(("question", "answer"), ABOUT_ALL)
def test_an_answer_that_may_turn_on_what_is_too_small_claims_all(question: str, answer: str) -> None:
    assert claims_all(question, answer)


@pytest.mark.parametrize(("question", "answer"), ABOUT_ONE)
def test_an_answer_about_one_thing_that_is_seen_does_not(question: str, answer: str) -> None:
    assert not claims_all(question, answer)


def test_a_question_in_a_language_that_is_not_listed_claims_all() -> None:
    assert claims_all("Mikä väri taustalla on?", "harmaa") and not claims_all("What colour is the wall?", "gray")


@pytest.mark.parametrize(
    "answer", ["No", "no", "NO.", "none", "0", "０", "Nothing", "nein", "No, I do not see one", "нет"]
)
def test_words_that_deny_are_negative(answer: str) -> None:
    assert negative(answer)


@pytest.mark.parametrize(
    "answer", ["Yes", "10", "105", "Norway", "No parking", "Notre-Dame", "red", "", "Zero Street 4"]
)
def test_words_that_only_begin_alike_are_not(answer: str) -> None:
    assert not negative(answer)


@pytest.mark.parametrize(
    ("question", "answer", "wanted"),
    [
        ("Is there a circle?", "Yes", False),
        ("Is the street free of cars?", "Yes", True),
        ("Is nothing written there?", "Yes", True),
        ("What number is on the bus?", "47", False),
        ("How many buses are there?", "47", True),
    ],
)
def test_yes_and_numbers_deny_only_where_the_question_makes_them(question: str, answer: str, wanted: bool) -> None:
    assert absent(question, answer) is wanted


def test_questions_that_count_are_told_from_numbers_that_are_written() -> None:
    assert counts("How many cars are there?") and counts("What is the number of cars?") and counts("Count the cars.")
    assert counts("Are there more cars than bikes?") and counts("Gibt es mehr Autos als Räder?")
    assert not counts("What is the number on the car?") and not quantity("Which number is on the car?")


@pytest.mark.parametrize(
    ("question", "names", "numbers", "answer", "says"),
    [
        ("Are there more cups than plates?", ("cup", "plate"), (3, 2), "Yes", True),
        ("Are there more cups than plates?", ("cup", "plate"), (2, 2), "No", True),
        ("Are there more cups than plates?", ("cup", "plate"), (2, 2), "Yes", False),
        ("Are there fewer cups than plates?", ("cup", "plate"), (1, 2), "yes.", True),
        ("Are there fewer cups than plates?", ("cup", "plate"), (1, 2), "No", False),
        ("Gibt es mehr Tassen als Teller?", ("Tasse", "Teller"), (2, 1), "Ja", True),
        ("Are there more cups than plates?", ("plate", "cup"), (3, 2), "Yes", False),
        ("Are there more cups than plates?", ("cup", "saucer"), (3, 2), "Yes", False),
        ("Are there more cups than plates?", ("cup", "plate"), (3, 2), "3", False),
        ("Are there as many cups as plates?", ("cup", "plate"), (3, 2), "Yes", False),
    ],
)
def test_numbers_bear_out_which_are_more(
    question: str, names: tuple[str, str], numbers: tuple[int, int], answer: str, says: bool
) -> None:
    assert says_which_are_more(question, names, numbers, answer) is says


@pytest.mark.parametrize(("question", "names", "all_of"), [
    ("How many red circles are there?", ["red circle"], True),
    ("How many red circles does the picture show?", ["red circles"], True),
    ("Are there more boxes than red boxes in this picture?", ["box", "red box"], True),
    ("Wie viele Hunde sind auf dem Bild?", ["Hunde"], True),
    ("How many red circles are there?", ["circle"], False),
    ("How many cups are left of the dish?", ["cups", "dish"], False),
    ("Are there more than 5 cups than plates?", ["cups", "plates"], False),
    ("Are there 2 more cups than plates?", ["cups", "plates"], False),
    ("How many people wear a hat?", ["people", "hat"], False),
    ("How many cups are there?", ["cups", "dish"], False),
    ("How many?", [""], False),
])  # fmt: skip
def test_what_asks_for_all_things_of_a_name_asks_for_nothing_else(
    question: str, names: list[str], all_of: bool
) -> None:
    assert asks_for_all_of(question, names) == all_of
