"""The LION bench: arms of equal size, taught alike, asked through the checkpoint that they leave, and none twice."""

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from zoomagent.cli.main import app
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import DEEP, SMALL, draw_scene
from zoomagent.errors import SettingInvalid, StoreError
from zoomagent.evaluation.lion import conflict, inside, tags
from zoomagent.evaluation.lion.arms import ARMS, Arm, Name
from zoomagent.evaluation.lion.conflict import Settings, Wanted
from zoomagent.evaluation.lion.questions import KINDS, BenchQuestion, questions, score
from zoomagent.evaluation.lion.results import ArmResult, ArmResults, markdown, plain_markdown, rows_of
from zoomagent.evaluation.lion.tags import TagSettings, tag_questions, tags_of
from zoomagent.evaluation.lion.teaching import CANVAS, School, Taught, lots_of, see_all, teach
from zoomagent.evaluation.results import ResultFile
from zoomagent.evaluation.sets.haystack import Settings as Haystack
from zoomagent.graphs.asking import tag_parts
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.loading import load_model
from zoomagent.models.local.parallel import TASKS
from zoomagent.strategy import Task
from zoomagent.training.base import Base
from zoomagent.training.nano.batching import read, see


@pytest.fixture(scope="module")
def base() -> Base:
    return Base.open("nano")


@pytest.fixture(scope="module")
def school(base: Base) -> School:
    return School(base.processor.tokenizer, base.config.vision_config, base.profile)


def box(answer: str) -> BenchQuestion:
    return BenchQuestion("box", "Where?", answer, 0)


@pytest.mark.parametrize(
    ("question", "reply", "worth"),
    [
        (box("10 10 20 20"), "10 10 20 20", 1.0),
        (box("10 10 20 20"), "14 10 20 20", 1.0),  # IoU 320 / 480
        (box("10 10 20 20"), "20 10 20 20", 0.0),  # IoU 200 / 600
        (box("10 10 20 20"), "10 10 20", 0.0),
        (box("10 10 20 20"), "Cannot tell", 0.0),
        (box("10 10 0 0"), "10 10 0 0", 0.0),
        (BenchQuestion("size", "", "12", 0), "13", 1.0),
        (BenchQuestion("size", "", "12", 0), "14", 0.0),
        (BenchQuestion("size", "", "12", 0), "12 12", 0.0),
        (BenchQuestion("size", "", "12", 0), "", 0.0),
        (BenchQuestion("colour", "", "red"), "Red.", 1.0),
        (BenchQuestion("count", "", "8"), "80", 0.0),
        (BenchQuestion("caption", "", "red circle, blue star"), "blue star, red circle", 1.0),
        (BenchQuestion("caption", "", "red circle, blue star"), "red circle", 2 / 3),
        (BenchQuestion("caption", "", "red circle, blue star"), "red circle, red circle", 0.5),
        (BenchQuestion("caption", "", "red circle"), "", 0.0),
    ],
)
def test_a_score_is_what_the_reply_is_worth(question: BenchQuestion, reply: str, worth: float) -> None:
    assert score(question, reply) == pytest.approx(worth)


def test_every_taught_answer_is_worth_all_and_no_question_is_in_doubt() -> None:
    seen = set()
    for index in range(60):
        scene = draw_scene(SMALL, 5, index)
        for one in questions(scene, np.random.default_rng([5, index])):
            assert score(one, one.answer) == 1.0
            seen.add((one.kind, one.task))
            if one.kind in ("colour", "shape"):
                values = [getattr(item, one.kind) for item in scene.items]
                assert all(values.count(one.answer) > values.count(other) for other in set(values) - {one.answer})
            if one.item >= 0:
                assert [item.name for item in scene.items].count(scene.items[one.item].name) == 1
    assert {kind for kind, _ in seen} == set(KINDS) and len(seen) == len(KINDS)


def test_a_question_is_taught_in_the_words_in_which_it_is_asked(school: School) -> None:
    model: Any = load_model("nano")
    scene = draw_scene(SMALL, 5, 1)
    image = Image.fromarray(render(scene, school.side, school.side, full_side=CANVAS))
    for one in questions(scene, np.random.default_rng(1)):
        packed = school.row(scene, [school.words.turn(one.prompt, one.answer)]).packed
        asked = model.encode([Message("user", (Pixels("a", image), Text(one.prompt)))], (), one.task).ids[0].tolist()
        answer = model._loaded.tokenizer.encode(f"{one.answer}<|im_end|>")
        assert packed.ids.tolist() == [*asked, *answer]


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_answers_through_its_checkpoint_as_it_was_taught(name: Name, base: Base, tmp_path: Path) -> None:
    arm = Arm(base, name, 2, 1)
    if name != "untaught":
        with torch.no_grad():
            for weight in (weight for group in arm.groups(1.0) for weight in group["params"]):
                weight.add_(torch.randn_like(weight) * 0.05)
    school = School(base.processor.tokenizer, base.config.vision_config, base.profile)
    arm.model.eval()
    scene = draw_scene(SMALL, 5, 2)
    image = Image.fromarray(render(scene, school.side, school.side, full_side=CANVAS))
    told = [Message("user", (Pixels("a", image), Text("How many things are there?")))]
    branch = school.words.turn("How many things are there?", "8")
    lots = lots_of([Taught(school.row(scene, [branch]), 0)], 1, 1, school.pad)
    model: Any = load_model(str(arm.export(tmp_path / "arm")))
    for number, task in enumerate(TASKS):
        batch, _, _ = next(lots)
        if name != "untaught":
            arm.route(torch.tensor([number]))
        with torch.no_grad():
            hidden, _ = read(arm.model, batch, [see(arm.model, batch.sights[0].pixels)])
            here = arm.model.lm_head(hidden[0]).float()
        prompt = model.encode(told, (), task)
        with torch.inference_mode():
            there = model._prefill([prompt]).logits[0]
        assert (here[prompt.ids.shape[1] - 1] - there).abs().max() < 1e-3


