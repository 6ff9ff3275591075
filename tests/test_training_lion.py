"""LION's stages on nano: each changes only what it names, goes on after a kill, and leaves what answers."""

import asyncio
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from sft_world import trajectories, write_data
from test_lion_parts import shaken
from zoom_world import SIDE

from zoomagent.data.grounding.pipeline import Settings as Grounding
from zoomagent.data.grounding.pipeline import make
from zoomagent.data.grounding.telling import REGION
from zoomagent.data.grounding.world_sets import write_set
from zoomagent.data.trajectories.trajectory import read_parquet, write_parquet
from zoomagent.errors import ModelNotFound, SettingInvalid
from zoomagent.geometry import Box, Size, coverage
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.loading import NANO_WEIGHTS, load_model
from zoomagent.models.profiles import own_overrides
from zoomagent.prompts import ground_prompt
from zoomagent.strategy import Task
from zoomagent.training.base import Base
from zoomagent.training.lion import run as running
from zoomagent.training.lion.collating import LionCollator
from zoomagent.training.lion.level import HINT
from zoomagent.training.lion.lookup import Lookup, asked_places, spoken_of
from zoomagent.training.lion.moving import Scene, cropped, flipped, original, varied
from zoomagent.training.lion.rows import lessons, with_wrong
from zoomagent.training.lion.run import Lion, Settings, _things, train
from zoomagent.training.nano.packing import IGNORE
from zoomagent.training.resuming import JsonLines
from zoomagent.training.sft.reading import pictures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_data(tmp_path_factory.mktemp("lion") / "data")
    thing = {"names": ["red circle"], "x": 5, "y": 5, "w": 40, "h": 40}
    listed = [{"image_id": number, "objects": [thing, {**thing, "names": ["blue star"]}]} for number in range(18)]
    (folder / "objects.json").write_text(json.dumps(listed))
    return folder


def settings(stage: Any, data: Path, out: Path, model: str = "nano", **more: Any) -> Settings:
    given = {"steps": 2, "rows": 2, "rate": 1e-2, "save_every": 1, "size": 2, **more}
    return Settings(stage, model, data, out, **given)


