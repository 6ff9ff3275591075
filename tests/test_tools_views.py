"""The crop and zoom tools alone: what a box names is what is shown, always from the original pixels."""

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import pytest
from fake_model import FAKE_PROFILE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from zoomagent.errors import BoxInvalid, ToolArgsInvalid
from zoomagent.geometry import Box, Size, Space, View, box_from_model, coverage, iou
from zoomagent.media import Picture, open_picture
from zoomagent.tools.cropping import crop, crop_all, write_box, written
from zoomagent.tools.viewing import ViewStore, box_of
from zoomagent.tools.zooming import DUALFOCUS_PIXELS, zoom, zoom_all
from zoomagent.tools.zooming_out import zoom_out

TARGET = (1200, 800, 1400, 900)


@pytest.fixture(scope="module")
def picture() -> Iterator[Picture]:
    image = Image.new("RGB", (2000, 1500), "grey")
    ImageDraw.Draw(image).rectangle((TARGET[0], TARGET[1], TARGET[2] - 1, TARGET[3] - 1), fill="red")
    with open_picture(image) as opened:
        yield opened


@pytest.fixture
def views(picture: Picture) -> ViewStore:
    return ViewStore(picture, FAKE_PROFILE)


@pytest.mark.parametrize(
    ("space", "box"),
    [
        ("thousand", [600, 533.3333, 700, 600]),
        ("unit", [0.6, 0.5333333, 0.7, 0.6]),
        ("square", [0.6, 0.525, 0.7, 0.575]),
    ],
)
def test_a_crop_shows_what_the_box_names_in_the_models_own_space(
    picture: Picture, space: Space, box: list[float]
) -> None:
    views = ViewStore(picture, replace(FAKE_PROFILE, space=space))
    result = crop(views, views.whole()["id"], box)
    image = views.image(result.views[0]["id"])
    assert box_of(result.views[0]) == Box(*TARGET)
    assert {image.getpixel(at) for at in ((3, 3), (image.width - 4, image.height - 4))} == {(255, 0, 0)}


def test_pixel_boxes_are_pixels_of_the_view_and_not_of_the_picture(picture: Picture) -> None:
    views = ViewStore(picture, replace(FAKE_PROFILE, space="pixels"))
    whole = views.whole()
    scale = whole["size"][0] / 2000, whole["size"][1] / 1500
    box = [value * scale[i % 2] for i, value in enumerate(TARGET)]
    assert box_of(crop(views, whole["id"], box).views[0]) == Box(*TARGET)


def test_a_crop_of_a_crop_is_composed_to_original_pixels(views: ViewStore) -> None:
    outer = crop(views, views.whole()["id"], [500, 500, 900, 700]).views[0]
    inner = crop(views, outer["id"], [250, 166.6667, 500, 500]).views[0]
    assert box_of(inner) == Box(*TARGET)
    assert inner["depth"] == 2 and inner["source"] == outer["id"]
    assert views.image(inner["id"]).getpixel((5, 5)) == (255, 0, 0)


def test_zoom_squares_and_widens_as_dualfocus_does(views: ViewStore) -> None:
    box = [600, 533.3333, 700, 600]
    fixed = zoom(views, views.whole()["id"], box, margin=0.0, margin_pixels=DUALFOCUS_PIXELS)
    assert box_of(fixed.views[0]) == Box(1175, 725, 1425, 975)
    relative = zoom(views, views.whole()["id"], box, margin=0.5)
    assert box_of(relative.views[0]) == Box(1100, 650, 1500, 1050)
    assert relative.target == Box(*TARGET)


def test_at_the_border_the_square_is_clipped(views: ViewStore) -> None:
    corner = box_of(zoom(views, views.whole()["id"], [0, 0, 50, 20], margin=0.25).views[0])
    assert (corner.left, corner.top) == (0, 0) and corner.right <= 2000


def test_an_unknown_view_is_told_with_the_known_ones(views: ViewStore) -> None:
    known = views.whole()["id"]
    with pytest.raises(ToolArgsInvalid, match=known):
        crop(views, "view-none", [0, 0, 10, 10])


def test_an_unusable_box_is_the_models_mistake(views: ViewStore) -> None:
    with pytest.raises(BoxInvalid):
        zoom(views, views.whole()["id"], [5000, 5000, 9000, 9000])


def test_equal_views_have_equal_ids_and_other_views_others(views: ViewStore, picture: Picture) -> None:
    again = ViewStore(picture, FAKE_PROFILE)
    assert views.whole()["id"] == again.whole()["id"]
    assert crop(views, views.whole()["id"], [0, 0, 500, 500]).views[0]["id"] != views.whole()["id"]
    with open_picture(Image.new("RGB", (2000, 1500), "black")) as other:
        assert ViewStore(other, FAKE_PROFILE).whole()["id"] != views.whole()["id"]


def test_views_can_be_rebuilt_from_their_records(views: ViewStore, picture: Picture) -> None:
    record = crop(views, views.whole()["id"], [600, 533, 700, 600]).views[0]
    again = ViewStore(picture, FAKE_PROFILE)
    again.know([record])
    assert again.image(record["id"]).tobytes() == views.image(record["id"]).tobytes()


def test_views_keep_to_the_limits(picture: Picture) -> None:
    views = ViewStore(picture, FAKE_PROFILE, max_pixels=200 * 200)
    width, height = views.whole()["size"]
    assert width * height <= 200 * 200
    assert views.tokens([views.whole()["id"]]) == width * height // 32**2


def test_a_small_crop_is_not_blown_up_without_end(views: ViewStore) -> None:
    width, height = crop(views, views.whole()["id"], [600, 600, 620, 627]).views[0]["size"]
    assert width * height <= 16 * 40 * 41, "40 x 40 original pixels are drawn at most four times as large"


