"""The resolution at which an answer breaks is found as LFPC says, and a killed selection loses nothing."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fake_model import Call, FakeModel
from rl_world import row, rows, write_data
from zoom_world import NEAR, PROFILE

from zoomagent.errors import InputRefused, SettingInvalid
from zoomagent.geometry import Size
from zoomagent.models.base import Pixels
from zoomagent.models.profiles import NANO, QWEN3_VL
from zoomagent.training.rl.environment import EnvConfig
from zoomagent.training.rl.resolution import KEPT, Selection, Steps, counts, levels, select, select_all, write
from zoomagent.training.rl.rows import alike, load_rows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path, rows(6))


def width_of(call: Call) -> int:
    [view] = [part for message in call.messages for part in message.parts if isinstance(part, Pixels)]
    return int(view.image.size[0])


def sees_until(least: int, answer: str = "47") -> FakeModel:
    """Answers while the whole is at least `least` pixels wide."""
    return FakeModel(profile=PROFILE, respond=lambda call: answer if width_of(call) >= least else "Cannot tell")


def chosen(model: FakeModel, data: Path, **changes: Any) -> Selection:
    config = EnvConfig(PROFILE, load_rows(data).images)
    return asyncio.run(select(model, config, row(NEAR, **changes), Steps()))


def test_the_first_level_whose_answer_differs_is_chosen(data: Path) -> None:
    sizes = [size.width for size in levels(PROFILE, Size(1024, 1024), Steps())]
    assert sizes[0] == 128 and sizes == sorted(sizes, reverse=True) and len(sizes) >= 4
    for place in range(1, len(sizes)):
        found = chosen(sees_until(sizes[place - 1]), data)
        assert found.resolution == sizes[place] ** 2 and found.levels == place + 1
        assert (found.full_answer, found.level_answer) == ("47", "Cannot tell")


def test_a_wrong_answer_breaks_like_a_right_one(data: Path) -> None:
    found = chosen(sees_until(100, answer="99"), data)
    assert found.resolution is not None and not found.full_right


def test_an_answer_that_never_breaks_has_no_level(data: Path) -> None:
    found = chosen(sees_until(0), data)
    assert found.resolution is None and found.full_right and found.levels > 3
    assert counts([found])["never_diverged"] == 1


def test_options_are_compared_by_what_they_name(data: Path) -> None:
    model = FakeModel(profile=PROFILE, respond=lambda call: "B" if width_of(call) >= 100 else "blue")
    assert chosen(model, data, options=["red", "blue"]).resolution is None


@pytest.mark.parametrize("profile", [PROFILE, NANO, QWEN3_VL])
@pytest.mark.parametrize("picture", [Size(1024, 1024), Size(4000, 3000), Size(700, 2100), Size(333, 97)])
def test_every_level_is_shown_at_exactly_its_size(profile: Any, picture: Size) -> None:
    sizes = levels(profile, picture, Steps())
    assert [profile.fit(picture, size.pixels) for size in sizes] == sizes
    assert all(a.pixels > b.pixels for a, b in zip(sizes, sizes[1:], strict=False))
    assert sizes[-1].pixels >= profile.min_pixels


def test_the_floor_and_the_ratio_are_kept() -> None:
    sizes = levels(PROFILE, Size(1024, 1024), Steps(ratio=0.7, floor=64 * 64))
    assert sizes[-1].pixels >= 64 * 64 and len(sizes) > 2
    with pytest.raises(SettingInvalid, match="ratio"):
        Steps(ratio=1.0)


def test_a_killed_selection_goes_on_and_ends_alike(data: Path, tmp_path: Path) -> None:
    found = load_rows(data, whole=True)
    whole = select_all(sees_until(90), found, tmp_path / "whole", Steps(), "fake")
    parts = tmp_path / "parts"
    parts.mkdir()
    lines = (tmp_path / "whole" / KEPT).read_bytes().splitlines(keepends=True)
    (parts / KEPT).write_bytes(b"".join(lines[:3]) + lines[3][:20])
    model = sees_until(90)
    again = select_all(model, found, parts, Steps(), "fake")
    assert again == whole
    assert len((parts / KEPT).read_bytes().splitlines()) == 6
    assert sum(width_of(call) == 128 for call in model.history) == 3, "three rows were already there"
    with pytest.raises(SettingInvalid, match="another --out"):
        select_all(model, found, parts, Steps(ratio=0.6), "fake")


def test_written_rows_are_the_rows_with_their_resolution(data: Path, tmp_path: Path) -> None:
    found, out = load_rows(data, whole=True), tmp_path / "out"
    selected = select_all(sees_until(90), found, out, Steps(), "fake")
    told = write(found, selected, out, Steps(), "train", keep=False)
    assert told == {
        "rows": 6, "diverged": 6, "never_diverged": 0, "wrong_at_full": 4, "wrong_and_never_diverged": 0, "written": 6,
    }  # fmt: skip
    again = load_rows(out, whole=True)
    plain = [{key: value for key, value in one.items() if key != "resolution"} for one in again.rows]
    assert plain == found.rows and again.images == found.images
    assert {one["resolution"] for one in again.rows} == {selected["row-0"].resolution}
    assert json.loads((out / "card.json").read_text())["selection"]["diverged"] == 6


def test_rows_that_never_broke_are_dropped_or_kept_in_full(data: Path, tmp_path: Path) -> None:
    found, out = load_rows(data, whole=True), tmp_path / "out"
    selected = select_all(sees_until(0), found, out, Steps(), "fake")
    assert write(found, selected, out, Steps(), "train", keep=False)["written"] == 0
    assert write(found, selected, out, Steps(), "train", keep=True)["written"] == 6
    assert [one["resolution"] for one in load_rows(out).rows] == [None] * 6


def test_a_folder_without_rows_is_named_so(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="zoomagent data trajectories"):
        load_rows(tmp_path)


def test_one_run_offers_one_set_of_tools() -> None:
    made = [{"tools": ["a"]}, {"tools": ["b"]}, {"tools": ["a"]}, {}]
    assert alike(made) == ([{"tools": ["a"]}] * 2, ("a",))
    assert alike([{}]) == ([{}], ())
