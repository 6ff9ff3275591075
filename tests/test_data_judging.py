"""What a model judges worth learning: the whole was not enough, and the crop was."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from fake_model import FAKE_PROFILE, Call, FakeModel

from zoomagent.data.trajectories import pipeline
from zoomagent.data.trajectories.curation import Candidate, Target
from zoomagent.data.trajectories.judging import teaches
from zoomagent.data.trajectories.pipeline import Settings, make
from zoomagent.data.trajectories.telling import NoPixels
from zoomagent.data.trajectories.trajectory import Kind
from zoomagent.data.world.scene import SMALL
from zoomagent.data.world.writing import write_world
from zoomagent.geometry import Size
from zoomagent.media.picture import Picture


def candidate(*kinds: Kind, targets: int = 1) -> Candidate:
    boxes = tuple(Target((100 * i, 50, 100 * i + 30, 80), "cup", True) for i in range(targets))
    return Candidate(1, "1.jpg", 500, 400, 1, "What is on the cup?", "Tea", kinds, boxes)


@pytest.mark.parametrize(
    ("one", "whole", "close", "kept"),
    [
        (candidate("one_zoom"), "Milk", "tea.", True),
        (candidate("one_zoom"), "Tea", "Tea", False),
        (candidate("one_zoom"), "Milk", "Milk", False),
        (candidate("several", targets=3), "Milk", "Tea", True),
        (candidate("no_zoom"), "Tea", "Milk", True),
        (candidate("no_zoom"), "Milk", "Tea", False),
        (candidate("cannot_tell", targets=0), "Milk", "Milk", True),
    ],
)
def test_a_candidate_is_kept_for_what_the_model_lacks(one: Candidate, whole: str, close: str, kept: bool) -> None:
    model = FakeModel(respond=lambda call: whole if len(call.views) == 1 else close)
    picture = Picture("p", Size(500, 400), (), NoPixels())
    assert asyncio.run(teaches(model, picture, one)) is kept
    assert {len(call.views) for call in model.history} <= {1, 1 + len(one.targets)}


def answers(files: Path, fatal: int | None) -> FakeModel:
    """Knows nothing from the whole and everything from crops; dies at its call number `fatal`. Calls are counted on
    disk, where a kill leaves them."""
    import json

    asked = json.loads((files / "question_answers.json").read_text())
    known = {one["question"]: one["answer"] for row in asked for one in row["qas"]}

    def respond(call: Call) -> str:
        log = files.parent / "calls"
        with log.open("a") as stream:
            stream.write("x")
        if fatal is not None and log.stat().st_size == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        found = [answer for question, answer in known.items() if question in call.text]
        return "Milk" if len(call.views) == 1 else found[0]

    return FakeModel(profile=FAKE_PROFILE, respond=respond)


def test_judging_goes_on_after_a_kill_without_asking_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import multiprocessing

    files = tmp_path / "world"
    write_world(files, SMALL, 3, 6, 256)
    monkeypatch.setattr(pipeline, "SHARD", 1)
    settings = Settings(files, FAKE_PROFILE, model="fake")
    for folder, fatal in (("killed", 15), ("killed", None), ("whole", None)):
        monkeypatch.setattr("zoomagent.models.loading.load_model", lambda spec, f=fatal: answers(files, f))
        run = multiprocessing.get_context("fork").Process(target=make, args=(files, tmp_path / folder, settings))
        run.start()
        run.join()
        assert run.exitcode == (-signal.SIGKILL if fatal else 0)
        (tmp_path / f"{folder}-calls").write_text((tmp_path / "calls").read_text())
        if fatal is None:
            (tmp_path / "calls").unlink()
    calls = [len((tmp_path / f"{folder}-calls").read_text()) for folder in ("killed", "whole")]
    assert calls[1] < calls[0] < calls[1] + 15
    cards = [(tmp_path / folder / "card.json").read_bytes() for folder in ("killed", "whole")]
    assert cards[0] == cards[1] and b"judging: zoom, kept" in cards[0]
