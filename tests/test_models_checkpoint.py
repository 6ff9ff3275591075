"""Checkpoints that are broken, hostile or only unusual: each is a typed refusal, and none runs anyone's code."""

import json
import shutil
from pathlib import Path

import pytest

from zoomagent.errors import RunError
from zoomagent.models.checkpoint import folder_profile, load_checkpoint
from zoomagent.models.loading import NANO_WEIGHTS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of nano that may be broken."""
    copy = tmp_path / "model"
    shutil.copytree(NANO_WEIGHTS, copy)
    return copy


def change(file: Path, **values: object) -> None:
    content = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**content, **values}))


def load(folder: Path) -> None:
    load_checkpoint(str(folder), folder.name, "cpu", "float32")


def assert_refused(folder: Path) -> RunError:
    with pytest.raises(RunError) as caught:
        load(folder)
    assert str(folder.parent) not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("part", ["config.json", "tokenizer_config.json", "preprocessor_config.json"])
def test_code_beside_the_weights_is_neither_run_nor_asked_about(
    folder: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers asks on the terminal when it is not told; here nobody is asked and nothing is imported."""
    trap = folder / "ran"
    (folder / "evil.py").write_text(f"open({str(trap)!r}, 'w').close()\nclass X: pass\n")
    autos = {"AutoConfig": "evil.X", "AutoTokenizer": ["evil.X", "evil.X"], "AutoImageProcessor": "evil.X"}
    change(folder / part, auto_map=autos, model_type="unknown", tokenizer_class="X", image_processor_type="X")
    monkeypatch.setattr("builtins.input", lambda *words: pytest.fail("someone was asked"))
    for opened in (load, folder_profile):
        try:
            opened(folder)
        except RunError:
            continue
    assert not trap.exists()
