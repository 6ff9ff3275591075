"""Lines as oriented boxes: parts are joined, readings that clash are chosen between, and nothing is lost on the way."""

import math
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from zoomagent.geometry import Box, Size, coverage
from zoomagent.media import open_picture
from zoomagent.tools.lines import (
    Line,
    Reading,
    are_parts,
    area_of,
    axes_of,
    choose_lines,
    join_parts,
    line_of,
    reading_order,
    shared,
)
from zoomagent.tools.reader import Quad
from zoomagent.tools.reading import level

PICTURE = Size(2000, 2000)


def turned(left: float, top: float, width: float, height: float, degrees: float = 0) -> Quad:
    """A box turned around (1000, 1000), clockwise on the page."""
    corners = np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]], float)
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.asarray((corners - 1000) @ np.array([[c, s], [-s, c]]) + 1000, np.float64)


def line(text: str, score: float, quad: Quad, shrink: float = 1) -> Line:
    return line_of(Reading(text, score, shrink), quad, PICTURE)


@pytest.mark.parametrize("degrees", [0, 7, 30, 90, -60, 180])
def test_parts_of_a_line_are_joined_whatever_way_it_runs(degrees: float) -> None:
    left, right = turned(500, 900, 420, 40, degrees), turned(880, 902, 400, 38, degrees)
    [joined] = join_parts([[left], [right]])
    expected = turned(500, 900, 780, 40, degrees)
    assert shared(joined, expected) > 0.97 * area_of(expected) and area_of(joined) < 1.1 * area_of(expected)
    assert np.linalg.norm(joined[0] - left[0]) < 5, "the first letter's top stays first"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (turned(500, 945, 420, 40), "the next line"),
        (turned(950, 900, 300, 40), "the next column"),
        (turned(700, 860, 300, 120), "larger letters"),
        (turned(500, 900, 420, 40, 20), "another direction"),
    ],
)
def test_other_lines_are_not_joined(other: Quad, why: str) -> None:
    mine = turned(500, 900, 420, 40)
    assert not are_parts(mine, other), why
    assert len(join_parts([[mine], [other]])) == 2


def test_what_one_view_holds_apart_stays_apart_and_the_order_of_views_does_not_matter() -> None:
    pieces = [turned(100, 100, 500, 30), turned(580, 101, 500, 30), turned(1060, 100, 500, 30)]
    for order in ([0, 1, 2], [0, 2, 1], [2, 0, 1]):
        assert len(join_parts([[pieces[i]] for i in order])) == 1
    assert len(join_parts([pieces])) == 3


def test_thousands_of_lines_are_joined_and_chosen_between_in_no_time() -> None:
    before = time.process_time()
    quads = [turned(20 + 300 * x, 12 * y, 280, 10) for x in range(6) for y in range(160)]
    assert len(join_parts([quads, [quad + 1 for quad in quads]])) == len(quads)
    lines = [line("word", 0.8, quad) for quad in quads]
    assert len(choose_lines(lines, [line("word", 0.9, quad) for quad in quads])) == len(quads)
    assert time.process_time() - before < 20, "the square of their number would take minutes"


def test_the_likelier_reading_is_chosen_and_the_other_one_kept() -> None:
    quad = turned(100, 100, 400, 30)
    macro, micro = line("ph0ne", 0.7, quad, 4), line("phone", 0.98, quad + 1, 1)
    for chosen in (choose_lines([macro], [micro]), choose_lines([micro], [macro])):
        [one] = chosen
        assert one.text == "phone" and {reading.text for reading in one.readings} == {"phone", "ph0ne"}


def test_a_sure_piece_does_not_win_over_all_of_the_line() -> None:
    full = line("call 06221 4711", 0.8, turned(100, 100, 600, 30), 2)
    piece = line("call", 0.99, turned(100, 100, 150, 30), 1)
    assert [one.text for one in choose_lines([full], [piece])] == ["call 06221 4711"]
    fat = line("c4ll 06221 47ll", 0.72, turned(90, 70, 620, 100), 4)
    fine = line("call 06221 4711", 0.98, turned(100, 100, 600, 30), 1)
    assert [one.text for one in choose_lines([fat], [fine])] == ["call 06221 4711"], "a fat box counts by its length"
    surer = line("call 06221 4711", 0.97, turned(100, 100, 600, 30), 1)
    assert [one.text for one in choose_lines([piece], [surer])] == ["call 06221 4711"]


