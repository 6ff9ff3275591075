"""Moments: milliseconds in, milliseconds out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoomagent.moments import Moment, intersect, iou, joined, seconds, slices, widened

DURATION = 600_000


@st.composite
def moments(draw: st.DrawFn, most: int = DURATION, least: int = 1) -> Moment:
    start = draw(st.integers(0, most - least))
    return Moment(start, draw(st.integers(start + least, most)))


@given(moments(), moments())
def test_iou_is_symmetric_bounded_and_one_for_equals_alone(a: Moment, b: Moment) -> None:
    assert iou(a, b) == iou(b, a)
    assert 0 <= iou(a, b) <= 1
    assert (iou(a, b) == 1) == (a == b)
    assert (iou(a, b) > 0) == (intersect(a, b).length > 0)


@given(st.lists(moments(most=200), max_size=8))
def test_joined_moments_hold_the_same_time_and_never_touch(several: list[Moment]) -> None:
    once = joined(several)
    assert {t for m in several for t in range(m.start, m.end)} == {t for m in once for t in range(m.start, m.end)}
    assert all(a.end < b.start for a, b in zip(once, once[1:], strict=False))
    assert joined(once) == once


@given(moments(least=100), st.integers(1, 100))
def test_slices_cover_the_moment_without_gap_or_overlap(moment: Moment, count: int) -> None:
    parts = slices(moment, count)
    assert len(parts) == count and parts[0].start == moment.start and parts[-1].end == moment.end
    assert all(a.end == b.start for a, b in zip(parts, parts[1:], strict=False))
    assert max(p.length for p in parts) - min(p.length for p in parts) <= 1


@given(moments(most=20), st.integers(1, 100))
def test_no_slice_of_a_short_moment_is_empty_or_outside(moment: Moment, count: int) -> None:
    parts = slices(moment, count)
    assert len(parts) == count and parts[0].start == moment.start and parts[-1].end == moment.end
    assert all(part.length >= 1 and intersect(part, moment) == part for part in parts)


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
