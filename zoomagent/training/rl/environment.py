"""ZoomEnv: one episode of zooming as a plain object. The same tools, views and words as a run of the agent.

    env = ZoomEnv(EnvConfig(profile, images=Path("OUT/images")))
    prompt = env.reset(row)                               # messages with Pillow images
    seen = env.call("image_zoom_in_tool", {"bbox_2d": [100, 100, 200, 200], "label": "sign", "img_idx": 0})
    env.finish("47")
    env.reward().total

The picture is shown at `row["resolution"]` pixels where the row has that (LFPC's information gap); crops are cut from
the original, always. Knows no torch, no trainer and no event loop; can be pickled in the middle of an episode. Left
out: asking a model (`rollout.py`), and tools that need one: they are refused in words, but for a search by the
annotation where that is asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson
from PIL import Image

from zoomagent.errors import InputRefused, SettingInvalid, ToolArgsInvalid, ToolError
from zoomagent.geometry import Box, coverage, whole
from zoomagent.graphs.context import Budget
from zoomagent.media import Picture
from zoomagent.models.base import ToolCall
from zoomagent.models.profiles import Profile
from zoomagent.models.words.chat import neutral
from zoomagent.prompts import macro_prompt
from zoomagent.tools.arguments import Search, ZoomIn, ZoomOut
from zoomagent.tools.cropping import show
from zoomagent.tools.definitions import NOT_FOUND, SEARCH, ZOOM_IN, ZOOM_OUT, definitions
from zoomagent.tools.dispatch import cut_out, worded
from zoomagent.tools.episode import read_attempt
from zoomagent.tools.progress import Look
from zoomagent.tools.viewing import ToolResult, ViewRecord, ViewStore, box_of
from zoomagent.tools.zooming import surroundings
from zoomagent.training.rl.rewards import GAP, Reward, RewardConfig, Rollout, judge
from zoomagent.training.sft.reading import opened

WITHOUT_MODEL = (ZOOM_IN, ZOOM_OUT)

Row = Mapping[str, Any]
Message = dict[str, Any]


@dataclass(frozen=True)
class EnvConfig:
    """How episodes are run. `images` is the folder that rows' `image` is relative to. `tools` are offered, in this
    order; () for the profile's. A search is `refused` in words, or `annotated`: it finds what the row says the question
    is about, which a search at run time may fail to."""

    profile: Profile
    images: Path
    tools: tuple[str, ...] = ()
    rewards: RewardConfig = GAP
    depth: int = Budget().depth
    search: Literal["refused", "annotated"] = "refused"

    @property
    def offered(self) -> tuple[str, ...]:
        return self.tools or self.profile.tools

    def definitions(self) -> list[dict[str, Any]]:
        """The tools as the model is offered them (OpenAI function definitions)."""
        return definitions(self.offered, self.profile.space)


@dataclass(frozen=True)
class Seen:
    """What a call gives back: words, and images to show with them. `ok` is False for a refusal."""

    text: str
    images: tuple[Image.Image, ...] = ()
    ok: bool = True


@dataclass
class Episode:
    """All that changes while an episode runs. Plain values, so that it can be stored."""

    row: Row
    indexed: list[str] = field(default_factory=list)
    records: list[ViewRecord] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    shown: list[Box] = field(default_factory=list)
    found: list[Box] = field(default_factory=list)
    searches: int = 0
    calls: int = 0
    refused: int = 0
    reply: str | None = None
    cut: bool = False


class GapViews(ViewStore):
    """Views of one picture whose whole is shown at no more than `resolution` pixels where there is one; crops are not
    held back."""

    def __init__(self, picture: Picture, profile: Profile, resolution: int | None) -> None:
        super().__init__(picture, profile)
        self.resolution = resolution

    def whole(self) -> ViewRecord:
        return self.add(whole(self.picture.size), max_pixels=self.resolution) if self.resolution else super().whole()


class ZoomEnv:
    """One episode at a time: `reset`, then `call` as often as the model calls, then `finish` and `reward`."""

    def __init__(self, config: EnvConfig) -> None:
        self.config = config
        self._episode: Episode | None = None
        self._views: GapViews | None = None

    def reset(self, row: Row) -> list[Message]:
        """Begin with a row (`data/trajectories/trajectory.py`); the messages that open it, images as Pillow images.

        Raises InputRefused when its picture cannot be opened."""
        self._episode = Episode(dict(row))
        self._views = self._open(row)
        self._add(self._views.whole())
        question = macro_prompt(row["question"], self.config.profile.offered(list(row["options"])))
        image = {"type": "image", "image": self._views.image(self.episode.indexed[0])}
        return [{"role": "user", "content": [image, {"type": "text", "text": neutral(question)}]}]

    def call(self, name: str, arguments: Mapping[str, Any] | str, turn: int | None = None) -> Seen:
        """Run a tool call. `arguments` as the model wrote them; boxes in the profile's space of the image named.

        What the model did wrong is told in `text`, in the words of a run. `turn` counts the model's turns."""
        episode = self.episode
        text = arguments if isinstance(arguments, str) else orjson.dumps(dict(arguments), default=str).decode()
        episode.calls += 1
        try:
            result = self._run_call(ToolCall("", name, text), episode.calls if turn is None else turn)
        except ToolError as error:
            episode.refused += 1
            return Seen(neutral(str(error)), ok=False)
        for view in result.views:
            self._add(view)
        target = [result.target] if result.views and result.target else []
        episode.shown += target
        if name == SEARCH:
            episode.searches += 1
            episode.found += target
        return Seen(neutral(result.text), tuple(self.views.image(view["id"]) for view in result.views))

    def finish(self, reply: str, cut: bool = False) -> None:
        """The model's last words; `cut` when they ended before they were over."""
        self.episode.reply, self.episode.cut = reply, cut

    def reward(self) -> Reward:
        """The parts of the reward. An episode that was not finished has answered nothing."""
        return judge(self.rollout(), self.config.rewards)

    def rollout(self) -> Rollout:
        """The episode as rewards see it."""
        episode, row = self.episode, self.episode.row
        return Rollout(
            reply=episode.reply or "",
            answer=row["answer"],
            options=tuple(row["options"]),
            looks=tuple(box for box in episode.shown if box not in episode.found),
            found=tuple(episode.found),
            searches=episode.searches,
            nested=tuple(Box(*box) for box in row["nested"]),
            picture=self.views.picture.size,
            cut=episode.cut,
            refused=episode.refused,
        )

    @property
    def episode(self) -> Episode:
        if self._episode is None:
            raise SettingInvalid("No episode has begun. Call reset(row) first.")
        return self._episode

    @property
    def views(self) -> GapViews:
        """The views; opened again after unpickling."""
        if self._views is None:
            self._views = self._open(self.episode.row)
            self._views.know(self.episode.records)
        return self._views

    def _open(self, row: Row) -> GapViews:
        picture = opened(str(self.config.images / row["image"]))
        if (picture.size.width, picture.size.height) != (row["width"], row["height"]):
            raise InputRefused(
                f"The picture of {row['id']} is {picture.size.width}x{picture.size.height} pixels and its row says "
                f"{row['width']}x{row['height']}: boxes would be wrong. Make the rows again from these pictures."
            )
        return GapViews(picture, self.config.profile, row.get("resolution"))

    def _add(self, record: ViewRecord) -> None:
        if record["id"] not in self.episode.indexed:
            self.episode.indexed.append(record["id"])
            self.episode.records.append(record)

    def _run_call(self, call: ToolCall, turn: int) -> ToolResult:
        episode, views = self.episode, self.views
        attempt = read_attempt(
            views, call, episode.indexed, self.config.offered, self.config.depth, episode.looks, turn
        )
        arguments = attempt.arguments
        if not isinstance(arguments, ZoomIn | ZoomOut | Search):
            raise ToolArgsInvalid(f"{call.name} is not available here. Zoom in, or answer.")
        episode.looks.append(attempt.look)
        if isinstance(arguments, Search):
            # By the annotation: the first target in the view that was not yet shown, or that there is none.
            if self.config.search == "refused":
                raise ToolArgsInvalid(f"{SEARCH} is not available here. Zoom in, or answer.")
            view = self.episode.indexed[arguments.img_idx]
            source = box_of(views.record(view))
            targets = [Box(*corners) for corners in self.episode.row["targets"]]
            hidden = [b for b in targets if coverage(b, source) > 0.5 and b not in self.episode.shown]
            if not hidden:
                return ToolResult(NOT_FOUND)
            region = surroundings(hidden[0], views.picture.size, views.profile.crop_margin, 0)
            return worded(views, self.episode.indexed, arguments.img_idx, show(views, view, region, hidden[0]))
        return cut_out(views, episode.indexed, arguments)

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config, "_episode": self._episode, "_views": None}
