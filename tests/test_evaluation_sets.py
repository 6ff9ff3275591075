"""Published sets: every loader reads what its authors publish, and refuses what is missing or damaged before asking."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zoomagent.errors import InputRefused, ModelUnavailable, SettingInvalid
from zoomagent.evaluation.contestants import Contestant, Given
from zoomagent.evaluation.public import Plan, Way, ask_all
from zoomagent.evaluation.public_table import public_rows
from zoomagent.evaluation.results import Result, ResultFile, load
from zoomagent.evaluation.scoring import clustered, wilson
from zoomagent.evaluation.sets.public.catalogue import SETS, check, named_set
from zoomagent.evaluation.sets.public.drawing import draw_set
from zoomagent.media import Picture

SIDE = 320
N = 6


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of each format, in a folder of its name."""
    folder = tmp_path_factory.mktemp("sets")
    for name, kind in SETS.items():
        draw_set(kind, folder / name, N, SIDE)
    return folder


@pytest.mark.parametrize("name", SETS)
def test_what_is_written_in_a_sets_format_is_read_again(drawn: Path, name: str) -> None:
    kind, folder = named_set(name, drawn / name)
    found = list(kind.read(folder))
    assert len({question.id for question in found}) == len(found) >= N
    for question in found:
        assert question.text.endswith("?") and question.answers
        assert not question.options or question.answers[0] in question.options
        for seed in (1, 2, 3):
            assert sorted(question.options_for(seed)) == sorted(question.options)


def test_options_stand_in_another_order_for_other_seeds(drawn: Path) -> None:
    found = list(SETS["vstar"].read(drawn / "vstar"))
    assert all(question.options_for(0) == question.options for question in found)
    orders = [tuple(question.options_for(seed) for question in found) for seed in (1, 2, 3)]
    assert len(set(orders)) == 3 and orders == [tuple(q.options_for(s) for q in found) for s in (1, 2, 3)]


def test_a_part_of_a_set_is_none_of_it_and_has_to_be_asked_for(drawn: Path) -> None:
    with pytest.raises(InputRefused, match=r"191 questions, the folder holds 6.*--n") as caught:
        check(SETS["vstar"], drawn / "vstar", part=False)
    assert caught.value.code == "data_missing"
    assert "No figure" in check(SETS["vstar"], drawn / "vstar", part=True).notes[0]


def test_a_set_that_is_not_known_is_told_which_are() -> None:
    with pytest.raises(SettingInvalid, match=r"vstar.*own:FILE"):
        named_set("vster", None)
    with pytest.raises(SettingInvalid, match="to be had at"):
        named_set("vstar", None)


# Asking


def plan_of(drawn: Path, n: int | None = None, seeds: tuple[int, ...] = (1, 2, 3)) -> Plan:
    folder = drawn / "vstar"
    return Plan(SETS["vstar"], folder, check(SETS["vstar"], folder, part=True), ("auto",), seeds, n=n)


def saying(text: str, asked: list[tuple[str, ...]], outcome: str = "answered") -> Contestant:
    """Names the first option where `text` is "first", else says the text."""

    async def contestant(picture: Picture, question: str, options: Sequence[str]) -> Given:
        asked.append((question, *options))
        return Given(options[0] if text == "first" else text, outcome, False, 0.5, 1, 64, prompt_tokens=100)

    return contestant


def ask(plan: Plan, contestants: dict[str, Contestant], kept: ResultFile | None = None) -> list[Result]:
    ways = {Way(name): contestant for name, contestant in contestants.items()}
    return asyncio.run(ask_all(plan, "scripted", ways, kept or ResultFile()))


def test_every_row_is_asked_the_same_words_under_every_seed(drawn: Path) -> None:
    asked: dict[str, list[tuple[str, ...]]] = {"macro": [], "auto": []}
    results = ask(plan_of(drawn), {name: saying("first", log) for name, log in asked.items()})
    assert asked["macro"] == asked["auto"] and len(results) == 2 * 3 * N
    assert {r.right for r in results} == {r.options[0] == r.wanted for r in results} == {True, False}


def test_a_smaller_bench_holds_questions_of_a_larger_one(drawn: Path) -> None:
    small, large = plan_of(drawn, 3).places, plan_of(drawn, 5).places
    assert small.keys() < large.keys() and len(small) == 3
    assert all(large[name] == place for name, place in small.items())


def test_a_killed_run_asks_only_what_is_missing(drawn: Path, tmp_path: Path) -> None:
    file, log = tmp_path / "results.jsonl", list[tuple[str, ...]]()
    whole = ask(plan_of(drawn), {"macro": saying("first", log)}, ResultFile(file))
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:7]) + lines[7][:50])
    log.clear()
    again = ask(plan_of(drawn), {"macro": saying("first", log)}, ResultFile(file))
    assert len(log) == 3 * N - 7
    assert [replace(r, seconds=0) for r in again] == [replace(r, seconds=0) for r in whole]
    assert {r.key: r for r in load(file)} == {r.key: r for r in again}


def test_a_server_that_is_gone_stops_the_run_and_is_no_wrong_answer(drawn: Path, tmp_path: Path) -> None:
    kept, log = ResultFile(tmp_path / "results.jsonl"), list[tuple[str, ...]]()
    with pytest.raises(ModelUnavailable, match="go on"):
        ask(plan_of(drawn), {"macro": saying("", log, "failed: model_unavailable")}, kept)
    assert len(log) == 1 and not (tmp_path / "results.jsonl").exists()


def test_an_answer_that_did_not_come_counts_as_wrong(drawn: Path) -> None:
    results = ask(plan_of(drawn), {"macro": saying("", [], "failed: budget_calls")})
    [row] = [row for row in public_rows(results, []) if row["kind"] == "all"]
    assert row["accuracy"] == 0 and row["errors"] == 3 * N


# Figures


def test_seeds_of_one_question_are_not_so_many_questions() -> None:
    right = [True, False] * 20
    alone = clustered([float(r) for r in right], range(40))
    thrice = clustered([float(r) for r in right * 3], [*range(40)] * 3)
    assert thrice == pytest.approx(alone, abs=0.01) and alone == pytest.approx(wilson(20, 40), abs=0.01)


def test_questions_that_agree_by_chance_only_are_worth_their_number() -> None:
    scores = np.random.default_rng(1).integers(2, size=900).astype(float).tolist()
    low, high = clustered(scores, [number // 3 for number in range(900)])
    assert high - low == pytest.approx(wilson(450, 900)[1] - wilson(450, 900)[0], rel=0.25)


def test_all_right_is_worth_one_question_a_cluster() -> None:
    assert clustered([1.0] * 30, [0, 1, 2] * 10) == pytest.approx(wilson(3, 3), abs=1e-9)
