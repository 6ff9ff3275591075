"""Rewards follow LFPC's formulas, on tables of cases."""

import pytest

from zoomagent.errors import SettingInvalid
from zoomagent.geometry import Box, Size
from zoomagent.training.rl.rewards import (
    BOX,
    GAP,
    RewardConfig,
    Rollout,
    accuracy,
    corner_distance,
    gated_iou,
    judge,
    l1_nearness,
)
from zoomagent.training.rl.trl_env import reward_functions, weights

PICTURE = Size(200, 100)
INNER = Box(40, 40, 60, 60)
OUTER = Box(20, 20, 80, 80)
NESTED = (INNER, OUTER)


@pytest.mark.parametrize(
    ("reply", "answer", "options", "right"),
    [
        ("47", "47", (), 1),
        ("47.", "47", (), 1),
        (" RED ", "red", (), 1),
        ("47 48", "47", (), 0),
        ("", "47", (), 0),
        ("Cannot tell", "Cannot tell", (), 1),
        ("cannot tell.", "47", (), 0),
        ("B", "blue", ("red", "blue"), 1),
        ("blue", "blue", ("red", "blue"), 1),
        ("A", "blue", ("red", "blue"), 0),
        ("green", "blue", ("red", "blue"), 0),
        ("x" * 1000, "x" * 1000, (), 0),
    ],
)
def test_accuracy_matches_and_never_judges(reply: str, answer: str, options: tuple[str, ...], right: float) -> None:
    assert accuracy(reply, answer, options) == right


@pytest.mark.parametrize(
    ("changes", "formed"),
    [
        ({"reply": "47"}, 1),
        ({"reply": "wrong but plain"}, 1),
        ({"reply": " "}, 0),
        ({"reply": "47", "cut": True}, 0),
        ({"reply": "47", "refused": 1}, 0),
        ({"reply": '<tool_call>{"name": 47'}, 0),
        ({"reply": "47<|image_pad|>"}, 0),
        ({"reply": "green", "options": ("red", "blue")}, 0),
    ],
)
def test_format_is_a_finished_plain_answer_after_calls_that_ran(changes: dict[str, object], formed: float) -> None:
    assert judge(Rollout(**{"answer": "47", **changes})).format == formed  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reply", "looks", "total"),
    [
        ("47", (), 0.8 + 0.2),
        ("47", (INNER,), 0.8 + 0.2 + 1.2),
        ("47", (INNER, OUTER), 0.8 + 0.2 + 1.2),
        ("48", (INNER,), 0.2),
        ("48", (), 0.2),
    ],
)
def test_the_tool_is_worth_something_only_with_the_right_answer(
    reply: str, looks: tuple[Box, ...], total: float
) -> None:
    assert judge(Rollout(reply, "47", looks=looks), GAP).total == pytest.approx(total)


@pytest.mark.parametrize(
    ("box", "value"),
    [
        (INNER, 1.0),
        (OUTER, 1.0),
        (Box(30, 30, 70, 70), 400 / 1600),
        (Box(0, 0, 200, 100), 3600 / 20000),
        (Box(40, 40, 58, 60), 0.0),
        (Box(100, 0, 120, 20), 0.0),
        (Box(41, 40, 60, 60), 0.95),
    ],
)
def test_iou_counts_only_when_most_of_the_smallest_box_is_in_the_crop(box: Box, value: float) -> None:
    """Exactly 0.9 of B_1 (the fifth case) is not more than 0.9."""
    best = max(value, 1600 / 3600) if box == Box(30, 30, 70, 70) else value
    assert gated_iou(box, NESTED, 0.9) == pytest.approx(best)


@pytest.mark.parametrize(
    ("box", "distance"),
    [
        (INNER, 0.0),
        (Box(60, 40, 80, 60), 2 * (20 / 200) / 4),
        (Box(40, 60, 60, 80), 2 * (20 / 100) / 4),
        (Box(0, 0, 200, 100), (40 / 200 + 40 / 100 + 140 / 200 + 40 / 100) / 4),
    ],
)
def test_the_corner_distance_is_the_mean_of_four_shares(box: Box, distance: float) -> None:
    assert corner_distance(box, INNER, PICTURE) == pytest.approx(distance)


def test_nearness_is_to_the_nearest_of_the_nested_boxes() -> None:
    near_outer = Box(22, 20, 80, 80)
    assert l1_nearness(near_outer, NESTED, PICTURE) == pytest.approx(1 - 2 / 200 / 4)


@pytest.mark.parametrize(("scored", "of"), [("first", 0), ("last", 1), ("best", 0)])
def test_which_crop_is_measured_is_a_setting(scored: str, of: int) -> None:
    looks = (INNER, Box(150, 60, 190, 90))
    config = RewardConfig(geometry=1.0, scored=scored)  # type: ignore[arg-type]
    parts = judge(Rollout("47", "47", looks=looks, nested=NESTED, picture=PICTURE), config)
    assert parts.iou == gated_iou(looks[of], NESTED, 0.9)
    assert parts.l1 == pytest.approx(l1_nearness(looks[of], NESTED, PICTURE))


def test_geometry_is_the_weighted_sum_and_is_added() -> None:
    config = RewardConfig(geometry=2.0, iou_share=0.25)
    crop = Box(38, 38, 62, 62)
    parts = judge(Rollout("no", "47", looks=(crop,), nested=NESTED, picture=PICTURE), config)
    assert parts.geometry == pytest.approx(0.25 * parts.iou + 0.75 * parts.l1)
    assert parts.total == pytest.approx(0.2 + 2.0 * parts.geometry)


def test_without_a_crop_or_boxes_there_is_no_geometry() -> None:
    assert judge(Rollout("47", "47", nested=NESTED, picture=PICTURE), BOX).geometry == 0
    assert judge(Rollout("47", "47", looks=(INNER,), picture=PICTURE), BOX).geometry == 0


def test_a_search_is_charged_for_and_what_it_finds_is_a_crop_that_nobody_pointed_at() -> None:
    config = RewardConfig(geometry=1.0, search=0.3)
    found = judge(Rollout("47", "47", found=(INNER,), searches=2, nested=NESTED, picture=PICTURE), config)
    assert (found.tool, found.geometry, found.search) == (1, 0, 2) and found.total == pytest.approx(2.2 - 0.6)
    pointed = judge(Rollout("47", "47", looks=(INNER,), nested=NESTED, picture=PICTURE), config)
    assert pointed.total == pytest.approx(2.2 + 1.0)


def test_only_what_counts_is_a_reward_of_its_own() -> None:
    parts = {config: dict(zip(_names(config), weights(config), strict=True)) for config in (GAP, BOX)}
    assert parts[GAP] == {"accuracy": 0.8, "format": 0.2, "tool": 1.2}
    assert parts[BOX] == {**parts[GAP], "geometry": 1.0}
    charged = RewardConfig(search=0.3)
    assert dict(zip(_names(charged), weights(charged), strict=True)) == {**parts[GAP], "search": -0.3}


def _names(config: RewardConfig) -> list[str]:
    return [part.__name__ for part in reward_functions(config, ())]


def test_a_share_beyond_one_is_refused() -> None:
    with pytest.raises(SettingInvalid, match="iou_share"):
        RewardConfig(iou_share=1.5)
