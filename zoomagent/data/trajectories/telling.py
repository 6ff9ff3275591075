"""Candidates told as conversations, by the tools that a run uses: every word a model sees is what a run would say.

    teller = Teller(profile_for("qwen3-vl"), seed=1, search_below=4, shrink=0.3)
    trajectory = await teller.tell(candidate, "one_zoom")

Calls go through `zoomagent.tools.dispatch.run_call`, so crops, indices and results are a run's own; only pixels are
missing, since no word depends on them. What the verify tool measures in a run is drawn here: 0.90 to 0.99 for what is
there, 0.01 to 0.10 for what is not; a search finds the annotated box. Boxes are written in 0 to 1000 whatever the
profile's space. Left out: which kind a candidate becomes (`choice.py`).
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import log
from typing import Any

import orjson
from PIL import Image

from zoomagent.data.trajectories.choice import nested
from zoomagent.data.trajectories.curation import Candidate
from zoomagent.data.trajectories.trajectory import (
    CallPart,
    Function,
    ImagePart,
    Kind,
    TextPart,
    Trajectory,
    Turn,
    ViewBox,
)
from zoomagent.errors import ToolArgsInvalid
from zoomagent.geometry import Box, Size, coverage, moved_inside
from zoomagent.media.picture import Picture, Request
from zoomagent.models.base import Likelihood, Message, Reply, ToolCall
from zoomagent.models.profiles import Profile
from zoomagent.prompts import macro_prompt
from zoomagent.tools.cropping import show, written
from zoomagent.tools.definitions import NOT_FOUND, SEARCH, VERIFY, ZOOM_IN
from zoomagent.tools.dispatch import run_call
from zoomagent.tools.viewing import ToolResult, ViewStore, box_of
from zoomagent.tools.zooming import surroundings

THERE, NOT_THERE = (0.90, 0.99), (0.01, 0.10)
"""Ranges of the probabilities that the verify tool is told to have measured (ours)."""
WIDE = (3.0, 5.0)
"""Side of the first look of a zoom of a zoom, in sides of the target (ours)."""
MISSED = 0.1
"""Share of the target that may lie in the view of a wrong zoom (ours)."""
LOOK_FIRST = 0.3
"""Share of the questions without an answer in which something alike is looked at and refuted (ours)."""
LEAST_SIDE = 0.4
"""Of a whole that is shown smaller, in sides of the full one (ours)."""

COARSE: dict[str, Any] = {"multiple": 64, "min_side": 64, "max_side": 256, "min_pixels": 64**2, "max_pixels": 256**2}
"""Sizes at which nobody looks: no word of a conversation in 0 to 1000 depends on them, and the model's own take most of
the time to find."""


class NoPixels:
    """Stands for a picture whose pixels nobody looks at. Satisfies `zoomagent.media.picture.Pixels`."""

    def regions(self, requests: Sequence[Request]) -> Iterator[Image.Image]:
        for _ in requests:
            yield Image.new("RGB", (1, 1))

    def prepare(self) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        """Nothing to give back."""


class AnnotationModel:
    """A model that says Yes with probability `yes`. Satisfies `zoomagent.models.base.Model`; it never writes."""

    name = "annotations"

    def __init__(self, profile: Profile, yes: float) -> None:
        self.profile, self._yes = profile, yes

    async def generate(self, messages: Sequence[Message], **options: Any) -> list[Reply]:
        raise AssertionError("trajectories are told, not generated")

    async def score(
        self, messages: Sequence[Message], continuations: Sequence[str], **options: Any
    ) -> list[Likelihood]:
        return [Likelihood(log(p), 1) for p in (self._yes, 1 - self._yes)]

    async def aclose(self) -> None:
        """Nothing to give back."""


class Narration:
    """One conversation while it is told. The whole is shown at `pixels` (None: as the profile says); what is at most
    `unseen` pixels of the original wide and high cannot be seen in it: it is searched for instead of pointed at."""

    def __init__(
        self,
        candidate: Candidate,
        profile: Profile,
        offered: Sequence[str],
        rng: random.Random,
        *,
        pixels: int | None = None,
        unseen: float = 0.0,
    ) -> None:
        size = Size(candidate.width, candidate.height)
        self.views = ViewStore(Picture(candidate.path, size, (), NoPixels()), profile)
        self.offered, self.rng, self.pixels, self.unseen = offered, rng, pixels, unseen
        self.found: dict[str, tuple[Box, Box]] = {}
        self.indexed = [self.views.whole()["id"]]
        words = macro_prompt(candidate.question)
        self.turns = [Turn(role="user", content=(ImagePart(view="view-0"), TextPart(text=words)))]

    async def call(self, *calls: tuple[str, Mapping[str, Any]], learn: bool = True, yes: float = 0.5) -> ToolResult:
        """The assistant's turn with these calls, their results, and the views they give. Returns the last result."""
        parts = tuple(CallPart(function=Function(name=name, arguments=dict(given))) for name, given in calls)
        self.turns.append(Turn(role="assistant", tool_calls=parts, learn=learn))
        shown: list[ImagePart] = []
        for name, given in calls:
            written_call = ToolCall("", name, orjson.dumps(given).decode())
            model = AnnotationModel(self.views.profile, yes)
            result = await run_call(self.views, model, written_call, self.indexed, self.offered, self._search)
            self.turns.append(Turn(role="tool", content=(TextPart(text=result.text),)))
            for view in result.views:
                self.indexed += [] if view["id"] in self.indexed else [view["id"]]
                shown.append(ImagePart(view=f"view-{self.indexed.index(view['id'])}"))
        if shown:
            self.turns.append(Turn(role="user", content=tuple(shown)))
        return result

    async def zoom(self, box: Box, label: str, index: int = 0, learn: bool = True) -> int:
        """Zoom into `box` (original pixels) of image `index`; the index of the new image."""
        result = await self.call(self.zoom_call(box, label, index), learn=learn)
        return self.indexed.index(result.views[0]["id"])

    async def look(self, box: Box, label: str, region: Box | None = None) -> int:
        """Zoom from the whole into `region`, or let a search end there; the index of the new image. None: close by."""
        call = self.look_call(box, label, region)
        result = await self.call(call)
        return self.indexed.index(result.views[0]["id"])

    def look_call(self, box: Box, label: str, region: Box | None = None) -> tuple[str, Mapping[str, Any]]:
        """The call of `look`; raises ToolArgsInvalid where two things of one name would be searched for."""
        if SEARCH not in self.offered or max(box.width, box.height) > self.unseen:
            return self.zoom_call(region or box, label)
        if label in self.found:
            raise ToolArgsInvalid("Two things of one name cannot be searched for.")
        profile, size = self.views.profile, self.views.picture.size
        self.found[label] = (region or surroundings(box, size, profile.crop_margin, 0), box)
        return SEARCH, {"label": label, "img_idx": 0}

    async def _search(self, view: str, label: str) -> ToolResult:
        if label not in self.found:
            return ToolResult(NOT_FOUND)
        return show(self.views, view, *self.found[label])

    def zoom_call(self, box: Box, label: str, index: int = 0) -> tuple[str, Mapping[str, Any]]:
        numbers = [round(n) for n in written(self.views, self.indexed[index], box)]
        return ZOOM_IN, {"bbox_2d": numbers, "label": label, "img_idx": index}

    def answer(self, text: str) -> None:
        self.turns.append(Turn(role="assistant", content=(TextPart(text=text),)))

    def view_boxes(self) -> tuple[ViewBox, ...]:
        records = [self.views.record(name) for name in self.indexed]
        names = {name: f"view-{i}" for i, name in enumerate(self.indexed)}
        whole, *crops = [
            ViewBox(id=names[r["id"]], source=names.get(r["source"], ""), box=box_of(r).corners) for r in records
        ]
        return whole.model_copy(update={"pixels": self.pixels}), *crops


