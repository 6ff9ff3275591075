"""Supervised runs for real on nano: the loss falls, a kill costs nothing, and what comes out is a plain checkpoint."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml  # type: ignore[import-untyped]
from accelerate.commands.config.config_args import load_config_from_file
from safetensors.torch import load_file
from sft_world import write_data
from transformers import AutoModelForImageTextToText
from typer.testing import CliRunner

from zoomagent.cli.main import app
from zoomagent.errors import SettingInvalid
from zoomagent.files import check_settings
from zoomagent.models.loading import NANO_WEIGHTS
from zoomagent.training.adapters import LORA_TARGETS
from zoomagent.training.resuming import JsonLines, newest
from zoomagent.training.sft import run as supervised
from zoomagent.training.sft.run import Settings, train

CONFIGS = sorted((Path(__file__).parents[1] / "examples" / "accelerate").glob("*.yaml"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("run") / "data")


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty steps of nano."""
    out = tmp_path_factory.mktemp("finished")
    train(settings(data, out, 20, rate=3e-4, save_every=10, held_out=3))
    return out


def settings(data: Path, out: Path, steps: int, **changes: Any) -> Settings:
    given: dict[str, Any] = {"rows": 2, "save_every": 2, "held_out": 0, "workers": 0, "precision": "fp32", "rate": 1e-4}
    return Settings("nano", data, out, steps, **(given | changes))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return found


