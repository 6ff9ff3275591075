"""Moments: milliseconds in, milliseconds out; every space converts back to what was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoomagent.errors import MomentInvalid
from zoomagent.moments import (
    STEPS,
    Moment,
    TimeSpace,
    clamp,
    intersect,
    iou,
    joined,
    moment_from_model,
    moment_to_model,
    seconds,
    set_iou,
    slices,
    widened,
)

DURATION = 600_000
SPACES: list[TimeSpace] = ["seconds", "share", "hundred"]


@st.composite
def moments(draw: st.DrawFn, most: int = DURATION, least: int = 1) -> Moment:
    start = draw(st.integers(0, most - least))
    return Moment(start, draw(st.integers(start + least, most)))


@given(moments(), moments())
def test_iou_is_symmetric_bounded_and_one_for_equals_alone(a: Moment, b: Moment) -> None:
    assert iou(a, b) == iou(b, a) == set_iou([a], [b])
    assert 0 <= iou(a, b) <= 1
    assert (iou(a, b) == 1) == (a == b)
    assert (iou(a, b) > 0) == (intersect(a, b).length > 0)


@given(st.lists(moments(most=200), max_size=8))
def test_joined_moments_hold_the_same_time_and_never_touch(several: list[Moment]) -> None:
    once = joined(several)
    assert {t for m in several for t in range(m.start, m.end)} == {t for m in once for t in range(m.start, m.end)}
    assert all(a.end < b.start for a, b in zip(once, once[1:], strict=False))
    assert joined(once) == once
    assert set_iou(several, once) == 1


@given(moments(), st.integers(1, 100))
def test_slices_cover_the_moment_without_gap_or_overlap(moment: Moment, count: int) -> None:
    parts = slices(moment, count)
    assert len(parts) == count and parts[0].start == moment.start and parts[-1].end == moment.end
    assert all(a.end == b.start for a, b in zip(parts, parts[1:], strict=False))
    assert max(p.length for p in parts) - min(p.length for p in parts) <= 1


@given(st.sampled_from(SPACES), moments(least=20_000), st.data())
def test_a_moment_comes_back_through_every_space_within_its_step(
    space: TimeSpace, shown: Moment, data: st.DataObject
) -> None:
    step = 1 if space == "seconds" else round(STEPS[space] / (100 if space == "hundred" else 1) * shown.length)
    least = shown.length // 40  # longer than the coarsest step
    start = data.draw(st.integers(shown.start, shown.end - least))
    moment = Moment(start, data.draw(st.integers(start + least, shown.end)))
    back = moment_from_model(moment_to_model(moment, space, shown), space, shown, DURATION)
    assert abs(back.start - moment.start) <= step + 1 and abs(back.end - moment.end) <= step + 1
    for other in SPACES:
        via = moment_from_model(moment_to_model(back, other, shown), other, shown, DURATION)
        again = moment_to_model(via, other, shown)
        assert moment_from_model(again, other, shown, DURATION) == via, "converting twice changes nothing"


@given(
    st.lists(st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.booleans()), max_size=4),
    st.sampled_from(SPACES),
    moments(least=100),
)
def test_what_a_model_says_is_a_moment_of_the_clip_or_invalid(
    values: list[float], space: TimeSpace, shown: Moment
) -> None:
    try:
        moment = moment_from_model(values, space, shown, DURATION)
    except MomentInvalid as error:
        assert str(error).endswith(".")
        return
    assert 0 <= moment.start < moment.end <= DURATION
    assert len(values) == 2


@given(st.integers(-1000, 1500), st.integers(-1000, 1500))
def test_clamp_keeps_what_lies_half_inside_and_nothing_else(start: int, end: int) -> None:
    inside = max(0, min(end, 1000) - max(start, 0))
    if end > start and inside and 2 * inside >= end - start:
        assert clamp(Moment(start, end), 1000) == Moment(max(start, 0), min(end, 1000))
    else:
        with pytest.raises(MomentInvalid):
            clamp(Moment(start, end), 1000)


@given(moments(), st.integers(0, DURATION))
def test_a_widened_moment_holds_the_moment_and_stays_in_the_clip(moment: Moment, margin: int) -> None:
    wide = widened(moment, margin, DURATION)
    assert intersect(wide, moment) == moment
    assert wide.start >= 0 and wide.end <= DURATION


@pytest.mark.parametrize(
    ("time", "text"),
    [(0, "0 s"), (7250, "7.25 s"), (59_999, "59.999 s"), (60_000, "1:00"), (123_500, "2:03.5"), (3_723_000, "1:02:03")],
)
def test_times_are_written_as_people_read_them(time: int, text: str) -> None:
    assert seconds(time) == text
