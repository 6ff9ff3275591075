"""Geometry as properties: whatever a model writes becomes a box inside the picture, or BoxInvalid."""

import math

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from zoomagent.errors import BoxInvalid
from zoomagent.geometry import (
    Box,
    Size,
    Space,
    View,
    box_from_model,
    box_to_model,
    clamp,
    coverage,
    fit_size,
    grow_to,
    intersect,
    iou,
    square_around,
    whole,
    with_margin,
)

SPACES: tuple[Space, ...] = ("pixels", "unit", "thousand", "square", "thousand-yx")
HOSTILE = [
    math.nan,
    math.inf,
    -math.inf,
    1e308,
    -1e308,
    5e-324,
    10**400,
    -(10**400),
    2**31 - 1,
    -(2**31),
    2**31,
    2**63 - 1,
    -(2**63),
    2**64,
    True,
    False,
    "1",
    "NaN",
    None,
    [1],
    {"x": 1},
    b"1",
    1j,
]

sides = st.integers(1, 20_000)
sizes = st.builds(Size, sides, sides)
ordinary = st.one_of(
    st.integers(-50, 1100),
    st.integers(-100, 20_000),
    st.floats(-0.2, 1.2),
    st.floats(-10, 1500),
    st.floats(allow_nan=True, allow_infinity=True),
)
numbers = st.one_of(ordinary, ordinary, ordinary, st.sampled_from(HOSTILE))
values = st.one_of(
    st.lists(numbers, min_size=4, max_size=4),
    st.tuples(ordinary, ordinary, ordinary, ordinary),
    st.lists(numbers, max_size=6),
    st.recursive(numbers, lambda inner: st.lists(inner, max_size=4), max_leaves=8),
)


@st.composite
def views(draw: st.DrawFn) -> tuple[Size, View]:
    """A picture and a view of a part of it."""
    picture = draw(sizes)
    left, top = draw(st.integers(0, picture.width - 1)), draw(st.integers(0, picture.height - 1))
    right, bottom = draw(st.integers(left + 1, picture.width)), draw(st.integers(top + 1, picture.height))
    size = Size(draw(st.integers(28, 2000)), draw(st.integers(28, 2000)))
    return picture, View("p", draw(st.sampled_from([Box(left, top, right, bottom), whole(picture)])), size)


def inside(box: Box, picture: Size) -> bool:
    return 0 <= box.left < box.right <= picture.width and 0 <= box.top < box.bottom <= picture.height


def attack(value: object, space: Space, case: tuple[Size, View]) -> None:
    picture, view = case
    try:
        box = box_from_model(value, space, view, picture)
    except BoxInvalid as refusal:
        assert len(str(refusal)) < 300
        return
    assert inside(box, picture)
    assert all(type(corner) is int for corner in box.as_list())


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values, st.sampled_from(SPACES), views())
@example([math.nan] * 4, "unit", (Size(100, 100), View("p", Box(0, 0, 100, 100), Size(100, 100))))
@example([0, 0, 10**400, 1], "pixels", (Size(100, 100), View("p", Box(0, 0, 100, 100), Size(100, 100))))
def test_any_value_is_a_box_inside_the_picture_or_box_invalid(
    value: object, space: Space, case: tuple[Size, View]
) -> None:
    attack(value, space, case)


@pytest.mark.slow
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(values, st.sampled_from(SPACES), views())
def test_any_of_20000_values_is_a_box_or_box_invalid(value: object, space: Space, case: tuple[Size, View]) -> None:
    attack(value, space, case)


@pytest.mark.parametrize("bad", HOSTILE, ids=repr)
@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("space", SPACES)
def test_one_hostile_number_makes_a_box_invalid(bad: object, place: int, space: Space) -> None:
    """O1. A denormal float is a number: it is next to nothing, so the box it makes is judged as any other."""
    value: list[object] = [30, 30, 200, 200] if space in ("pixels", "thousand") else [0.1, 0.1, 0.6, 0.6]
    value[place] = bad
    if bad == 5e-324 and place < 2:
        return
    with pytest.raises(BoxInvalid):
        box_from_model(value, space, VIEW, PICTURE)


