"""The stock tagger with a tiny SigLIP of random weights: stock files in, scored names out."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, SiglipConfig, SiglipImageProcessorPil, SiglipModel
from typer.testing import CliRunner

from zoomagent import ZoomAgent
from zoomagent.cli.main import app
from zoomagent.errors import ModelNotFound, PolicyFileRefused
from zoomagent.models.loading import NANO_WEIGHTS
from zoomagent.tools.taggers import EVERYDAY, Siglip, open_tagger


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    made = tmp_path_factory.mktemp("siglip")
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": 768, "max_position_embeddings": 64, "projection_size": 32}
    SiglipModel(
        SiglipConfig(text_config=text, vision_config={**sizes, "image_size": 32, "patch_size": 16})
    ).save_pretrained(made)
    AutoTokenizer.from_pretrained(NANO_WEIGHTS).save_pretrained(made)
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(made)
    return made


def test_a_name_is_scored_by_itself_whatever_others_are_asked_for(folder: Path) -> None:
    tagger = Siglip(str(folder), ["car", "sign", "dog"], least=0.0)
    picture = Image.new("RGB", (70, 40), "red")
    every = {one.label: one.score for one in tagger(picture, [])}
    assert set(every) == {"car", "sign", "dog"} and all(score is not None and 0 < score < 1 for score in every.values())
    [alone] = tagger(picture, ["sign"])
    assert alone.score == pytest.approx(every["sign"], abs=1e-5)
    strict = Siglip(str(folder), ["car", "sign", "dog"], least=1.0)
    assert strict(picture, []) == [] and len(strict(picture, ["car"])) == 1


def test_pickled_weights_are_not_loaded(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(PolicyFileRefused):
        Siglip(str(tmp_path), ["car"])


def test_the_agent_takes_a_folder_as_its_tagger(folder: Path, tmp_path: Path) -> None:
    named = shutil.copytree(folder, tmp_path / "named")
    (named / "names.txt").write_text("red circle\n\n  blue   star \n" + "x" * 90 + "\n", encoding="utf-8")
    assert open_tagger(str(named)).labels == ("red circle", "blue star")  # type: ignore[attr-defined]
    assert open_tagger(str(folder)).labels == EVERYDAY  # type: ignore[attr-defined]
    with ZoomAgent("nano", tags=str(named), strategy="locate") as agent:
        assert agent.context.tags == "own"
        answer = agent.ask(Image.new("RGB", (200, 200), "red"), "What is written on the red circle?")
    assert {tag.label for tag in answer.tags} <= {"red circle", "blue star"}


@pytest.mark.parametrize("damage", ["nothing", "no weights", "no tokenizer", "text"])
def test_a_folder_without_a_tagger_is_refused(damage: str, folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "tagger"
    if damage != "nothing":
        shutil.copytree(folder, made)
        dropped = {"no weights": "model.safetensors", "no tokenizer": "tokenizer.json", "text": "config.json"}[damage]
        (made / dropped).unlink()
    if damage == "text":
        (made / "config.json").write_text("{")
    with pytest.raises(ModelNotFound):
        ZoomAgent("nano", tags=str(made))


def without_a_tensor(made: Path) -> None:
    weights = load_file(made / "model.safetensors")
    weights.pop(next(name for name in weights if name.endswith("k_proj.weight")))
    save_file(weights, made / "model.safetensors", metadata={"format": "pt"})


def with_another(made: Path, name: str, **values: Any) -> None:
    content = json.loads((made / name).read_text())
    (made / name).write_text(json.dumps({**content, **values}))


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a tensor is missing": without_a_tensor,
    "another type": lambda made: shutil.copy(NANO_WEIGHTS / "config.json", made / "config.json"),
    "a huge table": lambda made: with_another(
        made,
        "config.json",
        text_config={"vocab_size": 2_000_000, "hidden_size": 100_000, "model_type": "siglip_text_model"},
    ),
    "no heads": lambda made: with_another(made, "config.json", vision_config={"num_attention_heads": 0}),
    "a tokenizer of nothing": lambda made: with_another(made, "tokenizer.json", model={"type": "BPE", "vocab": 5}),
    "a pickle": lambda made: (made / "model.safetensors").write_bytes(pickle.dumps({"a": 1})),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_tagger_that_would_name_things_at_random_is_refused(what: str, folder: Path, tmp_path: Path) -> None:
    made = shutil.copytree(folder, tmp_path / "tagger")
    HOSTILE[what](made)
    with pytest.raises((ModelNotFound, PolicyFileRefused)):
        open_tagger(str(made))


@pytest.mark.parametrize("name", ["~no-such-user/tagger", "x" * 5000, "a\0b", "\udcff"])
def test_what_can_be_no_name_is_no_folder(name: str) -> None:
    with pytest.raises(ModelNotFound):
        open_tagger(name)


@pytest.mark.parametrize("value", ["no-such-folder", "on", "own", "", "~no-such-user/siglip", "x" * 5000, "a\0b"])
def test_the_command_line_takes_off_auto_or_a_folder(value: str) -> None:
    run = CliRunner().invoke(app, ["ask", "a.png", "What?", "--tags", value])
    assert run.exit_code == 2 and "--tags" in run.output
