"""Boxes in a model's text: every way they are written, and no way to make the reader slow."""

import time

import pytest

from zoomagent.models.parsing import parse_boxes


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("[0.10, 0.20, 0.30, 0.40]", [[0.1, 0.2, 0.3, 0.4]]),
        ("The region is 0.1,.2, 0.3, 0.4.", [[0.1, 0.2, 0.3, 0.4]]),
        ("[1,2,3,4] and (5, 6, 7, 8)", [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ("[[1, 2, 3, 4]]", [[1, 2, 3, 4]]),
        ("[-5, 1, 2, 3]", [[-5, 1, 2, 3]]),
        ('[{"bbox_2d": [1, 2, 3, 4], "label": "sign [5, 6, 7, 8]"}]', [[1, 2, 3, 4]]),
        ('Here:\n```json\n[{"bbox_2d": [1,2,3,4.5]}, {"bbox_2d": [5,6,7,8]}]\n```', [[1, 2, 3, 4.5], [5, 6, 7, 8]]),
        ('{"bbox": [1, 2, 3, 4]}', [[1, 2, 3, 4]]),
        ("[1, 2, 3]", []),
        ("[1, 2, 3, 4, 5]", []),
        ("1,2,3,4,5,6,7,8,9,1,2,3", []),
        ("[NaN, 1, 2, 3]", []),
        ("[None, 1, 2, 3, 4]", []),
        ("[1, 2, 3, 1e9]", []),
        ("x1,2,3,4,5", []),
        ('[{"bbox_2d": [1, 2, 3, true]}]', []),
        ("I can not see it.", []),
        ("", []),
    ],
)
def test_boxes_are_read_as_written(text: str, boxes: list[list[float]]) -> None:
    assert parse_boxes(text) == boxes


@pytest.mark.parametrize(
    "unit", ["1,", "[", "```", "-", "1 ", "1,2,3,4,", '{"a":', "1.1", "1    ,    ", "9" * 5000, "[["]
)
def test_pathological_text_is_read_in_no_time(unit: str) -> None:
    text = (unit * (64_000 // len(unit)))[:64_000] + "x"
    start = time.process_time()
    parse_boxes(text)
    assert time.process_time() - start < 0.5


def test_longer_text_holds_no_box() -> None:
    assert parse_boxes(" " * 70_000 + "[1,2,3,4]") == []
