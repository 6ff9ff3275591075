"""Learning curves: what was logged is read, smoothed and drawn."""

import json
from pathlib import Path

import pytest
from PIL import Image

from zoomagent.training.curves import draw, read, smooth


def run_of(folder: Path, name: str, **figures: list[float]) -> Path:
    run = folder / name
    run.mkdir()
    lines = [
        {"step": step, **dict(zip(figures, values, strict=True))}
        for step, values in enumerate(zip(*figures.values(), strict=True), 1)
    ]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def test_figures_are_read_by_step_and_others_are_left_out(tmp_path: Path) -> None:
    run = run_of(tmp_path, "sft", loss=[3.0, 2.0], epoch=[0.1, 0.2])
    assert read(run) == {"loss": [(1, 3.0), (2, 2.0)]}


def test_the_running_mean_looks_back_only() -> None:
    assert smooth([1, 2, 3, 4], 2) == [1, 1.5, 2.5, 3.5]
    assert smooth([]) == []


def test_a_figure_has_a_panel_where_any_run_logged_it(tmp_path: Path) -> None:
    sft = run_of(tmp_path, "sft", loss=[3.0, 2.0])
    gap = run_of(tmp_path, "gap", loss=[0.1, 0.1], reward=[1.0, 1.4], **{"zoom/tool_rate": [0.5, 0.6]})
    assert draw([sft, gap], tmp_path / "c.png") == ["loss", "reward", "rollouts with a crop"]
    with Image.open(tmp_path / "c.png") as image:
        assert image.width > 900 and image.convert("L").getextrema() == (0, 255)


def test_runs_without_figures_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="train rl"):
        draw([run_of(tmp_path, "x", other=[1.0])], tmp_path / "c.png")