@pytest.fixture(scope="module")
def stages(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """All stages, one from the other."""
    made, model = {}, "nano"
    for stage in ("image", "region", "both", "tags"):
        more: dict[str, Any] = {"objects": data / "objects.json"} if stage == "tags" else {}
        more |= {"aggregator": "level", "vary": True} if stage == "region" else {}
        out = tmp_path_factory.mktemp(stage)
        made[stage] = train(settings(stage, data, out, model, **more))
        model = str(made[stage])
    return made


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    own = (folder / "loras" / name for name in ("mixture.safetensors", "aggregator.safetensors"))
    files = [*folder.glob("*.safetensors"), *filter(Path.is_file, own)]
    return {name: value for file in files for name, value in load_file(file).items()}


def changed(before: Path, after: Path) -> set[str]:
    one, other = tensors(before), tensors(after)
    return {name for name in other if name not in one or not torch.equal(one[name].float(), other[name].float())}


def test_a_stage_changes_only_what_it_names(stages: dict[str, Path]) -> None:
    assert all(".poly_" in name for name in changed(NANO_WEIGHTS, stages["image"]))
    moved = changed(stages["image"], stages["region"])
    assert moved and all(".poly_lora" in name or "deepstack_merger_list.1." in name for name in moved)
    first, second = tensors(stages["image"]), tensors(stages["region"])
    for name in (name for name in moved if ".poly_lora" in name):
        assert torch.equal(first[name][:, 1], second[name][:, 1]) and not torch.equal(
            first[name][:, 0], second[name][:, 0]
        )
    both = changed(stages["region"], stages["both"])
    assert any("router" in name for name in both) and all(".poly_" in name for name in both)
    tagged = changed(stages["both"], stages["tags"])
    assert all(name.split(".")[-2] in (*running.ATTENTION, "embed_tokens") for name in tagged)
    one, other = (tensors(stages[stage])["model.language_model.embed_tokens.weight"] for stage in ("both", "tags"))
    number = own_overrides(stages["tags"])["hint_id"]
    assert (one != other).any(-1).nonzero()[:, 0].tolist() == [number]


@pytest.mark.parametrize(("form", "part"), [("level", "deepstack_merger_list.1."), ("attention", ".aggregator.")])
def test_the_aggregator_learns_where_it_is_given_and_there_is_one(
    form: Any, part: str, data: Path, tmp_path: Path
) -> None:
    def lion(stage: Any, model: str, aggregator: Any = "none") -> Lion:
        return Lion(Base.open(model), settings(stage, data, tmp_path, model, aggregator=aggregator))

    def learning(made: Lion) -> bool:
        return any(part in name for name, weight in made.model.named_parameters() if weight.requires_grad)

    made = lion("region", "nano", form)
    assert learning(made) and len(made.optimizer().param_groups) == 2
    shaken(weight for name, weight in made.model.named_parameters() if part in name)
    made.export(tmp_path / "region")
    first = tensors(tmp_path / "region")
    assert any(part in name for name in first)
    # Through every later stage, and a repeated one, it stays one; only where it is given does it learn.
    chain = (
        ("both", form),
        ("both", "none"),
        ("region", "none"),
        ("region", form),
        ("tags", "none"),
        ("image", "none"),
    )
    for number, (stage, aggregator) in enumerate(chain):
        made = lion(stage, str(tmp_path / (f"after-{number - 1}" if number else "region")), aggregator)
        assert learning(made) == (aggregator == form)
        made.export(tmp_path / f"after-{number}")
        after = tensors(tmp_path / f"after-{number}")
        assert {name for name in after if "deepstack" in name or part in name} == {
            name for name in first if "deepstack" in name or part in name
        }
        assert all(torch.equal(after[name], first[name]) for name in after if part in name)


@pytest.mark.parametrize("stage", ["image", "tags"])
@pytest.mark.parametrize("aggregator", ["level", "attention"])
def test_an_aggregator_is_refused_where_none_learns(stage: Any, aggregator: Any, data: Path, tmp_path: Path) -> None:
    given = settings(stage, data, tmp_path / "out", aggregator=aggregator, objects=data / "objects.json")
    with pytest.raises(SettingInvalid, match="--aggregator"):
        train(given)
    assert not (tmp_path / "out").exists()


def test_an_older_checkpoint_goes_on_or_is_refused_in_words(
    stages: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    # They do not say which level is the aggregator. Where none is asked for, it does not matter.
    folder = shutil.copytree(stages["region"], tmp_path / "older")
    file = folder / "loras" / "mixture.json"
    content = json.loads(file.read_text())
    assert content.pop("level") == 1
    file.write_text(json.dumps(content))
    base = Base.open(str(folder))
    Lion(base, settings("both", data, tmp_path, str(folder)))
    with pytest.raises(SettingInvalid, match='Write "level": null'):
        Lion(base, settings("both", data, tmp_path, str(folder), aggregator="level"))
    file.write_text(json.dumps({**content, "level": 1}))
    Lion(base, settings("both", data, tmp_path, str(folder), aggregator="level"))


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        '{"adapters": "poly", "size": 0}',
        '{"adapters": "x", "size": 2}',
        '{"adapters": "poly", "size": 1000000000}',
    ],
)
def test_a_damaged_shape_is_refused(content: str, stages: dict[str, Path], data: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(stages["image"], tmp_path / "damaged")
    (folder / "loras" / "mixture.json").write_text(content)
    with pytest.raises(SettingInvalid, match="damaged"):
        Lion(Base.open(str(folder)), settings("region", data, tmp_path, str(folder)))


def _without_one(file: Path) -> None:
    weights = load_file(file)
    weights.pop(next(iter(weights)))
    save_file(weights, file, metadata={"format": "pt"})


def _narrower(file: Path) -> None:
    save_file({name: value[..., :1].contiguous() for name, value in load_file(file).items()}, file)


@pytest.mark.parametrize(
    "damage", [Path.unlink, _without_one, _narrower, lambda file: file.write_bytes(file.read_bytes()[:-40])]
)
def test_a_stage_never_begins_from_random_adapters(
    damage: Callable[[Path], Any], stages: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(stages["image"], tmp_path / "damaged")
    damage(folder / "loras" / "mixture.safetensors")
    with pytest.raises(SettingInvalid, match="stage before"):
        Lion(Base.open(str(folder)), settings("region", data, tmp_path, str(folder)))


def test_a_training_never_begins_from_a_base_without_all_of_its_weights(
    stages: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(stages["image"], tmp_path / "damaged")
    _without_one(folder / "model.safetensors")
    with pytest.raises(ModelNotFound, match="missing"):
        Lion(Base.open(str(folder)), settings("region", data, tmp_path, str(folder)))


OBJECTS = {
    "deep": "[" * 100_000,
    "a number": "5",
    "no objects": '[{"image_id": 1, "objects": 5}]',
    "no names": '[{"image_id": 1, "objects": [{"x": 0, "y": 0, "w": 9, "h": 9, "names": {"a": 1}}]}]',
    "no number": '[{"image_id": 1, "objects": [{"x": NaN, "y": 0, "w": 9, "h": 9, "names": ["a"]}]}]',
    "beyond": '[{"image_id": 1e999, "objects": []}]',
}


@pytest.mark.parametrize("content", OBJECTS.values(), ids=OBJECTS)
def test_what_is_no_list_of_things_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "objects.json").write_text(content)
    with pytest.raises(SettingInvalid, match="objects.json"):
        _things(tmp_path / "objects.json")


def test_a_name_of_half_a_character_can_be_kept(tmp_path: Path) -> None:
    thing = {"x": 0, "y": 0, "w": 9, "h": 9}
    named = [{**thing, "names": [name]} for name in ("\ud800 red  car", "", 5)]
    (tmp_path / "objects.json").write_text(json.dumps([{"image_id": 1, "objects": named}]))
    [(name, _)] = _things(tmp_path / "objects.json")[1]
    assert name.encode().endswith(b"red car")


def test_what_a_stage_leaves_answers_by_its_routes_and_never_says_the_hint(stages: dict[str, Path]) -> None:
    model: Any = load_model(str(stages["tags"]))
    assert model.profile.hint == HINT and set(model.profile.routes) == {"image", "region"}
    assert model.profile.hint_id in model._loaded.never
    asked = [Message("user", (Pixels("a", Image.new("RGB", (64, 64), "red")), Text("What is it?")))]

    async def scores(task: Task) -> float:
        [one] = await model.score(asked, ["red"], task=task)
        return float(one.logprob)

    assert asyncio.run(scores("image")) != asyncio.run(scores("region"))


@pytest.mark.slow
def test_a_killed_stage_ends_in_the_same_weights(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class KilledAt2(JsonLines):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 2:
                raise KeyboardInterrupt

    whole = train(settings("both", data, tmp_path / "whole", steps=3))
    with monkeypatch.context() as patch:
        patch.setattr(running, "JsonLines", KilledAt2)
        with pytest.raises(KeyboardInterrupt):
            train(settings("both", data, tmp_path / "parts", steps=3))
    parts = train(settings("both", data, tmp_path / "parts", steps=3))
    assert changed(whole, parts) == set()


@pytest.mark.parametrize("more", [{"adapters": "parallel", "aggregator": "attention"}, {"checkpointing": True}])
def test_lions_own_forms_and_recomputing_train_too(data: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    folder = train(settings("region", data, tmp_path, by_task=True, **more))
    model: Any = load_model(str(folder))
    asked = [Message("user", (Pixels("a", Image.new("RGB", (64, 64), "red")), Text("What is it?")))]
    one, none = (asyncio.run(model.generate(asked, max_tokens=2, task=task)) for task in ("region", None))
    assert one and none
    if "adapters" in more:
        assert {file.name for file in (folder / "loras").iterdir()} == {
            "parallel.safetensors", "aggregator.safetensors", "mixture.json",
        }  # fmt: skip


def test_batches_by_task_hold_one_task(data: Path) -> None:
    base = Base.open("nano")
    collator = LionCollator(base.processor, base.profile, data / "images")
    rows = running.rows_of(settings("both", data, data, by_task=True), collator)
    tasks = [collator([row])["task_ids"].item() for row in rows]
    assert len(set(tasks)) == 2 and all(tasks[i] == tasks[i + 1] for i in range(0, len(tasks), 2))


def test_a_task_that_fills_no_batch_is_refused(data: Path) -> None:
    base = Base.open("nano")
    collator = LionCollator(base.processor, base.profile, data / "images")
    every = [row["lesson"] for row in running.rows_of(settings("both", data, data), collator)]
    regions = len(running.rows_of(settings("region", data, data), collator))
    fewer = min(regions, len(every) - regions)
    for rows, fits in ((fewer, True), (fewer + 1, False), (4096, False)):
        given = settings("both", data, data, by_task=True, rows=rows)
        if fits:
            assert len(running.rows_of(given, collator)) >= 2 * rows
        else:
            with pytest.raises(SettingInvalid, match="--rows"):
                running.rows_of(given, collator)


def test_things_lie_where_they_are_in_the_picture(data: Path, tmp_path: Path) -> None:
    def thing(name: str, x: int, y: int, w: int, h: int) -> dict[str, Any]:
        return {"names": [name], "x": x, "y": y, "w": w, "h": h}

    objects = [thing("in", 5, 6, 40, 50), thing("over", -10, -20, 40, 50), thing("wide", 5, 6, 9 * SIDE, 9 * SIDE)]
    objects += [thing("out", -50, 5, 40, 40), thing("behind", SIDE, 5, 40, 40), {**thing("", 1, 1, 5, 5), "names": []}]
    file = tmp_path / "objects.json"
    file.write_text(json.dumps([{"image_id": number, "objects": objects} for number in range(18)]))
    base = Base.open("nano")
    collator = LionCollator(base.processor, base.profile, data / "images", tags=True)
    row = running.rows_of(settings("tags", data, data, objects=file), collator)[0]
    assert json.loads(row["things"]) == [
        ["in", [5, 6, 45, 56]], ["over", [0, 0, 30, 30]], ["wide", [5, 6, SIDE, SIDE]],
    ]  # fmt: skip
    for damaged in ("{", "[1]", '[{"image_id": 1}]', '[{"image_id": 1, "objects": [{"names": ["a"], "x": "²"}]}]', "5"):
        file.write_text(damaged)
        with pytest.raises(SettingInvalid, match="objects"):
            running.rows_of(settings("tags", data, data, objects=file), collator)


@pytest.mark.parametrize("checkpointing", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_tag_that_is_asked_for_is_looked_up(
    checkpointing: bool, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every question names its thing here, and every list of tags has it: attention to that tag must grow.
    corner = {"x": 5, "y": 5, "w": 40, "h": 40}
    listed: list[dict[str, Any]] = []
    for one in trajectories(18):
        asked = one.question.removeprefix("What is written on the ").removesuffix("?")
        things = [{"names": [name], **corner} for name in ("grey star", asked, "pink cross")]
        listed.append({"image_id": one.image_id, "objects": things})
    file = tmp_path / "objects.json"
    file.write_text(json.dumps(listed))

    def followed(weight: float) -> list[float]:
        monkeypatch.setattr(running, "WEIGHT", weight)
        losses: list[float] = []

        class Noted(Lookup):
            def loss(self, spoken: Any) -> torch.Tensor:
                found = super().loss(spoken)
                losses.append(float(found.detach()))
                return found

        monkeypatch.setattr(running, "Lookup", Noted)
        train(
            settings(
                "tags",
                data,
                tmp_path / f"out-{weight}",
                objects=file,
                wrong=0.0,
                steps=5,
                rate=5e-3,
                checkpointing=checkpointing,
            )
        )
        return losses

    made = {weight: followed(weight) for weight in (0.0, 1.0)}
    assert len(made[1.0]) == len(made[0.0]) >= 4 and made[1.0][0] == pytest.approx(made[0.0][0], abs=1e-4)
    assert made[1.0][-1] < 0.7 * made[0.0][-1]


def test_the_seed_decides_what_is_varied(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(Exception):
        pass

    seen = []

    def trainer(**given: Any) -> Any:
        collator, rows = given["data_collator"], given["train_dataset"]
        seen.append([collator.lesson(row)[0].part for row in rows])
        raise Stopped

    monkeypatch.setattr(running, "LionTrainer", trainer)
    for number, seed in enumerate((1, 1, 2)):
        with pytest.raises(Stopped):
            train(settings("region", data, tmp_path / str(number), vary=True, seed=seed))
    assert seen[0] == seen[1] != seen[2]


def test_only_the_last_answer_is_learned(data: Path) -> None:
    base = Base.open("nano")
    collator = LionCollator(base.processor, base.profile, data / "images")
    for row in running.rows_of(settings("both", data, data), collator):
        _, lesson = collator.lesson(row)
        made = collator.row(row)
        learned = [token for token in made["labels"] if token != IGNORE]
        said = base.processor.tokenizer.decode(learned)
        assert said.removesuffix("<|im_end|>").strip() == lesson.answer


def test_rows_of_a_mixed_batch_keep_their_tasks(data: Path) -> None:
    # LION compares a list of tasks with one name, so a list is always taken for image tasks.
    base = Base.open("nano")
    collator = LionCollator(base.processor, base.profile, data / "images")
    rows = list(running.rows_of(settings("both", data, data), collator))
    batch = collator(rows[:6])
    assert batch["task_ids"].tolist() == [collator.row(row)["task"] for row in rows[:6]]
    assert len(set(batch["task_ids"].tolist())) == 2


def test_a_moved_box_still_holds_its_thing() -> None:
    image = Image.new("RGB", (200, 120), "white")
    box = Box(150, 30, 180, 60)
    image.paste((255, 0, 0), (box.left, box.top, box.right, box.bottom))
    nested = (box, Box(140, 20, 190, 70), Box(100, 0, 200, 120))
    scene = Scene(
        Size(200, 120), "Where is the square?", "There", (box,), nested, (("square", box), ("dot", Box(0, 0, 9, 9)))
    )
    seen = set()
    for seed in range(60):
        moved = varied(scene, random.Random(seed))
        place = original(moved, Box(0, 0, moved.size.width, moved.size.height))
        shown = image.crop((place.left, place.top, place.right, place.bottom))
        shown = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if moved.mirrored else shown
        [inside] = moved.boxes
        cut = shown.crop((inside.left, inside.top, inside.right, inside.bottom))
        assert cut.getcolors() == [(900, (255, 0, 0))]
        assert original(moved, inside) == box
        for small, large in zip(moved.nested, moved.nested[1:], strict=False):
            assert large.left <= small.left and small.right <= large.right and large.bottom >= small.bottom
        # LION tags the picture before it crops: tags here are of what is left.
        left = max(0, 9 - place.left) * max(0, 9 - place.top)
        assert ("dot" in moved.tags) == (left >= 81 / 2)
        seen.add((moved.mirrored, place != Box(0, 0, 200, 120)))
    assert len(seen) == 4


def test_words_follow_a_mirror_and_letters_are_not_mirrored() -> None:
    scene = Scene(
        Size(100, 100), "Is the cup left of the dog?", "Yes, left", (), (), (("left hand", Box(0, 0, 10, 10)),)
    )
    turned = flipped(scene)
    assert turned is not None and turned.question == "Is the cup right of the dog?" and turned.answer == "Yes, right"
    assert turned.things == (("right hand", Box(90, 0, 100, 10)),) and flipped(turned) == scene
    assert flipped(Scene(Size(9, 9), "What is written on the sign?", "EXIT")) is None
    assert cropped(scene, Box(0, 0, 50, 50)) is None
    whole = Scene(Size(100, 100), "How many cups are there?", "2", things=(("cup", Box(80, 80, 99, 99)),))
    assert cropped(whole, Box(0, 0, 50, 50)) is None


def test_a_question_about_the_whole_is_cropped_only_where_all_of_it_is_known_to_be_left() -> None:
    size, part = Size(100, 100), Box(0, 0, 50, 50)
    many = "How many dogs are there?"
    assert cropped(Scene(size, many, "3"), part) is None
    assert cropped(Scene(size, "Is there a dog?", "No"), part) is None
    dog = ("dog", Box(10, 10, 20, 20))
    assert cropped(Scene(size, many, "1", things=(dog,)), part) is not None
    assert cropped(Scene(size, many, "2", things=(dog, ("dog", Box(45, 45, 90, 90)))), part) is None
    # A thing that is half there is a tag, and no whole thing.
    half = ("dog", Box(40, 10, 60, 20))
    assert cropped(Scene(size, many, "1", things=(half,)), part) is None
    # What is pointed at may lose its surroundings, and nothing of itself.
    assert cropped(Scene(size, "What colour is the dog?", "brown", (dog[1],)), part) is not None
    for seed in range(40):
        assert varied(Scene(size, many, "3"), random.Random(seed)).part is None


@pytest.mark.parametrize(
    ("question", "answer", "mirrored"),
    [
        ("What time is on the clock?", "5:12", False),
        ("What time is it?", "noon", False),
        ("What is on the bus?", "47", False),
        ("What is on the wall?", "STOP", False),
        ("Which brand is the laptop?", "apple", False),
        ("What is the name of the shop?", "the bakery", False),
        ("What does the plate show?", "a fish", False),
        ("How many dogs are there?", "12", True),
        ("What colour is the cup?", "red", True),
        ("Is there a dog?", "No", True),
        ("What is on the table?", "A cup", True),
    ],
)
def test_what_may_have_been_read_is_not_mirrored(question: str, answer: str, mirrored: bool) -> None:
    assert (flipped(Scene(Size(9, 9), question, answer)) is not None) == mirrored


@pytest.mark.parametrize(
    "words",
    [
        "leftmost man", "Rightmost cup", "the lefthand door", "leftside guy", "LEFT dog", "upleft tree", "topright",
        "el vaso a la izquierda", "mano derecha", "la tasse de gauche", "à droite", "die linke Tasse", "rechts",
        "à esquerda", "a sinistra", "чашка слева", "左边的人", "lft guy", "man on R", "the West tower", "northwest",
        "left of the leftmost cup", "counterclockwise from the door",
    ],
)  # fmt: skip
def test_a_side_that_no_word_can_follow_is_not_mirrored(words: str) -> None:
    size, box = Size(100, 100), Box(0, 0, 10, 10)
    assert flipped(Scene(size, words, "", (box,))) is None
    assert flipped(Scene(size, "What is this?", words)) is None
    assert flipped(Scene(size, "What is this?", "A cup", things=((words, box),))) is None


@pytest.mark.parametrize(
    ("words", "other"),
    [
        ("left man", "right man"), ("Left-hand cup", "Right-hand cup"), ("cup on the right, left of a dog",
        "cup on the left, right of a dog"), ("at least two girls in rows", "at least two girls in rows"),
    ],
)  # fmt: skip
def test_a_side_that_words_can_follow_is_mirrored(words: str, other: str) -> None:
    turned = flipped(Scene(Size(100, 100), words, "", (Box(0, 0, 10, 10),)))
    assert turned is not None and (turned.question, turned.boxes) == (other, (Box(90, 0, 100, 10),))


def test_a_share_of_the_tags_is_wrong() -> None:
    tags, others = tuple(f"t{n}" for n in range(40)), [f"o{n}" for n in range(200)]
    assert sorted(with_wrong(tags, others, 0.0, random.Random(1))) == sorted(tags)
    made = with_wrong(tags, others, 0.6, random.Random(1))
    assert 15 <= len(set(made) - set(tags)) <= 33 and len(made) == 40


def test_every_trajectory_gives_the_lessons_of_its_kind() -> None:
    profile = Base.open("nano").profile
    for trajectory in trajectories(9):
        made = lessons(trajectory, profile)
        tasks = [lesson.task for lesson in made]
        assert tasks == (["image"] if trajectory.kind == "cannot_tell" else ["image", "region"])
        assert made[0].answer == trajectory.answer
        if len(made) > 1:
            four = json.loads(made[1].answer)
            x0, *_ = trajectory.targets[0]
            assert abs(four[0] / 1000 * SIDE - x0) <= SIDE * profile.box_step / 1000


@pytest.fixture(scope="module")
def phrases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of a grounding set, for nano."""
    folder = tmp_path_factory.mktemp("phrases")
    write_set("flickr30k", folder / "set")
    make("flickr30k", folder / "set", folder / "data", Grounding(folder / "set", Base.open("nano").profile))
    return folder / "data"


def test_rows_of_a_grounding_set_are_region_lessons_in_the_words_of_a_run(phrases: Path) -> None:
    base = Base.open("nano")
    collator = LionCollator(base.processor, base.profile, pictures(phrases), vary=True)
    rows = list(running.rows_of(settings("region", phrases, phrases), collator))
    assert {row["id"].rsplit("-", 1)[1] for row in rows} == {"where", "what"}
    seen = set()
    for row in rows:
        scene, lesson = collator.lesson(row)
        [(_, _, asked)] = lesson.turns
        phrase = json.loads(row["provenance"])["phrase"]
        pointed = row["id"].endswith("-where")
        assert asked == ground_prompt(phrase, "thousand") if pointed else asked.startswith(REGION)
        said = json.loads(lesson.answer if pointed else asked.removeprefix(REGION))
        assert pointed or lesson.answer == phrase
        # The numbers are of what is shown, which may be a part of the picture, and mirrored.
        x0, y0, x1, y1 = (n / 1000 for n in said)
        width, height = scene.size.width, scene.size.height
        box = original(scene, Box(round(x0 * width), round(y0 * height), round(x1 * width), round(y1 * height)))
        [target] = row["targets"]
        assert (
            coverage(Box(*target), box) > 0.97
            and max(abs(a - b) for a, b in zip(box.as_list(), target, strict=True))
            <= 2 + width * base.profile.box_step / 1000
        )
        seen.add((scene.mirrored, scene.part is not None))
    assert len(seen) == 4
    for stage in ("image", "tags"):
        with pytest.raises(SettingInvalid, match="no lessons"):
            running.rows_of(settings(stage, phrases, phrases), collator)


def test_phrases_train_and_turn_with_their_picture(phrases: Path, tmp_path: Path) -> None:
    base = Base.open("nano")
    collator = LionCollator(base.processor, base.profile, pictures(phrases), vary=True)
    row = running.rows_of(settings("region", phrases, phrases), collator)[0]
    sided = json.dumps({**json.loads(row["provenance"]), "phrase": "the left circle"})
    found = {}
    for seed in range(8):
        scene, lesson = replace(collator, seed=seed).lesson({**row, "provenance": sided})
        found[scene.mirrored] = "right circle" in lesson.turns[0][2]
        assert scene.part is None
    assert found == {True: True, False: False}
    assert changed(NANO_WEIGHTS, train(settings("region", phrases, tmp_path, vary=True)))


def test_rows_whose_phrases_are_not_kept_are_refused(phrases: Path, tmp_path: Path) -> None:
    without = shutil.copytree(phrases, phrases.parent / "without")
    for file in without.rglob("*.parquet"):
        bare = {"set": "flickr30k", "annotation": "1"}
        write_parquet([row.model_copy(update={"provenance": bare}) for row in list(read_parquet(file))], file)
    with pytest.raises(SettingInvalid, match="again"):
        train(settings("region", without, tmp_path))


def test_tags_without_things_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="--objects"):
        train(settings("tags", data, tmp_path))


@pytest.mark.parametrize(
    ("tags", "question", "said"),
    [
        (("red circle", "blue star"), "Is there a blue star?", ["blue star"]),
        (("red circle", "blue star"), "How many red circles are there?", ["red circle"]),
        (("blue star", "red circle"), "Is the Red circle left of the blue star?", ["blue star", "red circle"]),
        (("red circle", "circle"), "Is there a circle?", ["circle"]),
        (("car", "carpet"), "Is there a carpet?", ["carpet"]),
        (("a.c", "abc"), "Is there an abc?", ["abc"]),
        (("red circle",), "What is it?", []),
        ((), "Is there a red circle?", []),
    ],
)
def test_the_tokens_of_the_tag_that_is_asked_for_are_found(tags: Any, question: str, said: list[str]) -> None:
    tokenizer = Base.open("nano").processor.tokenizer
    # The question names its thing outside of the list too, and an earlier list is not this one.
    text = f"Is it [{', '.join(reversed(tags))}]? You may use these tags: [{', '.join(tags)}]. {question}"
    ids = tokenizer.encode(text, add_special_tokens=False)
    marked = asked_places(tokenizer, ids, tags, question)
    runs: list[list[int]] = []
    before = False
    for token, mark in zip(ids, marked, strict=True):
        if mark and not before:
            runs.append([])
        if mark:
            runs[-1].append(token)
        before = mark
    assert [tokenizer.decode(run).strip() for run in runs] == said


def test_a_row_without_an_asked_tag_looks_nothing_up() -> None:
    labels = torch.full((3, 6), IGNORE)
    labels[:, 4:] = 7
    there = torch.ones(3, 6)
    asked = torch.zeros(3, 6, dtype=torch.bool)
    asked[1, 2] = asked[2, 5] = True  # what comes behind the question cannot be seen from there
    spoken = spoken_of(labels, there, asked)
    assert spoken.row.tolist() == [1, 2] and spoken.place.tolist() == [3, 3]
    assert spoken.right.nonzero().tolist() == [[0, 2]] and spoken.seen.sum(-1).tolist() == [4, 4]
