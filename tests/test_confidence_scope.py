"""An arbiter knows the pictures it was certified on: of others nothing is promised, and a model of one world is not
asked about them at all."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confidence_world import records
from fake_model import FakeModel
from PIL import Image
from pydantic import ValidationError
from typer.testing import CliRunner
from zoom_world import PROFILE, READ_NEAR, arbiter, even, run

from zoomagent import ZoomAgent
from zoomagent.cli.bench import app as bench
from zoomagent.cli.train import app as train
from zoomagent.confidence.arbiter import Arbiter, load, save
from zoomagent.confidence.features import Features
from zoomagent.confidence.looks import LENGTH, looks_of
from zoomagent.confidence.records import Record, write_records
from zoomagent.confidence.scope import Among, Near, Tree
from zoomagent.data.world.render import drawn_picture
from zoomagent.data.world.scene import SMALL, draw_scene
from zoomagent.data.world.varied import Variety
from zoomagent.evaluation import promise
from zoomagent.evaluation.looks import file_looks, whole_view, world_looks
from zoomagent.evaluation.sets.other_world import Materials
from zoomagent.media import open_picture
from zoomagent.models.base import Model
from zoomagent.models.loading import load_model
from zoomagent.training.calibration.fitting import fit
from zoomagent.training.calibration.scope import Look, fit_scope, read_looks, report

NANO = load_model("nano").profile
OWN_QUESTION = "What colour is the background?"


@cache
def photographs() -> Path:
    """A folder with real photographs that no picture of the packaged fit shows."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "sample_data"


@pytest.fixture(scope="module")
def nano() -> Model:
    return load_model("nano")


@pytest.fixture(scope="module")
def packaged() -> Arbiter:
    found = load("nano")
    assert found is not None and isinstance(found.scope, Among)
    return found


@pytest.fixture
def photograph() -> Image.Image:
    return Image.open(photographs() / "grace_hopper.jpg").convert("RGB")


def own(n: int, seed: int = 4711) -> list[Look]:
    """Unseen scenes of every level, of many sizes."""
    nothing, materials = Variety(), Materials((), ())
    return [
        look
        for world in ("small", "deep", "fine")
        for look in world_looks(world, n // 3, NANO, nothing, materials, split="test", seed=seed)
    ]


def refused(scope: Among | Near, looks: list[Look]) -> float:
    return sum(not scope.holds(look.looks) for look in looks) / len(looks)


# What a picture looks like


def test_the_numbers_of_a_picture_are_as_many_for_every_shape_and_the_same_each_time() -> None:
    rng = np.random.default_rng(1)
    for size in ((1, 1), (3, 900), (900, 3), (128, 128), (640, 480), (4000, 30)):
        image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8).astype(np.uint8))
        for shown in (image, image.convert("L"), Image.new("RGB", size)):
            looks = looks_of(shown)
            assert len(looks) == LENGTH and np.isfinite(looks).all() and looks == looks_of(shown)


# The packaged arbiter


def test_unseen_scenes_of_every_level_are_nanos_own(packaged: Arbiter) -> None:
    assert packaged.scope is not None and refused(packaged.scope, own(300)) <= 0.01


def test_real_photographs_and_parts_of_them_are_foreign_to_nano(packaged: Arbiter) -> None:
    found = list(file_looks(photographs(), NANO, foreign=True, held_out=True, parts=100))
    assert packaged.scope is not None and len(found) >= 100 and refused(packaged.scope, found) >= 0.99


def test_a_check_that_lets_all_pictures_in_is_noticed(packaged: Arbiter) -> None:
    assert isinstance(packaged.scope, Among)
    found = list(file_looks(photographs(), NANO, foreign=True, held_out=True, parts=5))
    assert refused(packaged.scope.model_copy(update={"least": -1e9}), found) == 0
    assert refused(packaged.scope.model_copy(update={"least": 1e9}), own(9)) == 1


def test_one_picture_gets_one_verdict_at_whatever_size_a_model_sees_it(packaged: Arbiter, photograph: Any) -> None:
    scene = drawn_picture(draw_scene(SMALL, 5, 1), 4096, "scene")
    for side in (96, 128, 192, 256, 512, 1024):
        seen = replace(NANO, max_pixels=side * side, whole_pixels=0, max_side=4096)
        assert packaged.knows(looks_of(whole_view(scene, seen))), side
        with open_picture(photograph) as picture:
            assert not packaged.knows(looks_of(whole_view(picture, seen))), side


@pytest.mark.parametrize("strategy", ["auto", "locate", "search", "tools", "macro", "micro", "dualfocus"])
def test_nano_is_not_asked_about_a_photograph(nano: Model, photograph: Image.Image, strategy: Any) -> None:
    answer = ZoomAgent(nano, strategy=strategy).ask(photograph, OWN_QUESTION)
    assert (answer.outcome.code, answer.outcome.exit_status, answer.outcome.kind) == ("outside_world", 69, "failed")
    assert answer.cost.model_calls == 0 and answer.confidence is None and answer.text == ""
    assert "only knows its own world" in answer.reasons[0] and "Start a real one: --model" in answer.reasons[0]


