"""Boxes in a model's text: every way they are written, and no way to make the reader slow."""

import time
from collections.abc import Callable

import pytest

from zoomagent.models.words.dialects import mini_o3_calls, p2r_calls
from zoomagent.models.words.hermes import parse_calls
from zoomagent.models.words.parsing import parse_boxes
from zoomagent.models.words.strict_json import MAX_TEXT, json_texts, strict_json


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
        ("0.1, 0.2, 0.3, 0.4\n0.5, 0.6, 0.7, 0.8", [[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]]),
        ("Bounding box: 10, 20, 30, 40", [[10, 20, 30, 40]]),
        ("population 1,234,567,890", []),
        ("The population is 1,234,567,890.", []),
        ("There are 1, 2, 3, 4 of them", []),
        ("I counted 3, 7, 12, 15.", []),
        ("Lot 7, 8, 9, 10 in the box", []),
        ('{"bbox_2d": [1, 2, 3, 4], "bbox_2d": [5, 6, 7, 8]}', []),
        ('Here: [{"bbox_2d": [1, 2, 3, 4], "bbox_2d": [5, 6, 7, 8]}]', []),
        ('```json\n{"bbox_2d": [1, 2, 3, 4], "label": "a", "label": "b"}\n```', []),
        ('{"bbox_2d": [1, 2, 3, 4], "box": [5, 6, 7, 8]}', []),
        ('{"bbox_2d": [1, 2, 3, 4]}\n{"bbox_2d": [5, 6, 7, 8]}', [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ('It is at {"bbox_2d": [1, 2, 3, 4]}.', [[1, 2, 3, 4]]),
        ('[{"label": "box", "place": [1, 2, 3, 4]}]', [[1, 2, 3, 4]]),
        ("the sign(100,200),(300,400)", [[100, 200, 300, 400]]),
        ("<|box_start|>(100,200),(300,400)<|box_end|>", [[100, 200, 300, 400]]),
        ("<|object_ref_start|>it<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>", [[1, 2, 3, 4]]),
        ("[[100, 200], [300, 400]]", [[100, 200, 300, 400]]),
        ("from (10, 20) to (30, 40)", [[10, 20, 30, 40]]),
        ("(1,2),(3,4),(5,6)", []),
        ("<box>100 200 300 400</box>", [[100, 200, 300, 400]]),
        ("<ref>it</ref><box>[[1, 2, 3, 4], [5, 6, 7, 8]]</box>", [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ("<box>1 2 3</box>", []),
        ("<box>about 1 2 3 4</box>", []),
        ("[100 200 300 400]", [[100, 200, 300, 400]]),
        ('Here:\n{"objects": [\n {"bbox_2d": [\n 100,\n 200,\n 300,\n 400]}]}', [[100, 200, 300, 400]]),
        ('{"result": {"detections": [{"label": "a", "bbox": [1, 2, 3, 4]}]}}', [[1, 2, 3, 4]]),
        ('{"bbox_2d": [[1, 2], [3, 4]]}', [[1, 2, 3, 4]]),
        ('{"bbox_2d": [[1, 2, 3, 4], [5, 6, 7, 8]]}', [[1, 2, 3, 4], [5, 6, 7, 8]]),
        ('{"x1":100,"y1":200,"x2":300,"y2":400}', [[100, 200, 300, 400]]),
        ('[{"bbox": {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}}]', [[1, 2, 3, 4]]),
        ('{"y2": 4, "x2": 3, "y1": 2, "x1": 1}', [[1, 2, 3, 4]]),
        ('{"x": 1, "y": 2, "width": 10, "height": 20}', [[1, 2, 11, 22]]),
        ('{"x1": 1, "y1": 2, "x2": 3}', []),
        ('[{"box_2d": [200, 100, 400, 300], "label": "sign"}]', []),
        ("<think>[1,2,3,4]?</think>[100,200,300,400]", [[100, 200, 300, 400]]),
        ("<think>[1,2,3,4]", []),
        ("**[1, 2, 3, 4]**", [[1, 2, 3, 4]]),
        ("\\boxed{[1, 2, 3, 4]}", [[1, 2, 3, 4]]),
        ("I can not see it.", []),
        ("", []),
    ],
)
def test_boxes_are_read_as_written(text: str, boxes: list[list[float]]) -> None:
    assert parse_boxes(text) == boxes


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ('[{"box_2d": [200, 100, 400, 300]}]', [[200, 100, 400, 300]]),
        ("[200, 100, 400, 300]", [[200, 100, 400, 300]]),
        ('{"x1": 100, "y1": 200, "x2": 300, "y2": 400}', [[200, 100, 400, 300]]),
        ('[{"bbox_2d": [100, 200, 300, 400]}]', []),
    ],
)
def test_models_that_write_y_first_are_read_so_where_the_order_is_theirs(text: str, boxes: list[list[float]]) -> None:
    assert parse_boxes(text, y_first=True) == boxes


UNITS = (
    *(
        "(1,2),",
        "(1,2)",
        "[1 2 ",
        "<box>",
        "<box>1 2 3 4</box>",
        '{"x1":1,',
        '{"objects":[',
        "<|box_start|>",
        "<think>",
    ),
    *("1,", "[", "]", "[]", "{", "[{", "`", "```", "``` ", "```[", "-", "1 ", "1,2,3,4,", "1,2,3,4 ", "[1,2,3,4]"),
    *('{"a":', '{"bbox_2d":[1,2,3,4]}', "1.1", "1    ,    ", "9" * 5000, "[[", "<tool_call>{", "<grounding>{", '\\"'),
)
READERS: tuple[Callable[[str], object], ...] = (
    parse_boxes,
    strict_json,
    lambda text: list(json_texts(text)),
    parse_calls,
    mini_o3_calls,
    p2r_calls,
)


@pytest.mark.parametrize("unit", UNITS)
def test_pathological_text_is_read_in_no_time(unit: str) -> None:
    text = (unit * (MAX_TEXT // len(unit)))[: MAX_TEXT - 1] + "x"
    for reader in READERS:
        assert least_seconds(lambda: reader(text)) < 0.05, reader  # noqa: B023


def least_seconds(work: Callable[[], object]) -> float:
    """Processor seconds of `work`, the least of three tries: what others do to the caches is no matter."""
    tries = []
    for _ in range(3):
        start = time.process_time()
        work()
        tries.append(time.process_time() - start)
    return min(tries)


def test_longer_text_holds_no_box() -> None:
    assert parse_boxes(" " * 70_000 + "[1,2,3,4]") == []