class Teller:
    """Tells candidates for models of one profile. The same seed and candidate give the same conversation. Things of at
    most `search_below` pixels of the whole view are searched for, where a search is offered. `shrink` is the share of
    the conversations that look closer whose whole is shown smaller: a model that only ever saw wholes of one size does
    not look closer at others."""

    def __init__(self, profile: Profile, seed: int, search_below: float = 0.0, shrink: float = 0.0) -> None:
        # Who trains on the rows makes their boxes as coarse as a model wants them.
        self._profile = replace(profile, space="thousand", box_step=1, **COARSE)
        self._shown, self._seed = profile, seed
        self._search_below, self._shrink = search_below, shrink

    async def tell(self, candidate: Candidate, kind: Kind) -> Trajectory:
        """The trajectory; raises ToolError when a tool refuses a call that the kind needs."""
        rng = random.Random(f"{self._seed}|{candidate.image_id}|{candidate.qa}|{kind}")
        needed = (VERIFY,) if kind == "verify" else ()
        offered = (*self._profile.tools, *(name for name in needed if name not in self._profile.tools))
        size = Size(candidate.width, candidate.height)
        pixels: int | None = None
        if kind != "no_zoom" and self._shrink and rng.random() < self._shrink:
            full = self._shown.fit(size, self._shown.whole_pixels or None)
            pixels = max(self._shown.min_pixels, round(full.pixels * rng.uniform(LEAST_SIDE, 1.0) ** 2))
        seen = self._shown.fit(size, pixels or self._shown.whole_pixels or None)
        unseen = self._search_below * size.width / seen.width
        telling = Narration(candidate, self._profile, offered, rng, pixels=pixels, unseen=unseen)
        await _tell_looks(telling, candidate, kind)
        telling.answer(candidate.answer)
        targets = tuple(target.box for target in candidate.targets)
        return Trajectory(
            id=f"{candidate.image_id}-{candidate.qa}-{kind}",
            image=candidate.path,
            image_id=candidate.image_id,
            width=size.width,
            height=size.height,
            kind=kind,
            question=candidate.question,
            answer=candidate.answer,
            targets=targets,
            nested=nested(targets[0], size) if len(targets) == 1 else (),
            tools=offered,
            views=telling.view_boxes(),
            messages=tuple(telling.turns),
            provenance={"rule": candidate.rule, **candidate.sources},
        )