def test_nano_is_not_asked_in_words_that_it_never_saw(nano: Model) -> None:
    scene = drawn_picture(draw_scene(SMALL, 5, 1), 1024, "scene")
    answer = ZoomAgent(nano).ask(scene, "What animal is this?")
    assert answer.outcome.code == "outside_world" and answer.cost.model_calls == 0 and "'animal'" in answer.reasons[0]
    assert ZoomAgent(nano).ask(scene, OWN_QUESTION).confidence_from == "calibrated"


def test_who_wants_no_arbiter_gets_nanos_word_without_a_promise(nano: Model, photograph: Image.Image) -> None:
    answer = ZoomAgent(nano, arbiter="none").ask(photograph, OWN_QUESTION)
    assert answer.answered and answer.confidence_from != "calibrated"
    held = ZoomAgent(nano, arbiter="none", target_error=0.2).ask(photograph, OWN_QUESTION)
    assert held.text == "Cannot tell"


def test_the_command_line_ends_as_for_a_missing_model(tmp_path: Path) -> None:
    def ask(*more: str) -> subprocess.CompletedProcess[str]:
        picture = str(photographs() / "grace_hopper.jpg")
        command = [sys.executable, "-m", "zoomagent.cli", "ask", picture, OWN_QUESTION, "--json", *more]
        return subprocess.run(command, capture_output=True, text=True)

    done = ask()
    assert done.returncode == 69 and json.loads(done.stdout)["outcome"]["code"] == "outside_world"
    assert ask("--model", str(tmp_path / "none")).returncode == 69
    assert ask("--arbiter", "none", "--strategy", "macro").returncode == 0


def test_nothing_is_promised_about_foreign_pictures(nano: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promise, "SETS", {"d: foreign pictures": (("foreign", "plain"),)})
    found = promise.measure(nano, 12, 41, Materials.packaged(), 128)
    rows = promise.report(found, "nano")["rows"]
    assert len(found) == 12 and all(row["given"] == 0 for row in rows) and all(g.calls == 0 for g in found)


# Arbiters of other models


def looks_like(centre: float, n: int, seed: int, foreign: bool = False) -> list[Look]:
    rng = np.random.default_rng(seed)
    rows = centre + 0.1 * rng.normal(size=(n, LENGTH))
    return [
        Look(source=f"{foreign}-{i // 2}", world="x", foreign=foreign, looks=tuple(r.tolist()))
        for i, r in enumerate(rows)
    ]


@pytest.mark.parametrize("others", [0, 200])
def test_a_fitted_check_lets_its_own_in_and_keeps_others_out(others: int) -> None:
    scope = fit_scope(looks_like(0.4, 200, 1) + looks_like(0.9, others, 2, foreign=True))
    assert isinstance(scope, Among if others else Near)
    assert refused(scope, looks_like(0.4, 500, 3)) <= 0.05 and refused(scope, looks_like(0.9, 500, 4)) == 1
    again = type(scope).model_validate_json(scope.model_dump_json())
    assert again == scope and not scope.holds(()) and not scope.holds((0.4,) * (LENGTH + 1))


def test_too_few_pictures_give_no_check_and_then_nothing_is_foreign(tmp_path: Path) -> None:
    assert fit_scope(looks_like(0.4, 40, 1)) is None
    of_one_scene = [look.model_copy(update={"source": "scene"}) for look in looks_like(0.4, 200, 1)]
    assert fit_scope(of_one_scene) is None
    assert fit_scope([*of_one_scene, *looks_like(0.9, 200, 2, foreign=True)]) is None
    old = load(arbiter(tmp_path / "a.json"))
    content = json.loads((tmp_path / "a.json").read_text())
    content.pop("scope")
    assert Arbiter.model_validate(content) == old and old is not None and old.knows(()) and old.knows((1.0,) * LENGTH)


def test_pictures_that_are_never_fitted_on_are_reported_only() -> None:
    some = [*looks_like(0.4, 100, 1), *[look.model_copy(update={"held_out": True}) for look in looks_like(0.4, 60, 5)]]
    scope = fit_scope(some)
    assert scope == fit_scope(some[:100]) and scope is not None
    assert "never fitted on | 60" in report(scope, some) and "| fitted on" not in report(scope, some)


def test_foreign_records_teach_what_is_outside_and_nothing_else() -> None:
    own_ones = [with_looks(r, 0.4, i) for i, r in enumerate(records(400, seed=3))]
    foreign = [
        with_looks(r, 0.9, i).model_copy(update={"foreign": True, "id": f"foreign-{r.id}", "group": f"f-{i}"})
        for i, r in enumerate(records(150, seed=9))
    ]
    alone, taught = fit(own_ones), fit([*own_ones, *foreign])
    assert isinstance(alone.scope, Near) and isinstance(taught.scope, Among)
    assert alone.model_copy(update={"scope": None}) == taught.model_copy(update={"scope": None})
    assert fit(records(400, seed=3)).scope is None, "records of an earlier version say nothing of pictures"


