"""Reinforcement runs for real on nano: rollouts with tool images, finite numbers, moved weights, resumption, guard."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rl_world import IMAGE, row, rows, write_data
from safetensors.torch import load_file
from zoom_world import NEAR

from zoomagent.errors import RunError, SettingInvalid
from zoomagent.models.loading import NANO_WEIGHTS, load_model
from zoomagent.training.resuming import newest
from zoomagent.training.rl import run as reinforce
from zoomagent.training.rl.guard import RATE, GuardConfig
from zoomagent.training.rl.run import Recipe, Settings, build, longest, rows_of, train
from zoomagent.training.rl.trainer import ZoomTrainer, answer_tokens, grey_patch
from zoomagent.training.rl.trl_env import ZoomRollout

# Deprecations inside transformers, trl, peft and accelerate; nothing of ours is involved.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
TINY = Recipe(prompts=2, group=2, micro=4, rate=1e-3, turns=2, reply=64)
LEAST = replace(TINY, prompts=1, micro=2)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path, rows(6))


def settings(tmp_path: Path, data: Path, **changes: Any) -> Settings:
    given: dict[str, Any] = {"steps": 3, "recipe": TINY, "save_every": 1}
    return Settings(out=tmp_path / "out", data=data, **(given | changes))


def quiet(text: str) -> None:
    """Nobody listens."""


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_three_steps_with_real_tool_images_move_the_weights(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    call = ZoomRollout._call

    def watched(self: ZoomRollout, name: str, arguments: dict[str, Any]) -> Any:
        content = call(self, name, arguments)
        seen.extend(part["image"].size for part in content if part["type"] == "image")
        return content

    monkeypatch.setattr(ZoomRollout, "_call", watched)
    lines: list[str] = []
    # Of a group whose rollouts all earn the same nothing is learnt; with this seed some differ.
    folder = train(settings(tmp_path, data, seed=5), lines.append)
    assert seen and set(seen) == {(80, 80)}
    steps = [line for line in log_of(tmp_path / "out") if RATE in line]
    assert [line["step"] for line in steps] == [1, 2, 3]
    for line in steps:
        numbers = [value for value in line.values() if isinstance(value, float)]
        assert all(map(torch.isfinite, map(torch.tensor, numbers)))
        assert 0 < line[RATE] <= 1 and 0 <= line["reward"] <= 2.2001 and line["entropy"] > 0
    assert any(line["grad_norm"] > 0 for line in steps)
    assert sum(line.startswith("step ") for line in lines) == 3 and "mattered" in " ".join(lines)
    before, after = load_file(NANO_WEIGHTS / "model.safetensors"), load_file(folder / "model.safetensors")
    assert after.keys() <= before.keys()
    assert any(not torch.equal(before[name], after[name]) for name in after)
    for name in ("zoomagent.json", "chat_template.jinja"):
        assert (folder / name).read_bytes() == (NANO_WEIGHTS / name).read_bytes()
    assert load_model(str(folder)).profile == replace(
        load_model("nano").profile, source=f"{folder.name}: config.json and preprocessor_config.json"
    )


def test_a_resumed_run_sees_the_same_rows_in_the_same_order_and_ends_alike(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    reset = ZoomRollout.reset

    def noted(self: ZoomRollout, row: str, **rest: Any) -> Any:
        seen.append(json.loads(row)["id"])
        return reset(self, row, **rest)

    monkeypatch.setattr(ZoomRollout, "reset", noted)
    whole = train(settings(tmp_path / "whole", data, steps=2, save_every=1, recipe=LEAST), quiet)
    in_one, seen[:] = list(seen), []
    first = settings(tmp_path / "parts", data, steps=1, save_every=1, recipe=LEAST)
    train(first, quiet)
    assert seen == in_one[: len(seen)]
    (first.out / "state" / "checkpoint-9").mkdir()
    parts = train(replace(first, steps=2), quiet)
    assert seen == in_one and len(set(seen)) == 2
    a, b = load_file(whole / "model.safetensors"), load_file(parts / "model.safetensors")
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_batch_whose_calls_are_all_refused_is_learned_from(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: ZoomRollout, name: str, arguments: dict[str, Any]) -> Any:
        self._env.call("no_such_tool", {})
        return [{"type": "text", "text": "There is no such tool."}]

    monkeypatch.setattr(ZoomRollout, "_call", refused)
    made = settings(tmp_path, data, steps=1, recipe=LEAST)
    train(made, quiet)
    [line] = [line for line in log_of(made.out) if RATE in line]
    assert line[RATE] == 0 and line["zoom/refused"] > 0 and "zoom/mattered" not in line


def test_a_policy_that_does_not_call_is_stopped_with_the_reason(tmp_path: Path) -> None:
    """Nano answers what the background is without looking closer, so no rollout sees a crop."""
    whole = {"question": "What colour is the background?", "answer": "gray", "targets": [], "nested": []}
    data = write_data(tmp_path, [row(NEAR, i, **whole) for i in range(4)])
    lines: list[str] = []
    made = settings(tmp_path, data, steps=9, recipe=LEAST, guard=GuardConfig(patience=2))
    with pytest.raises(RunError, match="collapsed") as stopped:
        train(made, lines.append)
    assert stopped.value.code == "tool_collapse"
    logged = log_of(made.out)
    assert max(line["step"] for line in logged) == 2, "it stops at once"
    assert any("collapsed" in line.get("guard", "") for line in logged) and any("collapsed" in line for line in lines)


def test_box_stage_learns_from_rows_with_nested_boxes_only(tmp_path: Path) -> None:
    data = write_data(tmp_path, [row(NEAR, 0), row(NEAR, 1, nested=[])])
    made = settings(tmp_path, data, stage="box", steps=1, recipe=LEAST)
    assert [one["id"] for one in rows_of(made, quiet).rows] == ["row-0"]
    train(made, quiet)
    [line] = [line for line in log_of(made.out) if RATE in line]
    assert 0 <= line["rewards/geometry/mean"] <= 1
    bare = write_data(tmp_path / "bare", [row(NEAR, 1, nested=[])])
    with pytest.raises(SettingInvalid, match="--stage box"):
        rows_of(settings(tmp_path, bare, stage="box"))


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> ZoomTrainer:
    folder = tmp_path_factory.mktemp("trainer")
    made = settings(folder, write_data(folder, rows(4)))
    made.out.mkdir()
    made_trainer: ZoomTrainer = build(made, rows_of(made, quiet), quiet)[0]
    return made_trainer


def test_numbers_are_those_of_the_recipe(trainer: ZoomTrainer) -> None:
    args = trainer.args
    assert (args.beta, args.entropy_coef, args.loss_type, args.scale_rewards) == (0.0, 0.0, "grpo", "group")
    config = trainer.model.config
    assert set(trainer.generation_kwargs["suppress_tokens"]) == {config.image_token_id, config.video_token_id}
    assert trainer.reward_weights.tolist() == pytest.approx([0.8, 0.2, 1.2])
    assert args.max_completion_length == longest(TINY, load_model("nano").profile)


def test_the_guard_raises_the_tool_and_nothing_else(trainer: ZoomTrainer) -> None:
    before = trainer.reward_weights.tolist()
    assert trainer.raise_tool(1.5) == pytest.approx(1.8)
    assert trainer.reward_weights.tolist() == pytest.approx([before[0], before[1], 1.8])
    trainer.raise_tool(1 / 1.5)


def test_restoring_brings_the_weights_back(trainer: ZoomTrainer, tmp_path: Path) -> None:
    trainer.save_model(str(tmp_path))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.create_optimizer()
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.add_(1)
    trainer.restore(str(tmp_path))
    assert all(torch.equal(before[name], value) for name, value in trainer.model.state_dict().items())


def test_blanking_greys_the_crops_and_leaves_the_wholes(trainer: ZoomTrainer) -> None:
    grid = torch.tensor([[1, 2, 2], [1, 4, 2], [1, 2, 2]])
    pixels = torch.randn(4 + 8 + 4, 384)
    blank = trainer._blanked({"image_grid_thw": grid, "num_images": [2, 1], "pixel_values": pixels})
    same = (blank == pixels).all(1).tolist()
    assert same == [True] * 4 + [False] * 8 + [True] * 4


def test_a_grey_patch_is_what_the_processor_makes_of_grey(trainer: ZoomTrainer) -> None:
    from PIL import Image

    processor = trainer.processing_class.image_processor
    values = processor(images=[Image.new("RGB", (32, 32), (127, 127, 127))], return_tensors="pt")["pixel_values"]
    assert torch.allclose(values, grey_patch(processor, values.shape[-1]).expand_as(values), atol=1e-5)


def test_the_answer_is_what_follows_the_last_tool_result() -> None:
    completion = torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]])
    spoken = torch.tensor([[1, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
    assert answer_tokens(completion, spoken).tolist() == [[0, 0, 0, 1, 1, 0], [1, 1, 1, 0, 0, 0]]


def test_what_breaks_a_tool_stops_the_run_and_is_not_told_to_the_model(trainer: ZoomTrainer) -> None:
    rollout = trainer.environment_factories[None]()
    with pytest.raises(RunError):
        rollout.image_zoom_in_tool(img_idx=0)
    with pytest.raises(RunError, match="No episode has begun"):
        rollout._finished("47", False)


def test_a_torn_checkpoint_is_not_taken_up(tmp_path: Path) -> None:
    for step, state in ((1, '{"global_step": 1}'), (2, '{"global_step": 2}'), (10, '{"torn'), (11, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    found = newest(tmp_path)
    assert found is not None and found.name == "checkpoint-2"
    assert newest(tmp_path / "nowhere") is None


def test_a_run_goes_on_with_its_own_settings_only(tmp_path: Path, data: Path) -> None:
    made = settings(tmp_path, data)
    reinforce._check_same(made)
    reinforce._check_same(replace(made, steps=7, guard=GuardConfig(on_collapse="restore")))
    with pytest.raises(SettingInvalid, match="seed 1 .now 2."):
        reinforce._check_same(replace(made, seed=2))


def test_rollouts_that_do_not_divide_are_refused(tmp_path: Path, data: Path) -> None:
    made = settings(tmp_path, data, recipe=replace(TINY, prompts=3, micro=4))
    made.out.mkdir()
    with pytest.raises(SettingInvalid, match="divide"):
        build(made, rows_of(made, quiet), quiet)
    assert (data.parent / "pictures" / IMAGE).exists()


def test_fewer_rows_than_questions_a_step_are_refused(tmp_path: Path, data: Path) -> None:
    """A sampler of fewer rows yields nothing: no step, and the old weights under a new name."""
    made = settings(tmp_path, data, recipe=replace(TINY, prompts=10_000))
    with pytest.raises(SettingInvalid, match="fewer than 10000 questions a step"):
        reinforce.train(made, quiet)
    assert not (made.out / "checkpoint").exists()


def test_a_run_of_fewer_steps_than_asked_writes_no_checkpoint(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Idle:
        """Trains like a trainer whose sampler is empty."""

        state = SimpleNamespace(global_step=0)

        def train(self, resume_from_checkpoint: str | None) -> None:
            pass

    idle_guard = SimpleNamespace(resume=lambda: None, watch=SimpleNamespace(stopped=""))
    monkeypatch.setattr(reinforce, "build", lambda made, rows, say: (Idle(), idle_guard))
    made = settings(tmp_path, data)
    with pytest.raises(SettingInvalid, match="0 of 3 steps were made"):
        reinforce.train(made, quiet)
    assert not (made.out / "checkpoint").exists()
