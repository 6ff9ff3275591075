"""Rows O10 and O11: repeated, drifting and alternating looks are noticed, and no model makes more than twelve."""

import itertools
import random
from collections.abc import Callable, Iterator

import pytest

from zoomagent.geometry import Box
from zoomagent.tools.progress import PER_RUN, PER_TURN, WORDS, Look, Stuck, stuck

Boxes = Iterator[Box]
A, B = Box(100, 100, 300, 300), Box(900, 900, 1200, 1200)


def look(box: Box | None, turn: int = 0, **more: str) -> Look:
    return Look(more.get("tool", "zoom"), more.get("view", "v"), box, more.get("label", ""), turn)


def played(boxes: Boxes) -> list[Stuck]:
    """What becomes of a model that goes on whatever it is told, one call a turn: refused calls are not history."""
    history: list[Look] = []
    told: list[Stuck] = []
    for turn, box in enumerate(itertools.islice(boxes, 10_000)):
        why = stuck(history, look(box, turn))
        told += [why] if why else []
        history += [] if why else [look(box, turn)]
    assert len(history) <= PER_RUN
    return told


def shifted(box: Box, by: int) -> Box:
    return Box(box.left + by, box.top, box.right + by, box.bottom)


def test_the_same_box_again_is_a_repeat_from_whatever_view() -> None:
    assert stuck([look(A)], look(A, 1)) == "same"
    assert stuck([look(A, view="whole")], look(A, 1, view="crop")) == "same"
    assert stuck([look(A), look(B, 1)], look(A, 2)) == "same", "A-B-A"
    assert stuck([look(A)], look(B, 1)) is None
    assert stuck([look(A, tool="zoom")], look(A, 1, tool="ground")) is None


@pytest.mark.parametrize("by", [-10, -1, 0, 1, 10])
def test_a_box_that_drifts_is_a_repeat(by: int) -> None:
    assert stuck([look(A), look(B, 1)], look(shifted(A, by), 2)) == "same"


def test_a_closer_look_into_a_region_is_no_repeat() -> None:
    nested = [Box(0, 0, 2000 - 300 * i, 2000 - 300 * i) for i in range(6)]
    history: list[Look] = []
    for turn, box in enumerate(nested):
        assert stuck(history, look(box, turn)) is None
        history.append(look(box, turn))


def test_to_and_fro_between_wandering_regions_is_noticed() -> None:
    history = [look(A, 0), look(B, 1), look(shifted(A, 50), 2)]
    assert stuck(history, look(shifted(B, 80), 3)) == "to_and_fro"
    assert stuck(history, look(Box(500, 100, 700, 300), 3)) is None


def test_without_a_box_the_same_question_of_the_same_view_is_a_repeat() -> None:
    asked = look(None, tool="search", label="red car")
    assert stuck([asked], look(None, 1, tool="search", label="red car")) == "same"
    assert stuck([asked], look(None, 1, tool="search", label="sign")) is None
    assert stuck([asked], look(None, 1, tool="search", label="red car", view="w")) is None


def test_of_a_hundred_calls_in_one_turn_four_are_run() -> None:
    history: list[Look] = []
    for i in range(100):
        new = look(Box(i * 100, 0, i * 100 + 50, 50), turn=3)
        if stuck(history, new) is None:
            history.append(new)
    assert len(history) == PER_TURN == 4
    assert stuck(history, look(B, turn=3)) == "turn_full" and stuck(history, look(B, turn=4)) is None


def wandering() -> Boxes:
    rng = random.Random(7)
    while True:
        x, y = rng.randrange(5000), rng.randrange(5000)
        yield Box(x, y, x + 200, y + 200)


PLAYERS: dict[str, Callable[[], Boxes]] = {
    "same": lambda: itertools.repeat(A),
    "a-b-a-b": lambda: itertools.cycle([A, B]),
    "drift": lambda: (shifted(A, i) for i in itertools.count()),
    "drift by a fifth": lambda: (shifted(A, 40 * i) for i in itertools.count()),
    "a-b-a-b, wandering": lambda: (shifted((A, B)[i % 2], 30 * i) for i in itertools.count()),
    "shrinking": lambda: (Box(0, 0, max(4, 4000 - i), max(4, 4000 - i)) for i in itertools.count()),
    "anywhere": wandering,
}


@pytest.mark.parametrize("name", PLAYERS)
def test_no_model_looks_more_than_twelve_times(name: str) -> None:
    told = played(PLAYERS[name]())
    assert told and all(WORDS[why].startswith("Not run") for why in told)
