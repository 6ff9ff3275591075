"""MCP as hosts really use it: arrays as text, names as people type them, and results that no host drops."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_model import FakeModel
from PIL import Image
from test_plugins_mcp import called
from zoo import png

from zoomagent.errors import ToolArgsInvalid
from zoomagent.plugins.offers import offering
from zoomagent.plugins.offers.offering import PICTURE_BYTES, jpeg
from zoomagent.plugins.offers.offers import PublicLine, read_offer
from zoomagent.plugins.offers.public import MAX_CROP_SIDE, PublicBox

BOX = [0.0, 0.0, 0.5, 0.5]


@pytest.mark.parametrize(
    "sent",
    [
        BOX,
        "[0, 0, 0.5, 0.5]",
        " [0,0,0.5,5e-1] ",
        "0, 0, 0.5, 0.5",
        "(0, 0, 0.5, 0.5)",
        ["0", "0", "0.5", "0.5"],
        '["0","0","0.5","0.5"]',
    ],
)
def test_a_box_is_read_however_a_host_sends_it(sent: object) -> None:
    for name in ("crop", "zoom", "read_text"):
        asked: Any = read_offer(name, {"image": "a.png", "box": sent})
        assert asked.box == BOX


@pytest.mark.parametrize("sent", ["", "null", None])
def test_what_is_left_out_may_be_sent_as_text(sent: object) -> None:
    asked: Any = read_offer("read_text", {"image": "a.png", "box": sent, "units": sent})
    assert asked.box is None and asked.units is None


@pytest.mark.parametrize(
    "sent", ["left half", "[0, 0, 0.5]", "[0, 0, 0.5, 1e999]", "[NaN, 0, 1, 1]", "{}", "[[0,0,1,1]]", "[" * 90_000, 5]
)
def test_what_is_no_box_stays_none(sent: object) -> None:
    with pytest.raises(ToolArgsInvalid):
        read_offer("crop", {"image": "a.png", "box": sent})


def test_options_and_numbers_come_as_text_too() -> None:
    given = {
        "image": "a.png",
        "question": "[1, 2]",
        "options": '["a", "b"]',
        "target_error": "0.05",
        "strategy": "null",
    }
    asked: Any = read_offer("answer_about_image", given)
    assert (asked.options, asked.target_error, asked.strategy, asked.question) == (["a", "b"], 0.05, None, "[1, 2]")


@pytest.mark.parametrize("form", ["{}", "file://{}", "~/picture.png", "picture.png"])
def test_hosts_name_files_below_a_root(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "picture.png").write_bytes(png())
    name = form.format(tmp_path / "picture.png")
    result = called(FakeModel(), "crop", {"image": name, "box": "[0, 0, 1, 1]"}, root=tmp_path)
    assert not result.is_error


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8))


@pytest.mark.parametrize("tool", ["crop", "zoom"])
def test_a_result_stays_below_a_megabyte_whatever_the_picture(tool: str, tmp_path: Path) -> None:
    noise(MAX_CROP_SIDE).save(tmp_path / "noise.png")
    result = called(FakeModel(), tool, {"image": "noise.png", "box": [0, 0, 1, 1]}, root=tmp_path)
    assert not result.is_error and len(result.model_dump_json(by_alias=True)) < 1_000_000


@pytest.mark.parametrize("most", [PICTURE_BYTES, PICTURE_BYTES // 4, 20_000, 2_000])
def test_a_picture_is_a_jpeg_of_at_most_so_many_bytes(most: int) -> None:
    file = jpeg(noise(MAX_CROP_SIDE), most)
    assert len(file) <= most and file[:2] == b"\xff\xd8"


def test_a_plain_picture_keeps_its_quality() -> None:
    plain = Image.linear_gradient("L").convert("RGB")
    assert jpeg(plain) == jpeg(plain, 10**9)


@pytest.mark.parametrize("text", ["word", "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 40, '\\"\n' * 20, "x" * 70_000])
def test_a_dense_page_of_text_is_cut_and_says_so(text: str) -> None:
    box = PublicBox(pixels=(9999, 9999, 9999, 9999), relative=(1 / 3, 1 / 3, 1 / 3, 1 / 3))
    kept = offering._as_fits(tuple(PublicLine(text=text, box=box, score=1 / 3) for _ in range(20_000)))
    value = json.dumps([line.model_dump(mode="json") for line in kept])
    words = json.dumps("\n".join(f"{line.text!r} at {list(line.box.pixels)}" for line in kept))
    assert len(kept) < 20_000 and len(value) + len(words) < 400_000


ZEROS = [0] * 200_000
MANY: list[Any] = [
    {f"k{i}": 0 for i in range(100_000)},
    {"image": "a", "question": "q", "options": ZEROS},
    {"image": "a", "question": "q", "options": [[0] * 400] * 400},
    {"image": "a", "question": "q", "options": str([0] * 30_000)},
    {"image": {"a": ZEROS}, "question": "q"},
]


@pytest.mark.parametrize("arguments", MANY, ids=range(len(MANY)))
@pytest.mark.parametrize("name", ["answer_about_image", "crop"])
def test_arguments_of_very_many_values_are_refused_before_they_are_looked_at(arguments: Any, name: str) -> None:
    start = time.process_time()
    with pytest.raises(ToolArgsInvalid) as caught:
        read_offer(name, arguments)
    assert time.process_time() - start < 0.1 and len(str(caught.value)) < 1000