PICTURE = Size(1600, 1200)
VIEW = View("p", whole(PICTURE), Size(800, 600))


@pytest.mark.parametrize("value", [None, 7, "1,2,3,4", [1, 2, 3], [1, 2, 3, 4, 5], {"bbox": 1}, [[1, 2, 3, 4]], ()])
def test_not_four_numbers_is_invalid(value: object) -> None:
    with pytest.raises(BoxInvalid, match="four"):
        box_from_model(value, "thousand", VIEW, PICTURE)


@pytest.mark.parametrize(
    ("value", "space", "scale"),
    [
        ([0.1, 0.1, 0.9, 0.9], "thousand", "1000"),
        ([0.0, 0.0, 1.0, 1.0], "pixels", "800"),
        ([100, 100, 400, 400], "unit", "x from 0 to 1 "),
        ([0.2, 0.2, 1.7, 0.9], "unit", "x from 0 to 1 "),
        ([0, 0, 1999, 800], "thousand", "1000"),
        ([100, 100, 1500, 500], "pixels", "800"),
        ([10, 20, 300, 400], "square", "square"),
    ],
)
def test_another_scale_is_named_and_never_guessed(value: list[float], space: Space, scale: str) -> None:
    """O5."""
    with pytest.raises(BoxInvalid, match=scale):
        box_from_model(value, space, VIEW, PICTURE)


@pytest.mark.parametrize("value", [[500, 100, 200, 400], [100, 400, 500, 200]])
def test_reversed_corners_are_invalid(value: list[int]) -> None:
    """O2."""
    with pytest.raises(BoxInvalid, match="reversed"):
        box_from_model(value, "thousand", VIEW, PICTURE)


@pytest.mark.parametrize("value", [[500, 500, 500, 500], [300, 500, 700, 500], [0, 0, 0, 0.0], [1000, 9, 1000, 12]])
def test_points_and_slivers_grow_around_their_centre(value: list[float]) -> None:
    """O3: except (0,0,0,0), which is on no scale."""
    if not any(value):
        with pytest.raises(BoxInvalid):
            box_from_model(value, "thousand", VIEW, PICTURE)
        return
    box = box_from_model(value, "thousand", VIEW, PICTURE)
    assert inside(box, PICTURE)
    assert min(box.width, box.height) >= 4
    assert max(box.width, box.height) <= 100 * min(box.width, box.height)
    centre = (value[0] + value[2]) / 2 * 1.6, (value[1] + value[3]) / 2 * 1.2
    assert abs((box.left + box.right) / 2 - centre[0]) <= 3
    assert abs((box.top + box.bottom) / 2 - centre[1]) <= 3


def test_half_inside_is_clipped_and_less_is_invalid() -> None:
    """O4: never the whole picture by accident."""
    assert box_from_model([-200, 0, 400, 1000], "thousand", VIEW, PICTURE) == Box(0, 0, 640, 1200)
    for value in ([-400, 0, 300, 1000], [1100, 0, 1300, 500], [-300, -300, -10, -10]):
        with pytest.raises(BoxInvalid):
            box_from_model(value, "thousand", VIEW, PICTURE)


@settings(max_examples=400, deadline=None)
@given(views(), st.sampled_from(SPACES), st.data())
def test_a_box_comes_back_from_the_models_numbers(case: tuple[Size, View], space: Space, data: st.DataObject) -> None:
    picture, view = case
    area = view.box
    left = data.draw(st.integers(area.left, max(area.left, area.right - 8)))
    top = data.draw(st.integers(area.top, max(area.top, area.bottom - 8)))
    right, bottom = (data.draw(st.integers(low, high)) for low, high in ((left, area.right), (top, area.bottom)))
    box = Box(left, top, right, bottom)
    small = min(box.width, box.height) < max(4, max(box.width, box.height) / 100)
    corner = max(box.right - area.left, box.bottom - area.top) * 1000 < 2 * max(area.width, area.height)
    if not small and not corner:
        assert box_from_model(list(box_to_model(box, space, view)), space, view, picture) == box