def test_arms_of_both_tasks_are_of_one_size(base: Base) -> None:
    sizes = {name: Arm(base, name, 4, 1).parameters() for name in ARMS}
    assert sizes["image"] == sizes["region"] and 2 * sizes["image"] == sizes["shared"] == sizes["switch"]
    assert sizes["shared"] < sizes["mixture"] < 1.01 * sizes["shared"]
    assert 0.9 < sizes["parallel"] / sizes["shared"] < 1.1 and sizes["untaught"] == 0


@pytest.mark.parametrize("name", ["shared", "switch", "mixture"])
def test_one_tasks_lessons_leave_the_other_adapter_where_there_is_one(name: Name, base: Base, school: School) -> None:
    arm = Arm(base, name, 2, 1)
    scene = draw_scene(SMALL, 5, 3)

    def taught(task: Task) -> None:
        lots = lots_of([Taught(school.row(scene, [school.words.turn("Why?", "8")]), TASKS.index(task))], 1, 1, 0)
        arm.learn(task)
        teach(arm.model, lots, arm.route, arm.groups(1e-2), 2)

    def adapters() -> list[torch.Tensor]:
        return [value.clone() for key, value in arm.model.state_dict().items() if ".poly_lora" in key]

    taught("image")
    before = adapters()
    taught("region")
    after = adapters()
    place = TASKS.index("region") if name == "shared" else TASKS.index("image")
    still = all(torch.equal(one[:, place], other[:, place]) for one, other in zip(before, after, strict=True))
    assert still == (name != "shared")


def test_what_the_tower_saw_is_kept_and_changes_nothing(base: Base, school: School) -> None:
    rows = [
        Taught(school.row(draw_scene(SMALL, 5, index), [school.words.turn("Why?", str(index))]), 0)
        for index in range(3)
    ]
    losses = []
    for given in (rows, see_all(base.weights(torch.float32).eval(), rows)):
        arm = Arm(base, "region", 2, 1)
        losses.append(teach(arm.model, lots_of(given, 2, 1, school.pad), arm.route, arm.groups(1e-2), 3))
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


SMALLEST: dict[str, Any] = {"steps": 1, "seeds": (1,), "rows": 2, "scenes": 4, "tested": 1}
TWO: tuple[Wanted, ...] = (("untaught", "none"), ("mixture", "none"))


def test_no_arm_is_done_twice_and_other_settings_are_other_arms(tmp_path: Path, monkeypatch: Any) -> None:
    found = conflict.measure(Settings("nano", tmp_path, **SMALLEST), TWO)
    assert [one.arm for one in found] == ["untaught", "mixture"] and set(found[1].scores) <= set(KINDS)
    done: list[str] = []
    assert conflict.measure(Settings("nano", tmp_path, **SMALLEST), TWO, done.append) == found and not done

    class Begun(Exception):
        pass

    def begin(*_: Any) -> Any:
        raise Begun

    monkeypatch.setattr(conflict, "_base", begin)
    for more in ({"steps": 2}, {"order": "stages"}, {"rate": 0.1}, {"forgetting": 1}):
        with pytest.raises(Begun):
            conflict.measure(Settings("nano", tmp_path, **{**SMALLEST, **more}), TWO)


def test_a_torn_line_is_done_again_and_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "lion.jsonl"
    one = ArmResult("mixture", 1, {"steps": 1}, 5, 1.0, {"count": [1.0]})
    ArmResults(file).add(one)
    with file.open("ab") as handle:
        handle.write(b'{"arm": "mix')
    assert ArmResults(file).get("mixture", 1, {"steps": 1}) == one
    assert ArmResults(file).get("mixture", 1, {"steps": 2}) is None
    kept = json.loads(file.read_text())
    odd: tuple[dict[str, Any], ...] = (
        {"settings": 5},
        {"scores": []},
        {"scores": {"count": ["a"]}},
        {"seed": "1"},
        {"seconds": math.nan},
        {"x": 1},
    )
    for line in ("[" * 100_000, "5", '{"key": 1}', *(json.dumps({**kept, **more}) for more in odd)):
        file.write_text(f"{line}\n")
        with pytest.raises(StoreError, match="Line 1"):
            ArmResults(file)


