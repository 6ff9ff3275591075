"""Pictures that training keeps open are opened once, and never hold more than they may."""

from pathlib import Path

import pytest
from PIL import Image

from zoomagent.errors import InputRefused
from zoomagent.training.sft.reading import ByteCache

SIDE = 100
EACH = 3 * SIDE * SIDE


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    names = [str(tmp_path / f"{number}.png") for number in range(4)]
    for name in names:
        Image.new("RGB", (SIDE, SIDE)).save(name)
    return names


def test_what_is_kept_is_not_opened_again(files: list[str]) -> None:
    opened = ByteCache(2 * EACH)
    assert opened(files[0]) is opened(files[0])


def test_the_least_recently_used_goes_first_and_the_bound_holds(files: list[str]) -> None:
    opened = ByteCache(2 * EACH)
    first, second = opened(files[0]), opened(files[1])
    opened(files[0])
    opened(files[2])
    assert opened.bytes == 2 * EACH
    assert opened(files[0]) is first and opened(files[1]) is not second


def test_a_picture_over_the_bound_is_kept_alone(files: list[str]) -> None:
    opened = ByteCache(EACH // 2)
    for name in files:
        assert opened(name) is opened(name)
        assert opened.bytes == EACH


def test_a_file_that_is_no_picture_is_refused_and_not_kept(tmp_path: Path) -> None:
    opened = ByteCache()
    (tmp_path / "note.png").write_text("no picture")
    with pytest.raises(InputRefused):
        opened(str(tmp_path / "note.png"))
    assert opened.bytes == 0