def test_several_boxes_are_cropped_at_once_or_none(views: ViewStore) -> None:
    whole = views.whole()["id"]
    boxes = [[600, 533, 700, 600], [0, 0, 500, 500]]
    both = crop_all(views, whole, boxes)
    assert [record["id"] for record in both.views] == [crop(views, whole, box).views[0]["id"] for box in boxes]
    zoomed = zoom_all(views, whole, boxes, margin=0.5)
    assert [record["id"] for record in zoomed.views] == [
        zoom(views, whole, box, margin=0.5).views[0]["id"] for box in boxes
    ]
    with pytest.raises(BoxInvalid, match="Box 2 of 2"):
        crop_all(views, whole, [boxes[0], [9, 9, 1, 1]])
    with pytest.raises(BoxInvalid, match="at least one"):
        zoom_all(views, whole, [])


def test_zooming_out_leads_to_the_whole_picture_and_ends_there(views: ViewStore) -> None:
    whole = views.whole()
    view = crop(views, whole["id"], [600, 533, 640, 560]).views[0]
    seen = [view]
    while seen[-1]["id"] != whole["id"]:
        wider = zoom_out(views, seen[-1]["id"]).views[0]
        assert coverage(box_of(seen[-1]), box_of(wider)) == 1.0 and box_of(wider).area > box_of(seen[-1]).area
        seen.append(wider)
    assert 3 < len(seen) < 10
    with pytest.raises(ToolArgsInvalid, match="nothing around it"):
        zoom_out(views, whole["id"])


def test_zooming_out_stays_in_the_view_it_was_cut_from(views: ViewStore) -> None:
    outer = crop(views, views.whole()["id"], [400, 400, 800, 800]).views[0]
    corner = crop(views, outer["id"], [0, 0, 100, 100]).views[0]
    wider = zoom_out(views, corner["id"]).views[0]
    assert box_of(wider) == Box(800, 600, 960, 720)
    most = crop(views, outer["id"], [100, 100, 800, 800]).views[0]
    assert zoom_out(views, most["id"]).views == (outer,)


@given(box=st.tuples(*[st.integers(0, 900)] * 2, *[st.integers(5, 1000)] * 2), factor=st.floats(1.2, 8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_zooming_out_always_shows_more(views: ViewStore, box: tuple[int, int, int, int], factor: float) -> None:
    left, top, width, height = box
    numbers = [left, top, min(left + width, 1000), min(top + height, 1000)]
    view = zoom(views, views.whole()["id"], numbers).views[0]
    if box_of(view).size == views.picture.size:
        return
    wider = box_of(zoom_out(views, view["id"], factor=factor).views[0])
    assert coverage(box_of(view), wider) == 1.0 and wider.area > box_of(view).area


@pytest.mark.parametrize("space", ["thousand", "pixels", "unit", "square"])
def test_a_box_is_written_as_the_model_would_write_it(picture: Picture, space: Space) -> None:
    views = ViewStore(picture, replace(FAKE_PROFILE, space=space))
    whole = views.whole()["id"]
    numbers = written(views, whole, Box(*TARGET))
    again = crop(views, whole, numbers).target
    assert again is not None and iou(again, Box(*TARGET)) > 0.97
    assert all(isinstance(n, int) for n in numbers) == (space in ("thousand", "pixels"))
    inside = crop(views, whole, written(views, whole, Box(0, 0, 1000, 750))).views[0]["id"]
    corner = written(views, inside, Box(500, 375, 1500, 1125))
    assert corner[2:] == written(views, inside, Box(0, 0, 1000, 750))[2:], "cut at the border of the view"


@pytest.mark.parametrize("space", get_args(Space))
@pytest.mark.parametrize("step", [1, 10, 30])
def test_a_box_is_written_as_finely_as_the_model_was_taught_and_keeps_its_thing(space: Space, step: int) -> None:
    profile = replace(FAKE_PROFILE, space=space, box_step=step)
    size = Size(4000, 3000)
    view = View("", Box(0, 0, 4000, 3000), profile.fit(size))
    unit = 0.001 if space in ("unit", "square") else 1
    coarse = step if space != "pixels" else 1
    for target in (Box(*TARGET), Box(1000, 900, 1040, 1200), Box(0, 2600, 2000, 3000)):
        numbers = write_box(target, profile, view)
        assert all(abs(n / (unit * coarse) - round(n / (unit * coarse))) < 1e-6 or n == 1000 * unit for n in numbers)
        assert all(isinstance(n, int) for n in numbers) == (unit == 1)
        again = box_from_model(numbers, space, view, size)
        side = 1 + (4000 / view.size.width if space == "pixels" else 4 * coarse)
        assert all(abs(a - b) <= side for a, b in zip(again.as_list(), target.as_list(), strict=True))
        assert coarse == 1 or coverage(target, again) == 1
    for tiny in (Box(7, 9, 8, 10), Box(0, 0, 1, 3000), Box(3999, 2999, 4000, 3000)):
        left, top, right, bottom = write_box(tiny, profile, view)
        assert left < right and top < bottom


def test_a_profile_may_show_the_whole_smaller_than_its_crops(picture: Picture) -> None:
    stores = [ViewStore(picture, profile) for profile in (FAKE_PROFILE, replace(FAKE_PROFILE, whole_pixels=64 * 64))]
    full, small = (store.whole() for store in stores)
    assert small["size"][0] * small["size"][1] <= 64 * 64 < full["size"][0] * full["size"][1]
    assert small["box"] == full["box"]
    crops = [crop(store, store.whole()["id"], [0, 0, 500, 500]).views[0] for store in stores]
    assert crops[0]["size"] == crops[1]["size"]
