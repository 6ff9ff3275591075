"""What `data view` draws: the boxes where they are, the crops, and text that stays text."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from zoomagent.cli.data import app
from zoomagent.data.trajectories.pipeline import Settings, make
from zoomagent.data.trajectories.showing import WHOLE, Sheet, as_page, sample_of_each_kind, sheet
from zoomagent.data.world.scene import SMALL
from zoomagent.data.world.writing import write_world
from zoomagent.models.profiles import QWEN3_VL


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = tmp_path_factory.mktemp("showing") / "world"
    write_world(world, SMALL, 5, 8, 512)
    make(world, world.parent / "set", Settings(world, QWEN3_VL))
    return world.parent / "set"


def test_a_sheet_holds_the_whole_with_its_target_and_every_crop(made: Path) -> None:
    one = next(row for row in sample_of_each_kind(made, 50) if row.kind == "zoom_of_zoom")
    drawn = sheet(one, made / json.loads((made / "card.json").read_text())["images"])
    assert len(drawn.pictures) == len(one.views) == 3
    left, top = (round(value * WHOLE / one.width) for value in one.targets[0][:2])
    assert drawn.pictures[0].getpixel((left, top)) == (46, 204, 64)


def test_kinds_are_mixed(made: Path) -> None:
    assert len({one.kind for one in sample_of_each_kind(made, 5)}) == 5


def test_text_of_a_data_set_is_never_markup() -> None:
    page = as_page([Sheet("<script>", (Image.new("RGB", (2, 2)),), (("user", "<img src=x onerror=alert(1)>", False),))])
    assert "<script" not in page and "<img src=x" not in page and "&lt;script&gt;" in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize("name", ["look.html", "look.png"])
def test_the_command_writes_a_page_or_a_picture(made: Path, tmp_path: Path, name: str) -> None:
    done = CliRunner().invoke(app, ["view", str(made), "--n", "2", "--out", str(tmp_path / name)])
    assert done.exit_code == 0, done.output
    if name.endswith("png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.width > 1000
    else:
        assert (tmp_path / name).read_text().count("<section>") == 2


def test_a_folder_that_is_not_finished_and_a_strange_ending_are_refused(made: Path, tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["view", str(tmp_path)]).exit_code != 0
    assert CliRunner().invoke(app, ["view", str(made), "--out", "look.pdf"]).exit_code == 2