def with_looks(record: Record, centre: float, number: int) -> Record:
    rng = np.random.default_rng([number, round(centre * 10)])
    seen = tuple((centre + 0.1 * rng.normal(size=LENGTH)).tolist())
    return record.model_copy(update={"features": replace(record.features, picture=seen)})


def test_a_picture_unlike_the_certified_costs_the_calibrated_number_alone(tmp_path: Path) -> None:
    file = Path(arbiter(tmp_path / "a.json", certified=300))
    judge = load(file)
    assert judge is not None
    scope = fit_scope(looks_like(0.4, 100, 1))
    save(judge.model_copy(update={"scope": scope}), tmp_path / "b.json")

    def asked(which: Path, **settings: Any) -> Any:
        model = FakeModel(profile=PROFILE, respond=lambda call: "red", respond_score=even)
        return run(model, READ_NEAR, arbiter=str(which), **settings)

    known, other = asked(file), asked(tmp_path / "b.json")
    assert known.state["verdict"]["confidence_from"] == "calibrated" and known.kind == "answered"
    assert other.state["verdict"]["confidence_from"] == "likelihood" and other.kind == "answered_degraded"
    assert "no picture that was certified looks like this one" in other.state["verdict"]["reason"]
    held = asked(tmp_path / "b.json", target_error=0.2)
    assert held.text == "Cannot tell" and held.state["verdict"]["withheld"] and len(held.model.history) > 0


def test_what_a_run_saw_of_its_picture_is_in_its_features() -> None:
    ran = run(FakeModel(profile=PROFILE, respond=lambda call: "red", respond_score=even), READ_NEAR)
    features = ran.answer.features
    assert features is not None and len(ran.state["looks"]) == LENGTH
    assert Features(**json.loads(json.dumps(features))).picture == tuple(ran.state["looks"])


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("left", (0, 0, 0)), ("right", (9, 0, 0)), ("column", (LENGTH, -1, -1)), ("column", (-2, -1, -1)),
        ("value", (0.0,)), ("column", ()),
    ],
)  # fmt: skip
def test_a_tree_that_cannot_be_walked_is_no_arbiters(part: str, value: tuple[float, ...]) -> None:
    whole: dict[str, Any] = {"column": (0, -1, -1), "at": (0.5, 0, 0), "left": (1, 0, 0), "right": (2, 0, 0)}
    whole["value"] = (0.0, 1.0, -1.0)
    assert Tree(**whole).score((0.4,) * LENGTH) == 1.0
    with pytest.raises(ValidationError):
        Tree(**{**whole, part: value})


def test_the_check_of_an_arbiter_is_fitted_by_two_commands(tmp_path: Path) -> None:
    looks, out = tmp_path / "looks.jsonl", tmp_path / "arbiter.json"
    command = ["looks", "--worlds", "small,deep", "--n", "60", "--foreign", str(photographs()), "--parts", "60"]
    done = CliRunner().invoke(bench, [*command, "--out", str(looks)])
    assert done.exit_code == 0 and len(read_looks(looks)) > 200, done.output
    done = CliRunner().invoke(train, ["scope", "nano", str(looks), "--out", str(out)])
    assert done.exit_code == 0 and "| small | own, fitted on | 60 |" in done.output, done.output
    made, before = load(out), load("nano")
    assert made is not None and before is not None and made.scope != before.scope
    assert made.model_copy(update={"scope": before.scope}) == before
    of_others, more = tmp_path / "records.jsonl", tmp_path / "more.json"
    write_records([with_looks(record, 0.4, number) for number, record in enumerate(records(80, seed=3))], of_others)
    done = CliRunner().invoke(train, ["scope", "nano", str(looks), "--records", str(of_others), "--out", str(more)])
    assert done.exit_code == 0, done.output
    wider, [alike] = load(more), looks_like(0.4, 1, 7)
    assert wider is not None and wider.knows(alike.looks) and not made.knows(alike.looks)


def test_a_served_model_with_nanos_arbiter_is_refused_the_same_pictures(
    nano: Model, packaged: Arbiter, photograph: Image.Image, tmp_path: Path
) -> None:
    save(packaged, tmp_path / "nano.json")
    served = FakeModel(profile=replace(PROFILE, max_pixels=448 * 448), respond=lambda call: "gray", respond_score=even)
    scene = drawn_picture(draw_scene(SMALL, 5, 1), 1024, "scene")
    for picture, code in ((photograph, "outside_world"), (scene, None)):
        answers = [
            asyncio.run(agent.aask(picture, OWN_QUESTION))
            for agent in (ZoomAgent(nano), ZoomAgent(served, arbiter=str(tmp_path / "nano.json")))
        ]
        assert [answer.outcome.code for answer in answers] == [code, code]
        assert [answer.confidence_from == "calibrated" for answer in answers] == [code is None, code is None]