def lines(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_the_loss_falls_and_held_out_rows_are_scored(finished: Path) -> None:
    losses = [line["loss"] for line in lines(finished) if "loss" in line]
    assert len(losses) == 20 and all(0 < loss < 20 for loss in losses)
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    scored = [line["eval_loss"] for line in lines(finished) if "eval_loss" in line]
    # The packaged model knows the held-out rows from the start (0.10): twenty steps on others must not cost that.
    assert len(scored) == 2 and all(0 < loss < 0.2 for loss in scored)


def test_the_checkpoint_is_a_stock_one_with_other_weights(finished: Path) -> None:
    folder = finished / "checkpoint"
    for name in ("zoomagent.json", "preprocessor_config.json", "tokenizer.json", "chat_template.jinja"):
        assert (folder / name).read_text() == (NANO_WEIGHTS / name).read_text()
    assert json.loads((folder / "config.json").read_text())["model_type"] == "qwen3_vl"
    before = AutoModelForImageTextToText.from_pretrained(NANO_WEIGHTS).state_dict()
    after = AutoModelForImageTextToText.from_pretrained(folder).state_dict()
    assert before.keys() == after.keys() and not any(torch.isnan(tensor).any() for tensor in after.values())
    moved = sum(not torch.equal(before[name], after[name]) for name in before)
    assert moved > 0.9 * len(before)
    assert not list(folder.rglob("*.bin")) and not list(folder.rglob("*.pt"))


def test_the_agent_calls_tools_with_what_was_trained(finished: Path, data: Path) -> None:
    question = "What is written on the red circle?"
    model = str(finished / "checkpoint")
    command = ["ask", str(data / "images" / "scene.png"), question, "--model", model, "--strategy", "tools", "--json"]
    shown = CliRunner().invoke(app, command)
    answer = json.loads(shown.stdout)
    assert shown.exit_code == 0 and answer["outcome"]["kind"] == "answered"
    assert any("image_" in step["text"] for step in answer["steps"])


def test_a_killed_run_ends_in_the_same_weights(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(settings(data, tmp_path / "whole", 5))
    with monkeypatch.context() as patch:
        patch.setattr(supervised, "JsonLines", KilledAt3)
        with pytest.raises(KeyboardInterrupt):
            train(settings(data, tmp_path / "parts", 5))
    assert newest(tmp_path / "parts" / "state") == tmp_path / "parts" / "state" / "checkpoint-2"
    parts = train(settings(data, tmp_path / "parts", 5))
    a, b = weights(whole), weights(parts)
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    logged = [[(line["step"], line["loss"]) for line in lines(tmp_path / name) if "loss" in line] for name in KINDS]
    assert logged[0] == logged[1] and [step for step, _ in logged[0]] == [1, 2, 3, 4, 5]


KINDS = ("whole", "parts")


class KilledAt3(JsonLines):
    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 3:
            raise KeyboardInterrupt


def test_a_checkpoint_cut_off_by_a_kill_is_not_gone_on_from(tmp_path: Path) -> None:
    for step, state in ((2, '{"global_step": 2}'), (10, '{"glob'), (12, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert newest(tmp_path) == tmp_path / "checkpoint-2"


def test_a_run_goes_on_with_its_own_settings_and_data_only(finished: Path, data: Path, tmp_path: Path) -> None:
    same = settings(data, finished, 20, rate=3e-4)
    supervised.begin(same)
    with pytest.raises(SettingInvalid, match="rate 0.0003 .now 0.1."):
        supervised.begin(settings(data, finished, 20, rate=0.1))
    other = shutil.copytree(data, tmp_path / "data")
    (other / "card.json").write_text(json.dumps({"format": 1, "images": "images", "rows": 5}))
    with pytest.raises(SettingInvalid, match="data_digest"):
        supervised.begin(settings(other, finished, 20, rate=3e-4))


# peft asks the model in a way that transformers has begun to deprecate.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_lora_moves_the_text_model_only_and_is_merged(data: Path, tmp_path: Path) -> None:
    folder = train(settings(data, tmp_path, 2, lora=4, rate=1e-2, checkpointing=True))
    assert (tmp_path / "trained" / "adapter_config.json").is_file()
    before = AutoModelForImageTextToText.from_pretrained(NANO_WEIGHTS).state_dict()
    after = AutoModelForImageTextToText.from_pretrained(folder).state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys() and moved
    assert all("language_model" in name and name.split(".")[-2] in LORA_TARGETS for name in moved)


def test_data_that_is_none_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="zoomagent data trajectories"):
        train(settings(tmp_path, tmp_path / "out", 1))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_the_example_configs_are_accelerates_own(file: Path) -> None:
    loaded = load_config_from_file(str(file))
    assert f"{loaded.num_processes}-gpu" in file.stem and loaded.mixed_precision == "bf16"


def test_there_are_examples_for_1_8_and_64_gpus() -> None:
    assert {int(file.name.split("-")[0]) for file in CONFIGS} == {1, 8, 64}


@pytest.mark.slow
def test_two_processes_train_together(data: Path, tmp_path: Path) -> None:
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes",
        "2",
        "-m",
        "zoomagent.cli",
    ]
    sft = [
        "train",
        "sft",
        "--model",
        "nano",
        "--data",
        str(data),
        "--out",
        str(tmp_path),
        "--steps",
        "3",
        "--rows",
        "2",
    ]
    options = ["--workers", "0", "--save-every", "2", "--precision", "fp32", "--held-out", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_PORT": "29617"}
    done = subprocess.run([*launch, *sft, *options], capture_output=True, text=True, env=environment, timeout=570)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count('train: {"rows"') == 1
    assert [line["step"] for line in lines(tmp_path) if "loss" in line] == [1, 2, 3]
    assert (tmp_path / "checkpoint" / "model.safetensors").is_file()


@pytest.mark.slow
def test_two_processes_that_each_hold_a_part_of_the_weights_train_as_one_that_holds_all(
    data: Path, tmp_path: Path
) -> None:
    """The file for eight GPUs, on two processors: FSDP 2 over gloo."""
    config = yaml.safe_load((CONFIGS[0].parent / "8-gpus-fsdp.yaml").read_text())
    config |= {"num_processes": 2, "use_cpu": True, "mixed_precision": "no", "main_process_port": 29641}
    (tmp_path / "fsdp.yaml").write_text(yaml.safe_dump(config))
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(tmp_path / "fsdp.yaml")]
    launch += [str(Path(__file__).parent / "fsdp_on_cpus.py"), "train", "sft", "--model", "nano", "--data", str(data)]
    launch += ["--out", str(tmp_path / "run"), "--steps", "3", "--rows", "1", "--workers", "0", "--save-every", "2"]
    launch += ["--precision", "fp32", "--held-out", "2", "--rate", "1e-4"]
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    done = subprocess.run(launch, capture_output=True, text=True, env=environment, timeout=570)
    assert done.returncode == 0, done.stderr[-3000:]
    alone = train(settings(data, tmp_path / "alone", 3, rows=2, held_out=2))
    one, both = weights(alone), weights(tmp_path / "run" / "checkpoint")
    assert one.keys() == both.keys() and all(torch.allclose(one[name], both[name], atol=3e-4) for name in one)
    # Each process has written its own half of the weights.
    parts = sorted((tmp_path / "run" / "state" / "checkpoint-2").glob("pytorch_model_fsdp_0/*.distcp"))
    whole = 4 * sum(tensor.numel() for tensor in one.values())
    assert len(parts) == 2 and all(0.3 * whole < part.stat().st_size < 0.7 * whole for part in parts)


@pytest.mark.slow
def test_a_run_killed_without_warning_goes_on(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "zoomagent.cli", "train", "sft", "--model", "nano", "--data", str(data)]
    command += ["--steps", "6", "--rows", "2", "--workers", "0", "--save-every", "2", "--held-out", "0", "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen([*command, str(tmp_path / "parts")], env=environment, stdout=subprocess.DEVNULL)
    while newest(tmp_path / "parts" / "state") is None:
        assert run.poll() is None
        time.sleep(0.05)
    run.kill()
    run.wait()
    for name in KINDS:
        subprocess.run([*command, str(tmp_path / name)], env=environment, check=True, capture_output=True)
    a, b = (weights(tmp_path / name / "checkpoint") for name in KINDS)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_fewer_steps_than_asked_write_no_checkpoint(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Idle:
        """A trainer that finds nothing to train on after its second step."""

        state = SimpleNamespace(global_step=2)

        def train(self, resume_from_checkpoint: str | None) -> None:
            pass

    monkeypatch.setattr(supervised, "make_trainer", lambda made: Idle())
    with pytest.raises(SettingInvalid, match="2 of 5 steps were made"):
        train(settings(data, tmp_path / "out", 5))
    assert not (tmp_path / "out" / "checkpoint").exists()


@pytest.mark.parametrize("content", [b"[" * 100_000, b"{", b"\xff", b"5"])
def test_a_run_whose_settings_are_damaged_is_not_gone_on_with(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(SettingInvalid, match="damaged"):
        check_settings(tmp_path / "settings.json", {"seed": 1})


def test_what_a_kill_or_a_stranger_left_is_no_checkpoint_and_no_step(tmp_path: Path) -> None:
    for name, content in {"7": '{"global_step": 7}', "9": "[" * 100_000, "x": '{"global_step": 1}', "8": "5"}.items():
        (tmp_path / f"checkpoint-{name}").mkdir()
        (tmp_path / f"checkpoint-{name}" / "trainer_state.json").write_text(content)
    assert newest(tmp_path) == tmp_path / "checkpoint-7"
    log = JsonLines(tmp_path / "log.jsonl")
    log.file.write_bytes(b'{"step": 1}\n[]\n{"step": 9}\n\xff\n{"step": 2}\n{"step": 2, "lo')
    log.on_train_begin(None, SimpleNamespace(is_world_process_zero=True, global_step=7), None)
    assert log.file.read_text() == '{"step": 1}\n{"step": 2}\n'