async def _tell_looks(telling: Narration, candidate: Candidate, kind: Kind) -> None:
    """Everything between the question and the answer."""
    boxes = [Box(*target.box) for target in candidate.targets]
    labels = [target.label for target in candidate.targets]
    match kind:
        case "no_zoom":
            return
        case "one_zoom":
            await telling.look(boxes[0], labels[0])
        case "several":
            await telling.call(*(telling.look_call(b, label) for b, label in zip(boxes, labels, strict=True)))
        case "zoom_of_zoom":
            # First a wide region that holds the target off its middle.
            target, rng = boxes[0], telling.rng
            side = round(max(target.width, target.height) * rng.uniform(*WIDE))
            left = rng.randint(min(target.right - side, target.left), target.left)
            top = rng.randint(min(target.bottom - side, target.top), target.top)
            wide = moved_inside(Box(left, top, left + side, top + side), telling.views.picture.size)
            first = await telling.look(target, labels[0], wide)
            await telling.zoom(target, labels[0], first)
        case "recovered":
            # A decoy whose close view does not show the target; ToolArgsInvalid when there is none.
            size, margin = telling.views.picture.size, telling.views.profile.crop_margin
            decoys = [Box(*decoy.box) for decoy in candidate.decoys]
            fitting = [box for box in decoys if coverage(boxes[0], surroundings(box, size, margin, 0)) <= MISSED]
            if not fitting:
                raise ToolArgsInvalid("No other thing lies far enough away.")
            missing = fitting[min(int(telling.rng.expovariate(1.0)), len(fitting) - 1)]
            await telling.zoom(missing, labels[0], learn=False)
            await telling.look(boxes[0], labels[0])
        case "verify":
            close = await telling.look(boxes[0], labels[0])
            await _verify(telling, labels[0], close, THERE)
        case "cannot_tell":
            # Look for what is not there; now and then look at something alike first, and find that it is not it.
            # Without a search on offer nothing is called: there is no place to point at.
            if candidate.decoys and VERIFY in telling.offered and telling.rng.random() < LOOK_FIRST:
                close = await telling.zoom(Box(*candidate.decoys[0].box), candidate.phrase)
                await _verify(telling, candidate.phrase, close, NOT_THERE)
            elif SEARCH in telling.offered:
                await telling.call((SEARCH, {"label": candidate.phrase, "img_idx": 0}))


async def _verify(telling: Narration, label: str, index: int, measured: tuple[float, float]) -> None:
    await telling.call((VERIFY, {"label": label, "img_idx": index}), yes=telling.rng.uniform(*measured))
