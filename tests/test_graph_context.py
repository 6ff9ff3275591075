"""The graph as a server runs it: without an agent, from settings and a picture's name alone."""

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel
from PIL import Image

import zoomagent.graphs.context as context_module
from zoomagent.graphs.context import Context
from zoomagent.graphs.macro_micro import graph


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of pictures that the server may open, and a model behind every name."""
    monkeypatch.setattr(context_module, "_benches", {})
    monkeypatch.setattr(context_module, "load_model", lambda spec: FakeModel(respond=lambda call: "Exit"))
    monkeypatch.setenv("ZOOMAGENT_IMAGES", str(tmp_path / "images"))
    (tmp_path / "images").mkdir()
    Image.new("RGB", (100, 80)).save(tmp_path / "images" / "in.png")
    Image.new("RGB", (100, 80)).save(tmp_path / "out.png")
    return tmp_path / "images"


def outcome(image: str, **settings: Any) -> Any:
    question = {"image": image, "question": "What?"}
    context = Context(strategy="macro", **settings)
    return asyncio.run(graph.ainvoke(question, context=context))["outcome"]  # type: ignore[call-overload]


def test_a_picture_below_the_folder_is_opened(opened: Path) -> None:
    assert outcome("in.png")["kind"] == "answered"
    assert outcome(str(opened / "in.png"))["kind"] == "answered"


@pytest.mark.parametrize("name", ["../out.png", "/etc/passwd", "a\0b", "link.png", "../images/../out.png"])
def test_no_other_file_is_opened(opened: Path, name: str) -> None:
    (opened / "link.png").symlink_to(opened.parent / "out.png")
    assert (outcome(name)["kind"], outcome(name)["code"]) == ("refused", "path_not_allowed")


@pytest.mark.parametrize("name", ["missing.png", "."])
def test_what_is_no_file_is_refused(opened: Path, name: str) -> None:
    assert outcome(name)["code"] == "not_a_file"


def test_a_data_url_is_opened(opened: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (100, 80)).save(buffer, "PNG")
    assert outcome(f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}")["kind"] == "answered"


def test_a_changed_file_is_opened_again(opened: Path) -> None:
    outcome("in.png")
    Image.new("RGB", (200, 80)).save(opened / "in.png")
    outcome("in.png")
    assert len(context_module._benches) == 2


def test_few_pictures_are_kept(opened: Path) -> None:
    for number in range(8):
        Image.new("RGB", (100 + number, 80)).save(opened / f"{number}.png")
        assert outcome(f"{number}.png")["kind"] == "answered"
    assert len(context_module._benches) <= 4


NAMED = "http://127.0.0.1:8000/v1#m"


@pytest.mark.parametrize(
    "model",
    [
        *("http://127.0.0.1:9000/v1#m", "hf:some/model", "/etc", ".", "", " ", f"nano,{NAMED}", f" {NAMED}", "nano "),
        *(NAMED.replace("#m", "#n"), NAMED.replace("v1", "v2"), NAMED.replace("//", "//a@"), NAMED.upper(), NAMED[:-2]),
    ],
)
def test_no_model_is_used_but_those_that_the_operator_named(
    opened: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOOMAGENT_MODELS", f"{NAMED}, runs/my model")
    assert outcome("in.png", model=NAMED)["kind"] == "answered"
    assert outcome("in.png", model="runs/my model")["kind"] == "answered"
    ended = outcome("in.png", model=model)
    assert (ended["kind"], ended["code"]) == ("failed", "setting_invalid")
    assert "ZOOMAGENT_MODELS" in ended["reasons"][0] and "127.0.0.1" not in str(ended)


def test_without_a_word_of_the_operator_there_is_the_packaged_model_alone(
    opened: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZOOMAGENT_MODELS", raising=False)
    assert outcome("in.png")["kind"] == "answered"
    assert outcome("in.png", model=NAMED)["code"] == "setting_invalid"


@pytest.mark.parametrize("arbiter", ["other.json", "/etc/passwd", "", "nano", "./a.json"])
def test_no_arbiter_is_read_but_those_that_the_operator_named(
    opened: Path, arbiter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOOMAGENT_ARBITERS", "a.json")
    assert outcome("in.png", arbiter=arbiter)["code"] == "setting_invalid"
    assert outcome("in.png", arbiter="a.json")["kind"] == "answered"


@pytest.mark.parametrize("given", [{"image": "a.png"}, {"image": "a.png", "question": " "}, {"question": "What?"}, {}])
def test_an_input_that_lacks_something_is_refused_not_a_bug(opened: Path, given: dict[str, Any]) -> None:
    asked: Any = given
    ended: Any = asyncio.run(graph.ainvoke(asked, context=Context(model="nano", strategy="macro")))
    missing = "image" if "image" not in given else "question"
    assert ended["outcome"]["code"] == "bad_question" and missing in ended["outcome"]["reasons"][0]


def test_a_graph_server_takes_no_profile_from_its_clients(opened: Path) -> None:
    context = Context(model="nano", strategy="macro", profile={"max_pixels": 1 << 28})
    asked: Any = {"image": "in.png", "question": "What?"}
    ended: Any = asyncio.run(graph.ainvoke(asked, context=context))
    assert ended["outcome"]["code"] == "setting_invalid"