@pytest.mark.parametrize("decimals", [2, 3])
@settings(max_examples=50, deadline=None)
@given(case=views())
def test_rounded_numbers_cost_no_more_than_the_rounding(decimals: int, case: tuple[Size, View]) -> None:
    picture, view = case
    x, y = view.box.width // 4, view.box.height // 4
    box = Box(view.box.left + x, view.box.top + y, view.box.right - x, view.box.bottom - y)
    rounded = [round(value, decimals) for value in box_to_model(box, "unit", view)]
    back = box_from_model(rounded, "unit", view, picture)
    slack = [math.ceil(0.5 * 10**-decimals * side) + 4 for side in (view.box.width, view.box.height)]
    assert max(abs(back.left - box.left), abs(back.right - box.right)) <= max(slack[0], back.height // 50)
    assert max(abs(back.top - box.top), abs(back.bottom - box.bottom)) <= max(slack[1], back.width // 50)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("area", [Box(0, 0, 900, 600), Box(300, 100, 700, 500), Box(200, 200, 800, 300)])
def test_a_drawn_shape_is_found_again_through_a_view(space: Space, area: Box) -> None:
    """Draw a rectangle, look at a view, find the rectangle there, say it in the model's space: it is the original."""
    picture, shape = Size(900, 600), Box(420, 230, 510, 280)
    image = Image.new("L", (900, 600))
    ImageDraw.Draw(image).rectangle((shape.left, shape.top, shape.right - 1, shape.bottom - 1), fill=255)
    view = View("p", area, Size(area.width * 2, area.height * 2))
    crop = image.crop((area.left, area.top, area.right, area.bottom))
    seen = crop.resize((view.size.width, view.size.height), Image.Resampling.NEAREST).getbbox()
    assert seen is not None
    said = as_a_model_would(seen, space, view.size)
    assert box_from_model(said, space, view, picture) == shape


def as_a_model_would(seen: tuple[int, int, int, int], space: Space, size: Size) -> list[float]:
    """Written out apart from the library's own conversion."""
    side = max(size.width, size.height)
    pad_x, pad_y = (side - size.width) / 2, (side - size.height) / 2
    x0, y0, x1, y1 = seen
    said: dict[Space, list[float]] = {
        "pixels": [x0, y0, x1, y1],
        "unit": [x0 / size.width, y0 / size.height, x1 / size.width, y1 / size.height],
        "thousand": [
            1000 * x0 / size.width,
            1000 * y0 / size.height,
            1000 * x1 / size.width,
            1000 * y1 / size.height,
        ],
        "thousand-yx": [
            1000 * y0 / size.height,
            1000 * x0 / size.width,
            1000 * y1 / size.height,
            1000 * x1 / size.width,
        ],
        "square": [(x0 + pad_x) / side, (y0 + pad_y) / side, (x1 + pad_x) / side, (y1 + pad_y) / side],
    }
    return said[space]


boxes_in = views().map(lambda case: (case[0], case[1].box))


@given(boxes_in, st.integers(0, 3000), st.floats(0, 3), st.integers(1, 5000))
def test_boxes_around_boxes_hold_them_and_stay_inside(
    case: tuple[Size, Box], pixels: int, share: float, side: int
) -> None:
    picture, box = case
    grown = (square_around(box, picture), with_margin(box, picture, pixels, share), grow_to(box, picture, side))
    for around in grown:
        assert inside(around, picture)
        assert coverage(box, around) == 1
    assert grown[2].width == max(box.width, min(side, picture.width))
    assert grown[2].height == max(box.height, min(side, picture.height))


def test_dualfocus_crop_of_a_wide_box() -> None:
    square = square_around(Box(400, 300, 600, 340), Size(1000, 800))
    assert square == Box(400, 220, 600, 420)
    assert with_margin(square, Size(1000, 800), pixels=25) == Box(375, 195, 625, 445)
    assert with_margin(square, Size(1000, 800), share=0.1) == Box(380, 200, 620, 440)


@given(boxes_in, boxes_in)
def test_overlap_measures_agree(one: tuple[Size, Box], other: tuple[Size, Box]) -> None:
    a, b = one[1], other[1]
    assert 0 <= iou(a, b) == iou(b, a) <= 1
    assert iou(a, a) == coverage(a, a) == 1
    assert (coverage(a, b) > 0) == (intersect(a, b).area > 0)


@pytest.mark.parametrize("box", [Box(5, 5, 5, 9), Box(9, 5, 5, 9), Box(-90, 0, 10, 10), Box(10**400, 0, 10**401, 5)])
def test_clamp_refuses_empty_reversed_and_outside(box: Box) -> None:
    with pytest.raises(BoxInvalid):
        clamp(box, Size(100, 100))


@settings(max_examples=300, deadline=None)
@given(
    sizes,
    st.sampled_from([14, 16, 28, 32]),
    st.integers(4, 1500),
    st.floats(0, 1),
    st.sampled_from([1, 56, 100]),
    st.sampled_from([2048, 16384]),
)
def test_fitted_sizes_are_left_alone_by_the_models_own_resize(
    aspect: Size, multiple: int, tokens: int, least: float, min_side: int, max_side: int
) -> None:
    side = math.ceil(min_side / multiple)
    max_pixels = max(tokens, side * side) * multiple**2
    min_pixels = int(least * max_pixels * 0.5)
    size = fit_size(
        aspect,
        multiple=multiple,
        min_pixels=min_pixels,
        max_pixels=max_pixels,
        min_side=min_side,
        max_side=max_side,
    )
    assert smart_resize(size, multiple, min_pixels, max_pixels) == size
    assert min_side <= min(size.width, size.height) <= max(size.width, size.height) <= max_side
    assert max(size.width, size.height) <= 100 * min(size.width, size.height)


def smart_resize(size: Size, factor: int, min_pixels: int, max_pixels: int) -> Size:
    """Qwen2-VL's, as published."""
    height, width = size.height, size.width
    assert max(height, width) / min(height, width) <= 200
    h_bar, w_bar = round(height / factor) * factor, round(width / factor) * factor
    if h_bar * w_bar > max_pixels:
        beta = math.sqrt((height * width) / max_pixels)
        h_bar = max(factor, math.floor(height / beta / factor) * factor)
        w_bar = max(factor, math.floor(width / beta / factor) * factor)
    elif h_bar * w_bar < min_pixels:
        beta = math.sqrt(min_pixels / (height * width))
        h_bar, w_bar = math.ceil(height * beta / factor) * factor, math.ceil(width * beta / factor) * factor
    return Size(w_bar, h_bar)


@pytest.mark.parametrize("aspect", [Size(4, 3), Size(1, 1), Size(9, 16), Size(21, 9)])
def test_fitted_sizes_keep_the_aspect_and_fill_the_budget(aspect: Size) -> None:
    size = fit_size(aspect, multiple=32, min_pixels=4096, max_pixels=1280 * 1024)
    assert abs(math.log(size.width / size.height * aspect.height / aspect.width)) < 0.05
    assert size.pixels > 0.93 * 1280 * 1024


def test_limits_that_leave_no_size_are_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="no size"):
        fit_size(Size(1, 1), multiple=32, min_pixels=4096, max_pixels=2048)


def test_a_space_that_is_written_y_first_is_the_same_box_with_its_numbers_in_another_order() -> None:
    view = View("v", Box(100, 200, 1100, 700), Size(200, 100))
    picture = Size(4000, 3000)
    assert box_from_model([200, 100, 400, 300], "thousand-yx", view, picture) == box_from_model(
        [100, 200, 300, 400], "thousand", view, picture
    )
    box = Box(200, 300, 400, 400)
    x0, y0, x1, y1 = box_to_model(box, "thousand", view)
    assert box_to_model(box, "thousand-yx", view) == (y0, x0, y1, x1)
    with pytest.raises(BoxInvalid, match="y0, x0"):
        box_from_model([400, 300, 200, 100], "thousand-yx", view, picture)
