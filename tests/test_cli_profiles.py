"""What was measured of a model is kept in a file and goes where the model is named, on every face."""

import json
import os
import shlex
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from sign_model import sign_model, sign_picture

import zoomagent.agent
import zoomagent.models.doctor as doctor_module
from zoomagent import SettingInvalid, ZoomAgent
from zoomagent.cli import main as cli
from zoomagent.cli import serve as serving
from zoomagent.models.loading import NANO_WEIGHTS, load_model, profile_in, use_profile, weights_of
from zoomagent.models.local.checkpoint import folder_profile
from zoomagent.models.profiles import profile_for
from zoomagent.training.sft.exporting import usage


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


@pytest.mark.parametrize("path", ["runs/qwen3-vl.json", "./Qwen3-VL", "~/qwen2.5-vl", "runs/a/Qwen3-VL"])
def test_a_path_that_is_not_there_is_no_familys_name(path: str) -> None:
    with pytest.raises(SettingInvalid):
        profile_in(path)


def test_a_file_that_cannot_be_written_is_told_before_the_doctor_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = sign_model()
    monkeypatch.setattr(doctor_module, "load_model", lambda spec, **_: model)
    (tmp_path / "file").touch()
    assert run(monkeypatch, "doctor", "--save-profile", str(tmp_path / "file" / "below.json")) == 2
    assert "cannot be written" in capsys.readouterr().err and not model.history


@pytest.mark.parametrize("name", [".", "pipe", "link"])
def test_a_profile_takes_the_place_of_a_file_only(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = sign_model()
    monkeypatch.setattr(doctor_module, "load_model", lambda spec, **_: model)
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    assert run(monkeypatch, "doctor", "--save-profile", name) == 2
    told = capsys.readouterr().err
    assert ("can hold no profile" in told or "is a folder" in told) and not model.history
    assert Path("link").is_fifo()


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


NANO_NAMES: list[tuple[str, Any]] = [
    ("family", "nano"),
    ("folder", NANO_WEIGHTS),
    ("file", json.dumps(profile_in(NANO_WEIGHTS))),
]


@pytest.mark.parametrize(("way", "given"), NANO_NAMES)
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_served_twin_is_the_packaged_model_with_its_arbiter_however_it_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str, given: Any, by: str
) -> None:
    """The user says which weights are served; the server's own word counts nothing."""
    if way == "file":
        (tmp_path / "nano.json").write_text(given)
        given = tmp_path / "nano.json"
    url = "http://127.0.0.1:9/v1#some-name"
    if by == "environment":
        monkeypatch.setenv("ZOOMAGENT_PROFILE", str(given))
        model = load_model(url)
    else:
        model = load_model(url, profile=given)
    here = load_model("nano")
    assert replace(model.profile, source="", weights="") == replace(here.profile, source="", weights="")
    assert weights_of(model) == weights_of(here) != ""
    assert weights_of(load_model("http://127.0.0.1:9/v1#nano", profile={"space": "pixels"})) == (
        weights_of(here) if by == "environment" else ""
    )


def test_a_family_is_named_as_models_are_and_a_file_of_its_name_goes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("qwen2.5-vl", "Qwen/Qwen2.5-VL-7B-Instruct"):
        model = load_model("http://127.0.0.1:9/v1#vision", profile=name)
        assert (model.profile.family, model.profile.space) == ("qwen2.5-vl", "pixels")
    monkeypatch.chdir(tmp_path)
    Path("qwen2.5-vl").write_text('{"space": "unit"}')
    assert profile_in("qwen2.5-vl") == {"space": "unit"}
    with pytest.raises(SettingInvalid, match="a file, a folder or a family"):
        profile_in("no-such-family")


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "x" * 5000, "~no-such-user/x.json", "a\0b"])
def test_what_cannot_be_a_file_is_no_profile(name: str) -> None:
    with pytest.raises(SettingInvalid):
        ZoomAgent("http://localhost:9/v1#x", profile=name)


def test_a_number_that_cannot_be_written_is_told() -> None:
    with pytest.raises(SettingInvalid, match="so long a number"):
        ZoomAgent("http://localhost:9/v1#x", profile={"multiple": 10**5000})


def test_a_folder_of_small_files_says_what_its_zoomagent_json_says(tmp_path: Path) -> None:
    """Weights may lie where the server is, and only what zoomagent wrote of them here."""
    (tmp_path / "zoomagent.json").write_text(json.dumps({"crop_margin": 0.5, "weights": "abc"}))
    assert profile_in(tmp_path) == {"crop_margin": 0.5, "weights": "abc"}


def test_weights_in_this_process_are_known_by_their_files_whatever_a_profile_says() -> None:
    assert weights_of(load_model("nano", profile={"weights": "0" * 64})) == weights_of(load_model("nano"))


@pytest.mark.parametrize("wrong", ["typo", "gpt-5-nano"])
def test_an_arbiter_that_is_not_there_is_told(wrong: str) -> None:
    answer = ZoomAgent(sign_model(), arbiter=wrong).ask(sign_picture(), "What is written?")
    assert answer.outcome.kind == "failed" and wrong in answer.reasons[0]


MODELS_IN_PROCESS_ONLY = ("train sft", "train rl", "train lion", "bench lion", "data trajectories", "train calibrate")
"""Trained here, with the profile of their own files; `data trajectories --profile` is whose tools are told."""


def test_every_command_that_asks_a_model_takes_its_profile() -> None:
    commands: dict[str, Any] = {}
    for name, (module, _) in cli.GROUPS.items():
        group = typer.main.get_command(import_module(module).app)
        commands |= {f"{name} {one}": command for one, command in getattr(group, "commands", {"": group}).items()}
    top = typer.main.get_command(cli.app)
    commands |= {name: command for name, command in top.commands.items() if name not in cli.GROUPS}  # type: ignore[attr-defined]
    takes_model = {name for name, one in commands.items() if "model" in {p.name for p in one.params}}
    takes_profile = {name for name, one in commands.items() if "profile" in {p.name for p in one.params}}
    assert {"ask", "doctor", "bench haystack", "bench promise", "train probe"} <= takes_profile
    assert takes_model - takes_profile <= set(MODELS_IN_PROCESS_ONLY)


def test_the_lines_that_use_a_checkpoint_name_its_folder_for_the_served_twin() -> None:
    served = [line for line in usage(Path("runs/my sft/checkpoint")).splitlines() if "http://" in line]
    assert len(served) == 1
    words = shlex.split(served[0])
    assert words[words.index("--profile") + 1] == "runs/my sft/checkpoint"
    assert words[words.index("--model") + 1] == "http://localhost:8000/v1#runs/my sft/checkpoint"