@pytest.mark.parametrize("degrees", [0, 30, 90])
def test_pieces_from_afar_do_not_stay_beside_the_whole(degrees: float) -> None:
    pieces = [line(text, 0.8, turned(x, 100, 190, 30, degrees), 2) for text, x in (("A", 0), ("B", 205), ("C", 400))]
    full = line("A B C", 0.97, turned(0, 101, 590, 29, degrees))
    below = line("below", 0.7, turned(0, 140, 590, 30, degrees), 2)
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        chosen = choose_lines([below, *(pieces[i] for i in order)], [full])
        assert sorted(one.text for one in chosen) == ["A B C", "below"]
        [one] = [one for one in chosen if one.text == "A B C"]
        assert sorted(reading.text for reading in one.readings) == ["A", "A B C", "B", "C"]
    surer = [line(one.text, 0.99, one.quad, 2) for one in pieces]
    unsure = line("A 8 C", 0.5, full.quad)
    assert sorted(one.text for one in choose_lines(surer, [unsure])) == ["A", "B", "C"]


def test_what_a_winner_only_touches_stays() -> None:
    """A coarse view's boxes are fat and touch their neighbours; a winner may say a part of a line only."""
    fat = line("upper", 0.98, turned(100, 100, 600, 44), 2)
    smear = line("a", 0.4, turned(95, 96, 620, 110), 2)
    lower, lowest = line("lower", 0.98, turned(100, 132, 590, 24)), line("lowest", 0.98, turned(100, 165, 590, 24))
    assert {one.text for one in choose_lines([smear, fat], [lower, lowest])} == {"upper", "lower", "lowest"}
    start, long = (
        line("the first", 0.6, turned(100, 300, 300, 30), 2),
        line("the first of many words", 0.9, turned(100, 300, 900, 30), 2),
    )
    closer = line("the first", 0.99, turned(100, 300, 300, 30))
    assert {one.text for one in choose_lines([start, long], [closer])} == {"the first", "the first of many words"}


def test_two_lines_that_a_coarse_view_took_for_one_are_two_and_lines_apart_are_left_alone() -> None:
    both = line("smeared", 0.55, turned(100, 100, 600, 70), 4)
    upper, lower = line("upper", 0.97, turned(100, 100, 600, 32)), line("lower", 0.98, turned(105, 137, 590, 32))
    far = line("far", 0.6, turned(100, 900, 600, 32))
    assert {one.text for one in choose_lines([both, far], [upper, lower])} == {"upper", "lower", "far"}


def test_lines_come_from_top_to_bottom_and_from_left_to_right() -> None:
    lines = [line(t, 1, turned(x, y, 200, 30)) for t, x, y in (("d", 100, 300), ("b", 600, 104), ("a", 100, 100))]
    assert [one.text for one in reading_order([*lines, line("c", 1, turned(300, 200, 200, 30))])] == [
        "a",
        "b",
        "c",
        "d",
    ]


@pytest.mark.parametrize("degrees", [0, 12, 45, -30, 90, 170, 270])
def test_a_line_is_cut_out_level_from_where_it_was_drawn(degrees: float) -> None:
    drawn = np.zeros((2000, 2000, 3), np.uint8)
    quad = turned(800, 960, 400, 80, degrees)
    cv2.fillPoly(drawn, [np.round(quad).astype(np.int32)], (255, 255, 255))
    ordered = np.array(sorted(quad.tolist(), key=lambda p: p[0]))  # as a detector gives it: by place, not by letters
    first, last = sorted(ordered[:2].tolist(), key=lambda p: p[1]), sorted(ordered[2:].tolist(), key=lambda p: p[1])
    found = np.array([first[0], last[0], last[1], first[1]])
    with open_picture(Image.fromarray(drawn)) as picture:
        pixels = level(picture, found)
    height, width = pixels.shape[:2]
    assert width / height == pytest.approx(5, rel=0.1) and pixels.mean() > 240
    assert axes_of(found).height == pytest.approx(80, abs=3)
    box = line("x", 1, found).box
    assert coverage(Box(*(int(v) for v in (*quad.min(0), *quad.max(0)))), box) > 0.98
