"""What was measured of a model is kept in a file and goes where the model is named, on every face."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sign_model import sign_model, sign_picture

import zoomagent.agent
import zoomagent.models.doctor as doctor_module
from zoomagent import SettingInvalid, ZoomAgent
from zoomagent.cli import main as cli
from zoomagent.cli import serve as serving
from zoomagent.models.loading import NANO_WEIGHTS, load_model, profile_in, use_profile
from zoomagent.models.local.checkpoint import folder_profile
from zoomagent.models.profiles import profile_for


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["zoomagent", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_what_the_doctor_saves_is_what_a_run_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "mine.json"
    monkeypatch.setattr(doctor_module, "load_model", lambda spec, **_: sign_model())
    assert run(monkeypatch, "doctor", "--save-profile", str(file)) == 0
    assert f"--profile {file}" in capsys.readouterr().out
    measured = json.loads(file.read_text())
    assert measured
    model = sign_model()
    monkeypatch.setattr(zoomagent.agent, "load_model", lambda spec, **_: model)
    with ZoomAgent("nano", profile=file) as agent:
        assert agent.ask(sign_picture(), "What is written?").answered
    for name, value in measured.items():
        assert getattr(model.profile, name) == value


def test_the_served_packaged_model_is_drawn_for_as_the_one_in_this_process() -> None:
    """Its own name is all that a server tells of it."""
    here = folder_profile(NANO_WEIGHTS)
    assert replace(profile_for("nano"), source="") == replace(here, source="")
    for other in ("gpt-5-nano", "nano-banana", "org/nano", "NVIDIA-Nemotron-Nano-12B-v2-VL"):
        assert profile_for(other).family != "nano"


def test_a_checkpoints_folder_says_what_its_server_does_not(tmp_path: Path) -> None:
    folder = tmp_path / "trained"
    folder.mkdir()
    for file in NANO_WEIGHTS.glob("*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "zoomagent.json").write_text(json.dumps({"crop_pixels": 9216, "tools": ["image_zoom_in_tool"]}))
    model = load_model("http://127.0.0.1:9/v1#trained")
    use_profile(model, profile_in(folder))
    assert replace(model.profile, source="") == replace(folder_profile(folder), source="")
    assert (model.profile.crop_pixels, model.profile.tools) == (9216, ("image_zoom_in_tool",))


def test_a_folder_without_a_checkpoint_is_no_profile(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="holds no checkpoint"):
        profile_in(tmp_path)


def test_a_file_that_cannot_be_written_is_told_before_the_doctor_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = sign_model()
    monkeypatch.setattr(doctor_module, "load_model", lambda spec, **_: model)
    (tmp_path / "file").touch()
    assert run(monkeypatch, "doctor", "--save-profile", str(tmp_path / "file" / "below.json")) == 2
    assert "cannot be written" in capsys.readouterr().err and not model.history


def test_a_profile_overrides_what_the_name_says_of_a_server() -> None:
    model = load_model("http://127.0.0.1:9/v1#Qwen/Qwen2.5-VL-7B-Instruct")
    use_profile(model, {"space": "thousand", "max_images": 3})
    assert (model.profile.space, model.profile.max_images, model.profile.family) == ("thousand", 3, "qwen2.5-vl")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("not json", "no profile"),
        ("[1]", "no profile"),
        ('{"spaces": "pixels"}', "spaces"),
        ('{"space": "miles"}', "space"),
        ('{"max_pixels": "many"}', "max_pixels"),
        ('{"max_images": 0}', "max_images"),
    ],
)
def test_a_file_that_is_no_profile_is_refused_by_name_before_a_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str, named: str
) -> None:
    monkeypatch.setattr(zoomagent.agent, "load_model", lambda spec, **_: pytest.fail("it was loaded"))
    (tmp_path / "p.json").write_text(content)
    assert run(monkeypatch, "ask", "a.png", "What?", "--profile", str(tmp_path / "p.json")) == 2
    assert named in capsys.readouterr().err
    assert run(monkeypatch, "ask", "a.png", "What?", "--profile", str(tmp_path / "none.json")) == 2


def test_a_model_of_the_callers_has_its_own_profile() -> None:
    with pytest.raises(SettingInvalid):
        ZoomAgent(sign_model(), profile={"space": "pixels"})


@pytest.mark.parametrize("face", ["mcp --http", "page", "openai"])
def test_every_server_takes_what_a_run_may_be_set_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, face: str
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(serving, "_serve", lambda agent, *rest: seen.append(agent.context))
    (tmp_path / "p.json").write_text('{"space": "pixels"}')
    given = ["--strategy", "search", "--rule", "micro", "--target-error", "0.1", "--gate", "0.5", "--arbiter", "a.json"]
    given += ["--profile", str(tmp_path / "p.json"), "--max-calls", "7", "--max-depth", "2", "--deadline", "9"]
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "serve", *face.split(), *given, "--no-proof", "--no-check") == 0
    [context] = seen
    assert (context.strategy, context.rule, context.target_error, context.gate) == ("search", "micro", 0.1, 0.5)
    assert (context.arbiter, context.profile) == ("a.json", {"space": "pixels"})
    assert (context.budget.calls, context.budget.depth, context.budget.seconds) == (7, 2, 9.0)
    assert not context.proof and not context.check
