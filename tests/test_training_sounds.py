"""Rows about sounds: off unless asked for, true to what sounds, and asked in the words of a run."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zoomagent import prompts
from zoomagent.data.world.scene import SMALL
from zoomagent.data.world.sounds import KINDS, draw_sounds
from zoomagent.evaluation.sounds import SoundSettings, cases
from zoomagent.moments import Moment
from zoomagent.training.nano import branches_sounds, mix
from zoomagent.training.nano.branches_sounds import sound_row
from zoomagent.training.nano.corpus import PHRASES, corpus
from zoomagent.training.nano.mix import Mix, Shapes
from zoomagent.training.nano.model import SMALL as CONFIG
from zoomagent.training.nano.model import build_tokenizer
from zoomagent.training.nano.packing import IGNORE


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(corpus(SMALL), PHRASES)


def branches(tokenizer: Any, row: Any) -> list[tuple[str, str, str]]:
    """Name, all words, and the answer's words of each branch."""
    packed, found = row.packed, []
    for number, name in enumerate(row.names, 1):
        mine = packed.branch == number
        answer = packed.labels[mine][packed.labels[mine] != IGNORE]
        found.append((name, tokenizer.decode(packed.ids[mine]), tokenizer.decode(answer).removesuffix("<|im_end|>")))
    return found


def test_there_are_no_sounds_unless_they_are_asked_for(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, asked = (Mix(tokenizer, CONFIG, SMALL, 3, Shapes(sounds=share)) for share in (0.0, 0.5))
    assert Shapes().sounds == 0
    rows = [(plain.row(index), asked.row(index)) for index in range(6)]
    for before, after in rows:
        assert not any(name.startswith("sound") for name in before.names)
        heard = {name.startswith("sound") for name in after.names}
        assert heard == {True} or (after.packed.ids == before.packed.ids).all()
    assert any(after.names[0].startswith("sound") for _, after in rows)
    monkeypatch.setattr(mix, "sound_row", lambda *_: pytest.fail("no sound was asked for"))
    plain.row(0)


@pytest.mark.parametrize("is_large", [False, True])
def test_answers_are_true_to_what_sounds(tokenizer: Any, is_large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    words = Mix(tokenizer, CONFIG, SMALL, 3, Shapes()).words
    # All of each sound is shown, so that its events alone decide.
    monkeypatch.setattr(branches_sounds, "_window", lambda scape, grid, rng: Moment(0, scape.duration))
    said = set()
    for index in range(12):
        row = sound_row(words, CONFIG, SMALL, 3, index, is_large)
        rng = np.random.default_rng([3, index, 29])
        scape = draw_sounds(3, index, count=int(rng.choice(4, p=branches_sounds.COUNTS)))
        moments = {event.kind: event.moment for event in scape.events}
        start = tokenizer.decode(row.packed.ids[row.packed.branch == 0])
        assert start.startswith(f"<|im_start|>user\n{prompts.SPECTROGRAM}<|vision_start|>")
        for name, text, answer in branches(tokenizer, row):
            kind = next(
                kind for kind in KINDS if kind in (answer if name == "sound/kind" else text) or name == "sound/silence"
            )
            said.add(name)
            if name == "sound/see":
                assert text.startswith(prompts.SEE + kind) and answer == ("Yes" if kind in moments else "No")
            elif name.startswith("sound/part"):
                number = int(answer)
                assert text.startswith(prompts.PARTS + kind) and (number > 0) == (kind in moments)
                if number:
                    part = range(scape.duration * (number - 1) // 9, scape.duration * number // 9)
                    assert part.stop > moments[kind].start and part.start < moments[kind].end
            elif name == "sound/kind":
                assert set(moments) == {kind}
            else:
                assert name == "sound/silence" and answer == "Cannot tell" and not moments
    assert said >= ({"sound/see", "sound/part", "sound/part/none"} if is_large else {"sound/see", "sound/silence"})


def test_what_is_pointed_at_is_bright(tokenizer: Any) -> None:
    """Cells of an event are where its spectrogram is: brighter than the others by far."""
    words = Mix(tokenizer, CONFIG, SMALL, 3, Shapes()).words
    for index in range(8):
        row = sound_row(words, CONFIG, SMALL, 3, index, False)
        look, count = row.looks[0], CONFIG.macro_side // CONFIG.cell
        cells = look.pixels[..., 0].reshape(count, CONFIG.cell, count, CONFIG.cell).max(axis=(1, 3)).reshape(-1)
        if (look.items >= 0).any() and (look.items < 0).any():
            assert np.median(cells[look.items >= 0]) > np.median(cells[look.items < 0]) + 40


def test_the_bench_asks_of_sounds_that_no_training_drew() -> None:
    settings = SoundSettings(n=3)
    asked = list(cases(settings))
    assert [case.kind for case in asked[:5]] == ["when", "never", "muted", "kind", "kind"]
    assert asked == list(cases(settings)) and asked != list(cases(replace(settings, seed=6)))
    for case in asked:
        if case.kind == "when":
            [event] = [e for e in case.scape.events if e.kind in case.question]
            assert case.wanted == event.moment