def test_more_seeds_do_not_make_few_questions_many() -> None:
    scores = [1.0, 0.0] * 20
    alone, thrice = (
        rows_of([ArmResult("shared", seed, {}, 10, 1.0, {"count": scores}) for seed in range(seeds)], ["count", "box"])
        for seeds in (1, 3)
    )
    [one], [three] = alone, thrice
    assert three["scores"]["count"]["mean"] == one["scores"]["count"]["mean"] == 0.5
    width = [row["scores"]["count"]["high"] - row["scores"]["count"]["low"] for row in (one, three)]
    assert width[1] == pytest.approx(width[0], rel=0.1) and "box" not in three["scores"]
    assert "50.0 ±" in markdown(thrice, ["count", "box"]).splitlines()[2]


def test_tags_are_wrong_as_often_as_is_said_and_questions_come_in_halves() -> None:
    kept = total = 0
    for index in range(40):
        scene = draw_scene(DEEP, 5, index)
        true = {item.name for item in scene.items}
        assert set(tags_of(scene, 0.0, random.Random(1))) == true
        made = tags_of(scene, 0.6, random.Random(index))
        kept, total = kept + len(set(made) & true), total + len(made)
        asked = tag_questions(scene, 128, np.random.default_rng(index))
        assert [one.there for one in asked] == [True, True, False, False]
        assert all((one.name in true) == one.there for one in asked)
    assert 0.3 < kept / total < 0.5


def test_an_answer_is_looked_up_at_the_tag_that_is_asked_for(base: Base, school: School) -> None:
    # Wherever a tag is marked, its tokens spell it, and the question names it.
    tokenizer = school.words.tokenizer
    marked = 0
    for index in range(8):
        row = tags._row(school, base.profile, index, True)
        asked = tag_questions(draw_scene(DEEP, tags.SEED, index), school.side, np.random.default_rng([29, index, 19]))
        for number, one in enumerate(asked):
            mine = (row.packed.branch == number + 1) & (row.items == number)
            said = tokenizer.decode(row.packed.ids[mine].tolist()).strip()
            listed = f"{one.name}," in tokenizer.decode(row.packed.ids[row.packed.branch == number + 1].tolist())
            assert said in ("", one.name) and (not listed or said)
            marked += bool(said)
    assert marked > 8
    assert not (tags._row(school, base.profile, 0, False).targets > 0).any() or marked


@pytest.mark.parametrize("name", ["untagged", "hint"])
def test_an_arm_of_tags_is_asked_with_its_own_words(name: Any, tmp_path: Path) -> None:
    settings = TagSettings("nano", tmp_path, steps=1, seeds=(1,), rows=2, scenes=2, tested=2)
    one = tags._measure_arm(name, 1, settings, {})
    shares = {kind.split(" ")[0] for kind in one.scores}
    assert shares == ({"0"} if name == "untagged" else {"0", "30", "60"})
    assert all(len(one.scores[f"{share} % all"]) == 8 for share in shares)
    assert not (tmp_path / "tagged").exists()


def test_the_hint_stands_before_tags_only_where_the_model_has_it(base: Base) -> None:
    assert [part.text for part in tag_parts(("red circle",), base.profile)][0].startswith("You are allowed")


def test_a_model_without_routes_is_not_measured_as_lion(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="no routes"):
        inside.switching("nano", "nano", 1)


def test_switching_is_timed_for_both_models(base: Base, tmp_path: Path) -> None:
    folder = Arm(base, "switch", 2, 1).export(tmp_path / "arm")
    plain, routed = inside.switching("nano", str(folder), 2)
    assert plain["pictures"] == 2 and all(routed[place] > 0 for place in ("new picture", "same task", "other task"))
    assert "other task" in plain_markdown([plain, routed])
    json.dumps([plain, routed])


@pytest.mark.slow
def test_adapters_that_learned_nothing_answer_as_none_and_no_question_is_asked_twice(
    base: Base, tmp_path: Path
) -> None:
    folder = str(Arm(base, "switch", 2, 1).export(tmp_path / "arm"))
    settings = Haystack(n=6, size=512)
    found = inside.measure("nano", folder, settings, ResultFile(tmp_path / "agent.jsonl"))
    by_row = {name: [one.given for one in found if one.key.strategy == name] for name in inside.ROWS}
    assert all(len(given) == 6 for given in by_row.values())
    assert by_row["auto, no arbiter"] == by_row["auto, routes"]
    table = {row["row"]: row for row in inside.rows(found)}
    assert table["auto, routes, tags"]["calls"] > table["auto, routes"]["calls"]
    assert inside.measure("nano", folder, settings, ResultFile(tmp_path / "agent.jsonl")) == found


@pytest.mark.parametrize("given", [["--parts", "agent"], ["--parts", "conflict,what"], ["--seeds", "1,1"]])
def test_the_command_line_refuses_what_cannot_be(given: list[str], tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["bench", "lion", "--out", str(tmp_path / "out"), *given])
    assert run.exit_code == 2 and given[0] in run.output and not (tmp_path / "out").exists()
