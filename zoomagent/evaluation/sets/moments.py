"""Questions about drawn clips: when, never, and what is written on what is there for a moment.

A case is named by (seed, index, length) and depends on nothing else. The things that are asked about are those of the
level; they come and go, five in a clip. Left out: who answers (`evaluation/moments.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from zoomagent.data.world.clips import Clip, draw_clip
from zoomagent.data.world.scene import LEVELS, SPLITS

Kind = Literal["when", "never", "read"]
LENGTHS = (0.5, 0.2, 0.08, 0.03)
"""Shares of the clip for which a thing is there."""


@dataclass(frozen=True)
class Settings:
    """`n` clips for each length, and for each kind of question; of scenes that no training used."""

    n: int = 36
    seed: int = 5
    level: str = "small"
    side: int = 1024
    model: str = "nano"
    rivals: tuple[str, ...] = ("seek", "frames-9", "frames-18", "frames-81", "window")


@dataclass(frozen=True)
class Case:
    """One clip and what is asked of it."""

    kind: Kind
    length: float
    clip: Clip

    @property
    def phrase(self) -> str:
        return self.clip.never if self.kind == "never" else self.clip.item.name

    @property
    def question(self) -> str:
        if self.kind == "read":
            return f"What is written on the {self.phrase}?"
        return f"When is the {self.phrase} there?"


def cases(settings: Settings, kinds: tuple[Kind, ...] = ("when", "never", "read")) -> Iterator[Case]:
    """Every length for `when` and `read`; for `never` the length is that of something else."""
    for kind in kinds:
        for length in LENGTHS if kind != "never" else (0.2,):
            for index in range(settings.n):
                yield Case(
                    kind, length, draw_clip(LEVELS[settings.level], SPLITS["test"] + settings.seed, index, length)
                )
