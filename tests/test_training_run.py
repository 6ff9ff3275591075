"""Training runs for real at a tiny size, resumes to the very same weights, and keeps whole checkpoints only."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from zoomagent.data.world.scene import SMALL as LEVEL
from zoomagent.errors import SettingInvalid
from zoomagent.models.profiles import NANO, override, own_overrides
from zoomagent.training.nano import run as nano_run
from zoomagent.training.nano import store
from zoomagent.training.nano.corpus import PHRASES, corpus
from zoomagent.training.nano.mix import Mix, Shapes
from zoomagent.training.nano.model import NanoConfig, build_tokenizer
from zoomagent.training.nano.run import Settings, rate_at, train

TINY = NanoConfig(vision_width=32, vision_depth=2, vision_mlp=32, text_width=64, text_depth=2, text_mlp=32, heads=2)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(nano_run.PRESETS, "nano", TINY)
    monkeypatch.setattr(nano_run, "EVALUATE_ROWS", 16)


def settings(out: Path, steps: int, **changes: Any) -> Settings:
    given = {"dense_steps": 2, "rows": 2, "workers": 0, "save_every": 2, "evaluate_every": 4, "warmup": 1}
    return Settings(out=out, steps=steps, **(given | changes))


def make_mix() -> Mix:
    return Mix(build_tokenizer(corpus(LEVEL, scenes=20), PHRASES), TINY, LEVEL, 1, Shapes())


def test_a_resumed_run_ends_in_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(settings(tmp_path / "whole", 4))
    with monkeypatch.context() as patch:
        patch.setattr(nano_run, "store", KilledAfter(2))
        with pytest.raises(KeyboardInterrupt):
            train(settings(tmp_path / "parts", 4))
    parts = train(settings(tmp_path / "parts", 4))
    a, b = load_file(whole / "model.safetensors"), load_file(parts / "model.safetensors")
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_checkpoint_says_whether_it_was_taught_sounds(tmp_path: Path) -> None:
    for share, wanted in ((0.0, "none"), (1.0, "spectrogram")):
        folder = train(settings(tmp_path / str(share), 3, sounds=share, dense_steps=1, evaluate_every=9))
        assert override(NANO, own_overrides(folder)).sound == wanted


class KilledAfter:
    """The store, until the checkpoint of one step is on disk."""

    newest, load = staticmethod(store.newest), staticmethod(store.load)

    def __init__(self, step: int) -> None:
        self.step = step

    def save(self, folder: Path, step: int, *rest: Any) -> None:
        store.save(folder, step, *rest)
        if step == self.step:
            raise KeyboardInterrupt


def test_a_run_leaves_curve_log_settings_and_moved_weights(tmp_path: Path) -> None:
    train(settings(tmp_path, 4))
    [point] = json.loads((tmp_path / "curve.json").read_text())
    assert point["step"] == 4 and 0 <= point["box/tokens"] <= 1 and "tower/glyph" in point
    assert (tmp_path / "curve.png").stat().st_size > 1000
    assert json.loads((tmp_path / "settings.json").read_text())["steps"] == 4
    first, last = sorted((tmp_path / "state").glob("step-*"))
    a, b = (load_file(folder / "model.safetensors") for folder in (first, last))
    assert all(torch.isfinite(tensor).all() for tensor in b.values())
    assert not torch.equal(a["lm_head.weight"], b["lm_head.weight"])


def test_a_half_written_checkpoint_is_never_the_newest(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    store.save(tmp_path, 1, {"m": module}, optimizer, {})
    (tmp_path / ".draft-2").mkdir()
    newest = store.newest(tmp_path)
    assert newest is not None and newest.name == "step-00000001"
    assert not list(tmp_path.rglob("*.pt")) and not list(tmp_path.rglob("*.bin"))


def test_the_rate_warms_up_stays_and_cools_down() -> None:
    run = Settings(out=Path(), steps=1000, warmup=100, rate=1.0, cooldown=0.2)
    assert rate_at(0, run) == pytest.approx(0.01)
    assert rate_at(100, run) == rate_at(799, run) == 1.0
    assert rate_at(900, run) == pytest.approx(0.5)
    assert rate_at(999, run) == pytest.approx(0.05)


def test_a_run_goes_on_with_its_own_settings_only(tmp_path: Path) -> None:
    train(settings(tmp_path, 2))
    with pytest.raises(SettingInvalid, match="seed 1 .now 2."):
        train(settings(tmp_path, 4, seed=2))


def test_rows_are_drawn_in_another_process_however_it_is_started(tmp_path: Path) -> None:
    loader = nano_run._loader(make_mix(), settings(tmp_path, 2, workers=1), 0, 2, 0)
    pickle.dumps((loader.dataset, loader.collate_fn))
