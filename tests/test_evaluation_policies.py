"""Policies beside each other: the same questions for all, answers taken up, and columns that say what they count."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from zoomagent.agent import ZoomAgent
from zoomagent.evaluation import policies
from zoomagent.evaluation.policies import Driven, drive, questions, table

ROW = Driven("base", "w", "c", "small", "read", True, True, 4, 0.5, True)


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Driven]]:
    results = tmp_path_factory.mktemp("policies") / "results.jsonl"
    return results, asyncio.run(drive({"base": "nano"}, 8, results))


def test_half_of_the_questions_are_asked_at_each_size_and_none_twice() -> None:
    cases = [(level, case.scene, case.group) for _, case, level in questions(16)]
    assert len(set(cases)) == len(cases) == 16
    assert sum(level == "small" for level, *_ in cases) == 8


def test_a_policy_that_zooms_is_seen_to(driven: tuple[Path, list[Driven]]) -> None:
    close = [row for row in driven[1] if row.group == "read" and row.right]
    assert close and all(row.called and row.calls > 2 for row in close)
    assert all(row.overlap is not None and row.overlap > 0.3 for row in close if row.level == "small")


def test_answers_are_taken_up(driven: tuple[Path, list[Driven]], monkeypatch: pytest.MonkeyPatch) -> None:
    results, rows = driven
    lines = results.read_bytes().splitlines(keepends=True)
    results.write_bytes(b"".join(lines) + b'{"policy": "ba')

    def never(self: ZoomAgent, *_: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(ZoomAgent, "aask", never)
    again = asyncio.run(drive({"other name": "nano"}, 8, results))
    assert again == [replace(row, policy="other name") for row in rows]
    assert results.read_bytes() == b"".join(lines)


def test_the_table_counts_what_it_says() -> None:
    missed = replace(ROW, level="deep", right=False, called=False, calls=2, overlap=None, mattered=None)
    line = table([ROW, missed]).splitlines()[-1]
    assert line == "| base | 2 | 100.0 [20.7, 100.0] | 0.0 [0.0, 79.3] | 50.0 | 0.50 (1) | 100.0 (1) | 3.0 |"
    assert policies.SEED not in (1, 11, 12, 13, 77), "seeds that were looked at or are reported elsewhere"
