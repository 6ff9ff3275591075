"""`zoomagent bench sounds`: who finds when something sounds in drawn sounds, how exactly, and at what price.

Rows are questions by length of the moment: mIoU and R@1 for `when`; for `never` (a kind that does not sound) and
`muted` (noise alone) how often "Never" is said; for `kind` (a muted sound, too) whether the answer is right. Sounds are
of a seed that no training used. Left out: rivals, who would need ears.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from zoomagent.agent import ZoomAgent
from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.scene import SPLITS
from zoomagent.data.world.sounds import Soundscape, draw_sounds, drawn_sound
from zoomagent.evaluation.moments import Found
from zoomagent.models.base import Model
from zoomagent.moments import Moment, iou

Kind = Literal["when", "never", "muted", "kind"]
LONG, SHORT = 0.2, 0.05
"""How rows are named: moments of at least a tenth of the sound, and shorter ones."""
WHAT = "What kind of sound is it?"


@dataclass(frozen=True)
class SoundSettings:
    """`n` sounds for each kind of question."""

    n: int = 24
    seed: int = 5
    model: str = "nano"


@dataclass(frozen=True)
class SoundCase:
    """One sound and what is asked of it; `wanted` is the moment, or the words of the answer."""

    kind: Kind
    scape: Soundscape
    question: str
    wanted: Moment | str

    @property
    def length(self) -> float:
        """Which row of the table it is in."""
        if isinstance(self.wanted, str):
            return 0.0
        return LONG if self.wanted.length >= self.scape.duration / 10 else SHORT


def cases(settings: SoundSettings) -> Iterator[SoundCase]:
    for index in range(settings.n):
        scape = draw_sounds(SPLITS["test"] + settings.seed, index)
        first, one = scape.events[0], replace(scape, events=scape.events[:1])
        muted = replace(scape, events=())
        when = f"When is the {first.kind} heard?"
        yield SoundCase("when", scape, when, first.moment)
        yield SoundCase("never", scape, f"When is the {scape.never} heard?", "Never")
        yield SoundCase("muted", muted, when, "Never")
        yield SoundCase("kind", one, WHAT, first.kind)
        yield SoundCase("kind", muted, WHAT, CANNOT_TELL)


def measure(model: Model, settings: SoundSettings, progress: Callable[[int], None] = lambda done: None) -> list[Found]:
    """The agent as everyone uses it, on every case."""
    found = []
    with ZoomAgent(model, arbiter="none") as agent:
        for done, case in enumerate(cases(settings), start=1):
            with drawn_sound(case.scape) as sound:
                answer = agent.ask(sound, case.question)
            if isinstance(case.wanted, Moment):
                spans = (Moment(span.start, span.end) for span in answer.moments)
                score = max((iou(span, case.wanted) for span in spans), default=0.0)
            else:
                score = float(answer.text == case.wanted)
            name = "muted" if case.wanted == CANNOT_TELL else "seek"
            cost = answer.cost
            found.append(Found(name, case.kind, case.length, score, cost.model_calls, cost.visual_tokens))
            progress(done)
    return found
