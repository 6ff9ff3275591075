"""The stock tagger with a tiny SigLIP of random weights: stock files in, scored names out."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, SiglipConfig, SiglipImageProcessorPil, SiglipModel

from zoomagent.models.loading import NANO_WEIGHTS
from zoomagent.tools.taggers import Siglip


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
    with pytest.raises(OSError):
        Siglip(str(tmp_path), ["car"])
