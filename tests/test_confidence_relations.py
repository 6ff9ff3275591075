"""Where two things lie to each other is measured by their boxes, where a question asks that and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoomagent.confidence.relations import Sort, is_so, relates_things, relation_in
from zoomagent.geometry import Box


@pytest.mark.parametrize(
    ("question", "names", "side", "order", "yes"),
    [
        ("Is the red circle left of the green diamond?", ("red circle", "green diamond"), "left", (0, 1), "Yes"),
        ("Is the cup to the left of the dish?", ("dish", "cup"), "left", (1, 0), "Yes"),
        ("Do you see the cup left of the dish?", ("cup", "dish"), "left", (0, 1), "Yes"),
        ("is THE Cup on the right side of the dish", ("cup", "Dish"), "right", (0, 1), "Yes"),
        ("Is the lamp above the table?", ("lamp", "table"), "above", (0, 1), "Yes"),
        ("Does the rug lie beneath the table?", ("rug", "table"), "below", (0, 1), "Yes"),
        ("Is the cup bigger than the dish?", ("cup", "dish"), "larger", (0, 1), "Yes"),
        ("Ist die Tasse kleiner als der Teller?", ("Tasse", "Teller"), "smaller", (0, 1), "Ja"),
        ("Ist die Tasse links von dem Teller?", ("Tasse", "Teller"), "left", (0, 1), "Ja"),
        ("Befindet sich die Lampe oberhalb des Tisches?", ("Lampe", "Tisches"), "above", (0, 1), "Ja"),
        ("Est-ce que la tasse est à gauche de l'assiette ?", ("tasse", "assiette"), "left", (0, 1), "Oui"),
        ("La lampe est-elle au-dessus de la table ?", ("lampe", "table"), "above", (0, 1), "Oui"),
        ("¿Está la taza a la derecha del plato?", ("taza", "plato"), "right", (0, 1), "Sí"),
    ],
)
def test_a_question_about_places_is_known(
    question: str, names: tuple[str, str], side: Sort, order: tuple[int, int], yes: str
) -> None:
    found = relation_in(question, names)
    assert found is not None and (found.sort, (found.first, found.second), found.yes) == (side, order, yes)
    assert relates_things(question)


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Is the cup left or right of the dish?", ("cup", "dish")),
        ("Is the cup not left of the dish?", ("cup", "dish")),
        ("Is the cup left of the dish and above the fork?", ("cup", "dish")),
        ("Is the cup left of the dish red?", ("cup", "dish")),
        ("Is the cup directly above the dish?", ("cup", "dish")),
        ("Is the cup partly left of the dish?", ("cup", "dish")),
        ("Is the cup left of the dish or behind it?", ("cup", "dish")),
        ("What is left of the cup near the dish?", ("cup", "dish")),
        ("Which cup is left of the dish?", ("cup", "dish")),
        ("How far left of the dish is the cup?", ("cup", "dish")),
        ("Is the cup left of the dish?", ("cup", "plate")),
        ("Is the cup left of the dish?", ("cup",)),
        ("Is the cup left of the cup?", ("cup", "cup")),
        ("Is the cup left of the dish?", ("cup", "dish", "fork")),
        ("Is the blue cup left of the dish?", ("cup", "dish")),
        ("Is the cup on the man's left?", ("cup", "man")),
        ("Is the cup taller than the dish?", ("cup", "dish")),
        ("Is the cup in front of the dish?", ("cup", "dish")),
        ("Is the cup left?", ("cup", "")),
        ("Is the price of the tea higher than the price of the coffee?", ("price of the tea", "price of the coffee")),
        ("Is the lamp higher than the table?", ("lamp", "table")),
        ("Is the temperature above the limit?", ("temperature", "limit")),
        ("Is the value for 2019 below the value for 2020?", ("value for 2019", "value for 2020")),
        ("Is 2019 above 2020?", ("2019", "2020")),
        ("Is team A above team B?", ("team A", "team B")),
        ("Ist das ein Buch über Hunde?", ("Buch", "Hunde")),
        ("¿Está el precio por encima del límite?", ("precio", "límite")),
        ("Le prix est-il au-dessus de la limite ?", ("prix", "limite")),
        ("Is a cup left of the dish?", ("cup", "dish")),
        ("Is the cup left of a dish?", ("cup", "dish")),
        ("Are the cups left of the dish?", ("cups", "dish")),
        ("Do the cups lie left of the dish?", ("cups", "dish")),
        ("", ("", "")),
    ],
)
def test_any_other_question_is_left_to_the_model(question: str, names: tuple[str, ...]) -> None:
    assert relation_in(question, names) is None


boxes = st.tuples(*[st.integers(0, 900)] * 2, *[st.integers(1, 100)] * 2).map(
    lambda v: Box(v[0], v[1], v[0] + v[2], v[1] + v[3])
)


@given(boxes, boxes)
def test_what_lies_left_of_another_has_it_on_its_right_and_never_both(one: Box, other: Box) -> None:
    for side, opposite in (("left", "right"), ("above", "below")):
        so = is_so(side, one, other)  # type: ignore[arg-type]
        assert so == is_so(opposite, other, one)  # type: ignore[arg-type]
        back = is_so(side, other, one)  # type: ignore[arg-type]
        assert (so is None and back is None) or so is not back
    if one.right < other.left:
        assert is_so("left", one, other) is True and is_so("right", one, other) is False
    if one.bottom < other.top:
        assert is_so("above", one, other) is True


def test_boxes_that_hold_each_others_middle_do_not_tell() -> None:
    hat, man = Box(40, 0, 60, 20), Box(0, 10, 100, 300)
    assert is_so("left", hat, man) is None and is_so("above", hat, man) is None
    assert is_so("above", Box(40, 0, 60, 9), man) is True


def test_what_looks_as_large_does_not_tell() -> None:
    one, other = Box(0, 0, 100, 100), Box(300, 0, 420, 100)
    assert is_so("larger", one, other) is None and is_so("smaller", one, other) is None
    assert is_so("larger", Box(0, 0, 200, 100), one) is True and is_so("smaller", Box(0, 0, 200, 100), one) is False


def test_a_box_without_area_does_not_tell() -> None:
    assert is_so("smaller", Box(5, 5, 5, 5), Box(0, 0, 10, 10)) is None
