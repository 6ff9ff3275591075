"""The haystack asks everyone the same, once; a bench that was killed goes on where it was."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_model import FAKE_PROFILE, FakeModel

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.questions import LEGIBLE
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import DEEP, LEVELS, SMALL, draw_scene
from zoomagent.errors import StoreError
from zoomagent.evaluation.contestants import NAMES, RIVALS, Contestant, Given, Media, of_rival, procedure_of
from zoomagent.evaluation.results import Result, ResultFile, load
from zoomagent.evaluation.rivals.asking import RivalAnswer
from zoomagent.evaluation.run import canvas, draw_picture, measure, run
from zoomagent.evaluation.sets.haystack import KINDS_OF, Case, Settings, cases, size_name
from zoomagent.geometry import Box, Size
from zoomagent.graphs.context import Budget
from zoomagent.models.base import Model
from zoomagent.models.loading import fingerprint
from zoomagent.tools.viewing import ViewStore

TINY = Settings(n=12, seeds=(3, 4), size=256, strategies=("macro",))


def every_case(settings: Settings) -> list[Case]:
    return [case for _, found in cases(settings) for case in found]


def answering(text: str, asked: list[str] | None = None) -> Contestant:
    async def contestant(picture: Media, question: str, options: Sequence[str]) -> Given:
        if asked is not None:
            asked.append(f"{picture.id} {question}")
        return Given(text, "answered", False, 0.5, 1, 64)

    return contestant


def ask(settings: Settings, contestants: dict[str, Contestant], kept: ResultFile | None = None) -> list[Result]:
    return asyncio.run(run(settings, contestants, kept))


def test_questions_come_in_equal_shares_of_kinds_and_seeds() -> None:
    found = every_case(Settings(n=40, seeds=(1, 2, 3), size=256))
    counts = [sum((c.group, c.seed) == (g, s) for c in found) for g in KINDS_OF for s in (1, 2, 3)]
    assert sum(counts) == 40 and set(counts) == {2, 3}
    assert all(case.question.kind in KINDS_OF[case.group] for case in found)


def test_a_question_stays_the_same_in_a_larger_bench() -> None:
    small, large = (every_case(replace(TINY, n=n)) for n in (12, 24))
    assert set(small) <= set(large) and len(large) == 24


def test_options_hold_the_answer_and_are_shuffled() -> None:
    found = every_case(replace(TINY, n=40, with_options=True))
    places = {case.options.index(case.question.answer) for case in found}
    assert len(places) >= 3 and all(CANNOT_TELL in case.options for case in found)
    assert all(case.options == () for case in every_case(TINY))


def test_deep_questions_are_about_what_the_whole_does_not_show() -> None:
    settings = Settings(n=60, size=8192, level="deep")
    read = [case for case in every_case(settings) if case.group == "read"]
    items = [draw_scene(DEEP, 2_000_000_000 + c.seed, c.scene).items[c.question.targets[0]] for c in read]
    assert sum(item.size * 128 < 3 for item in items) >= len(items) / 2
    assert all(i.text_height * 8192 >= LEGIBLE for i in items)


@pytest.mark.parametrize("level", ["small", "deep", "fine"])
def test_no_question_is_left_out_for_being_too_small_to_see(level: str) -> None:
    """Presence, counts and comparisons are asked of the things that there are, in the sizes in which they are."""
    found = every_case(Settings(n=300, size=8192, level=level))
    draw_picture = [draw_scene(LEVELS[level], 2_000_000_000 + 1, i).items for i in range(300)]
    every = sorted(item.size * 128 for items in draw_picture for item in items)
    middle = every[len(every) // 2]
    for group in ("presence", "compare", "count", "read"):
        pixels = [case.pixels for case in found if case.group == group and case.pixels is not None]
        share = sum(p < middle for p in pixels) / len(pixels)
        assert share > 0.3, (group, share)


def test_yes_and_no_to_presence_come_at_every_size_alike() -> None:
    found = [c for c in every_case(Settings(n=1800, size=8192, level="deep")) if c.group == "presence"]
    assert len(found) == 300
    for size in ("2 to 4", "4 to 8"):
        answers = [c.question.answer for c in found if size_name(c.pixels) == size]
        assert len(answers) > 20 and 0.3 < answers.count("Yes") / len(answers) < 0.7, (size, answers)


def test_the_selection_of_before_would_be_caught() -> None:
    """The old benches dropped what could not be seen in the whole, but kept every "No": then small things are gone."""
    found = [c for c in every_case(Settings(n=600, size=8192, level="deep")) if c.group == "presence"]
    planted = [c for c in found if c.question.answer == "No" or (c.pixels or 0) >= 5]
    small = [c.question.answer for c in planted if size_name(c.pixels) == "2 to 4"]
    assert small and small.count("Yes") / len(small) < 0.3


def test_every_contestant_is_asked_every_question_about_the_same_picture() -> None:
    asked: dict[str, list[str]] = {"a": [], "b": []}
    results = ask(TINY, {name: answering("x", log) for name, log in asked.items()})
    assert asked["a"] == asked["b"] and len(asked["a"]) == 12 and len(results) == 24


def test_the_picture_handed_over_is_the_scene_at_full_size_and_keeps_its_views() -> None:
    scene, [case, *_] = next(cases(replace(TINY, size=300)))
    picture, _ = draw_picture(scene, replace(TINY, size=300), case.seed, case.scene)
    with picture:
        box, size = Box(10, 10, 90, 90), Size(40, 40)
        assert picture.size == Size(300, 300) and picture.view(box, size) is picture.view(box, size)


def test_drawing_in_bands_leaves_no_seams() -> None:
    scenes = (draw_scene(SMALL, 5, index) for index in range(9))
    quiet = next(scene for scene in scenes if scene.ground == "cluttered")
    differ = np.asarray(canvas(quiet, 2100)) != render(quiet, 2100, 2100, full_side=2100)
    assert differ.any(axis=2).mean() < 1e-4  # smoothed edges at a band's border, rounded the other way


def test_a_killed_bench_asks_only_what_is_missing(tmp_path: Path) -> None:
    file, asked = tmp_path / "results.jsonl", list[str]()
    whole = ask(TINY, {"a": answering("x", asked), "b": answering("y")}, ResultFile(file))
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:5]) + lines[5][:40])
    asked.clear()
    again = ask(TINY, {"a": answering("x", asked), "b": answering("y")}, ResultFile(file))
    assert [replace(r, seconds=0) for r in again] == [replace(r, seconds=0) for r in whole]
    assert len(asked) == 12 - 3 and len(file.read_bytes().splitlines()) == 24
    assert {r.key: r for r in load(file)} == {r.key: r for r in again}


@pytest.mark.parametrize("change", [{"model": "other"}, {"size": 300}, {"with_options": True}, {"macro_side": 64}])
def test_results_of_other_settings_are_not_taken_up(tmp_path: Path, change: dict[str, object]) -> None:
    kept, asked = ResultFile(tmp_path / "results.jsonl"), list[str]()
    settings = Settings(n=4, size=256)
    ask(settings, {"a": answering("x")}, kept)
    ask(replace(settings, **change), {"a": answering("x", asked)}, kept)  # type: ignore[arg-type]
    assert len(asked) == 4


@pytest.mark.parametrize("line", [b"[]", b"{}", b"nonsense", b'{"key": {}, "options": []}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "results.jsonl"
    file.write_bytes(line + b"\n")
    with pytest.raises(StoreError, match="Line 1"):
        ResultFile(file)


def test_a_procedure_that_stops_counts_as_failed_and_wrong() -> None:
    async def silent(
        model: Model, views: ViewStore, question: str, options: Sequence[str], budget: Budget
    ) -> RivalAnswer:
        return RivalAnswer("", None, 5, 320, (), 0, False)

    results = ask(TINY, {"silent": of_rival(silent, FakeModel())})
    assert {(r.outcome, r.right, r.abstained, r.calls) for r in results} == {("failed: no_answer", False, False, 5)}


def test_an_agent_and_rivals_stand_in_one_table() -> None:
    profile = replace(FAKE_PROFILE, max_pixels=128 * 128, crop_pixels=80 * 80, multiple=16)

    def load() -> FakeModel:
        return FakeModel(profile=profile, respond=lambda call: CANNOT_TELL, respond_score=lambda call: [-1.0, -2.0])

    settings, results = measure(replace(TINY, n=6, seeds=(3,), strategies=("macro", "p2r", "zoomeye")), load)
    assert settings.macro_side == 128 and len(results) == 18
    assert all(r.given == CANNOT_TELL and r.right == (r.key.group == "absent") and r.abstained for r in results)


def test_every_row_has_a_name_and_tiling_goes_as_deep_as_letters_are_small() -> None:
    assert {"macro", "dualfocus", "tiling", "oracle", *RIVALS} <= set(NAMES)
    assert [procedure_of("tiling", level, 128).keywords["depth"] for level in (SMALL, DEEP)] == [2, 3]  # type: ignore[attr-defined]


def test_new_weights_are_another_model(tmp_path: Path) -> None:
    names = []
    for content in (b"a", b"b"):
        (tmp_path / "model.safetensors").write_bytes(content)
        names.append(fingerprint(str(tmp_path)))
    assert len(set(names)) == 2 and fingerprint("http://host/v1#m") == "http://host/v1#m"
