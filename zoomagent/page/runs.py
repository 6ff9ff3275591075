"""The page's runs: those that go on, as lines of JSON that can be stopped, and those that are kept, one folder each.

    {"event": "begun", "id": "20260101-120000-1f2e3d", "html"}
    {"event": "view", "view": {"id", "under", "node", "html"}}  # as the model is shown it, below what it was cut from
    {"event": "step", "step": {...}, "html", "views": [...]}    # as they happen; the HTML of the views they tell of
    {"event": "ended", "run": {..., "html"}}                    # or {"event": "cancelled"}

A kept run is `<runs>/<id>/answer.json`, as `Answer.save` writes it, beside a small picture. Left out: pictures
(`gallery.py`), words (`run_json.py`).
"""

import asyncio
import contextlib
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zoomagent.agent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.bounds import within
from zoomagent.clips import info_of
from zoomagent.errors import InputRefused, RateLimited, RunError, StoreError
from zoomagent.files import write_together
from zoomagent.graphs.checking import MAX_OPTIONS, MAX_QUESTION, check_question
from zoomagent.graphs.context import Budget
from zoomagent.graphs.regions import MAX_REGIONS
from zoomagent.media.paths import LONGEST
from zoomagent.media.video.sheet import Sheet
from zoomagent.page.gallery import Gallery, thumbnail
from zoomagent.page.names import FILE, MOST_FRAMES, MOST_HIDDEN, file_name, shown_name
from zoomagent.page.run_html import begun_html
from zoomagent.page.run_json import GrowingTree, run_json, told_short
from zoomagent.page.tree import whole_box
from zoomagent.page.watching import watched
from zoomagent.run_record import Corners, Looked, PictureInfo, SheetInfo, Step
from zoomagent.strategy import Rule, Strategy
from zoomagent.text import storable
from zoomagent.tools.viewing import MOST_SIDE

ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
AT_ONCE = 4
"""Runs that may go on at the same time (ours)."""
THUMBNAIL = "thumbnail.jpg"
SAYS = r"\S"
MAX_VALUES = 200
"""Values of a question (ours): the largest has fifty."""
MOST_EVIDENCE, MOST_VIEWS = 200, 5000
"""What one kept run holds (ours); the longest have a tenth."""
MOST_TIME = 10**9
"""Milliseconds up to which a kept run may name a time (ours)."""
LISTED = 200
"""Saved runs that are listed, newest first."""


class PageQuestion(BaseModel):
    """A question about a picture or clip of the gallery, and how to look closer; what is left out is as the server is
    set. A file of an arbiter is the operator's to name: here a question can only do without one.
    `name` is the picture's file on the person's side. Bounds are `ZoomAgent.ask`'s."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    picture: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    question: Annotated[str, Field(pattern=SAYS, max_length=MAX_QUESTION)]
    options: Annotated[list[str], Field(max_length=MAX_OPTIONS)] = []
    regions: Annotated[list[list[int]], Field(max_length=MAX_REGIONS)] = []
    strategy: Strategy = "auto"
    rule: Rule = "learned"
    calls: Annotated[int, Field(ge=1, le=1000)] = 32
    seconds: Annotated[float | None, Field(gt=0, le=3600)] = None
    target_error: Annotated[float | None, Field(gt=0, lt=1)] = None
    gate: Annotated[float | None, Field(gt=0, le=1)] = None
    arbiter: Literal["none"] | None = None
    proof: bool | None = None
    check: bool | None = None
    name: Annotated[str, Field(max_length=LONGEST)] = ""

    @model_validator(mode="before")
    @classmethod
    def _check_size(cls, given: Any) -> Any:
        """Each wrong item would be an error of its own."""
        if not within(given, MAX_VALUES):
            raise ValueError(f"more than {MAX_VALUES} values")
        return given


class Runs:
    """Asks, follows, stops, keeps and finds runs."""

    def __init__(self, agent: ZoomAgent, gallery: Gallery, folder: Path) -> None:
        self._agent, self._gallery, self._folder = agent, gallery, folder
        self._going: dict[str, asyncio.Task[None]] = {}

    def begin(self, asked: PageQuestion) -> AsyncIterator[str]:
        """The lines of a new run. Leaving them early stops it. Raises InputRefused for what cannot be asked,
        RateLimited when too many go on."""
        check_question(asked.question, asked.options, asked.regions)
        if len(self._going) >= AT_ONCE:
            raise RateLimited(f"{AT_ONCE} runs are going on already. Wait for one, or cancel it.")
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        lines.put_nowait({"event": "begun", "id": name, "html": begun_html()})
        self._going[name] = task = asyncio.create_task(self._run(name, asked, lines))

        def end(_: asyncio.Task[None]) -> None:
            del self._going[name]
            lines.put_nowait(None)

        task.add_done_callback(end)  # also where nobody ever reads the lines
        return self._lines(task, lines)

    def cancel(self, name: str) -> bool:
        """Stop a run; whether it was going on."""
        task = self._going.get(name)
        return task is not None and task.cancel()

    def kept(self, name: str) -> Answer:
        """A run that was kept. Raises InputRefused where there is none, or its file is no answer."""
        path = self._folder / name / "answer.json"
        if not ID.fullmatch(name) or not path.is_file():
            raise InputRefused("There is no such run. Open another one.", code="unknown_run")
        try:
            answer = Answer.model_validate_json(path.read_bytes())
        except (ValidationError, OSError) as error:
            raise StoreError("This run's file is no answer of zoomagent's.", code="checkpoint_corrupt") from error
        if not _is_whole(answer):
            raise StoreError("This run's file is damaged: no run leaves such views.", code="checkpoint_corrupt")
        return answer

    def listed(self, words: str = "") -> list[dict[str, Any]]:
        """The kept runs that hold all the words, newest first. Files that are no answers are left out."""
        names = sorted((path.parent.name for path in self._folder.glob("*/answer.json")), reverse=True)
        runs: list[dict[str, Any]] = []
        for name in filter(ID.fullmatch, names):
            with contextlib.suppress(StoreError, InputRefused):
                run = told_short(self.kept(name), name)
                named = ("question", "text", "name", "model", "strategy", "id")
                text = " ".join(str(run[field]) for field in named).casefold()
                if all(word in text for word in words.casefold().split()):
                    runs.append(run)
            if len(runs) == LISTED:
                break
        return runs

    def thumbnail(self, name: str) -> bytes:
        """The small picture of a kept run. InputRefused where there is none: runs of old have none."""
        path = self._folder / name / THUMBNAIL
        if not ID.fullmatch(name) or not path.is_file():
            raise InputRefused("There is no small picture of this run.", code="unknown_run")
        return path.read_bytes()

    def delete(self, name: str) -> None:
        """Delete a kept run's own files. Its picture goes with the next start, unless another run names it."""
        self.kept(name)
        folder = self._folder / name
        try:
            for path in (folder / "answer.json", folder / THUMBNAIL):
                path.unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()
        except OSError as error:
            raise StoreError(f"The run cannot be deleted ({error.strerror}).", code="store_io") from error

    async def _lines(
        self, task: asyncio.Task[None], lines: "asyncio.Queue[dict[str, Any] | None]"
    ) -> AsyncIterator[str]:
        try:
            while (line := await lines.get()) is not None:
                yield json.dumps(line) + "\n"
            if not task.cancelled():
                task.result()
        finally:
            task.cancel()

    async def _run(self, name: str, asked: PageQuestion, lines: "asyncio.Queue[dict[str, Any] | None]") -> None:
        try:
            async with self._gallery.borrowed(asked.picture) as picture:
                agent = self._agent.using(**_settings(asked, self._agent.context.budget))
                size, clip = picture.size, picture if isinstance(picture, Sheet) else None
                about = {"id": picture.id, "width": size.width, "height": size.height, "notes": tuple(picture.notes)}
                tree = GrowingTree(PictureInfo.model_validate({**about, "sheet": clip and info_of(clip)}))

                def tell(item: Step | Looked) -> None:
                    if isinstance(item, Step):
                        lines.put_nowait({"event": "step", **tree.step(item)})
                    elif view := tree.view(item):
                        lines.put_nowait({"event": "view", "view": view})

                media = picture if clip is None else clip.video
                answer = await watched(agent, media, asked.question, asked.options, asked.regions, tell)
                info = answer.picture and answer.picture.model_copy(update={"name": storable(asked.name)})
                answer = answer.model_copy(update={"made": agent.made(), "picture": info})
                await asyncio.to_thread(self._keep, name, answer)
            lines.put_nowait({"event": "ended", "run": run_json(answer, name)})
        except RunError as error:
            lines.put_nowait({"event": "error", "error": {"code": error.code, "message": str(error)}})
        except asyncio.CancelledError:
            lines.put_nowait({"event": "cancelled"})
            raise

    def _keep(self, name: str, answer: Answer) -> None:
        """Only what looked at a picture is kept: the rest could not be shown again."""
        if answer.picture is None:
            return
        folder = self._folder / name
        try:
            folder.mkdir(parents=True)
            kept = answer.model_dump_json(indent=2).encode()
            with self._gallery.lent(shown_name(answer.picture)) as picture:
                write_together(folder, {THUMBNAIL: thumbnail(picture), "answer.json": kept})
        except OSError as error:
            raise StoreError(f"The run cannot be kept ({error.strerror}). Free space.", code="store_io") from error
        self._gallery.keep(file_name(answer.picture))


def _settings(asked: PageQuestion, budget: Budget) -> dict[str, Any]:
    """What this run asks otherwise than the server is set. Its seconds may only be fewer than the server's."""
    least = [seconds for seconds in (asked.seconds, budget.seconds) if seconds is not None]
    spent = {"calls": asked.calls, "seconds": min(least, default=None)}
    settings = {
        name: getattr(asked, name) for name in ("strategy", "rule", "target_error", "gate", "arbiter", "proof", "check")
    }
    given = {name: value for name, value in settings.items() if value is not None}
    return {**given, "budget": budget.model_copy(update=spent)}


def _is_whole(answer: Answer) -> bool:
    """Whether a page can be made of a kept run: its views lie in the picture, and there are as many as a run makes."""
    picture, settings = answer.picture, answer.made.settings if answer.made else {}
    if picture is None or picture.width < 1 or picture.height < 1 or not isinstance(settings.get("budget", {}), dict):
        return False
    many = max(len(answer.views), len(answer.frames), len(answer.regions), len(answer.steps)) > MOST_VIEWS
    if many or len(answer.evidence) > MOST_EVIDENCE:
        return False
    sheets = [picture.sheet, *(looked.sheet for looked in answer.frames), *(item.sheet for item in answer.evidence)]
    if not all(_is_of_clip(sheet, picture) for sheet in sheets if sheet is not None):
        return False
    boxes = [item.box for item in answer.views]
    boxes += [item.box for item in answer.regions]
    sides = [side for size in [e.size for e in answer.evidence] + [v.size for v in answer.views] for side in size]
    inside = [lies_in(box, (picture.width, picture.height)) for box in boxes]
    for item in answer.evidence:
        size = whole_box(picture, item.sheet or picture.sheet)[2:]
        inside += [lies_in(box, size) for box in (item.box, item.target) if box is not None]
    inside += [lies_in(looked.box, whole_box(picture, looked.sheet)[2:]) for looked in answer.frames]
    sides += [side for looked in answer.frames for side in looked.size]
    return all(inside) and all(0 < side <= MOST_SIDE for side in sides)


def _is_of_clip(sheet: SheetInfo, picture: PictureInfo) -> bool:
    """Whether frames can be shown: they are of the clip that the run's picture is of."""
    own, spans = picture.sheet, (sheet.moment, *sheet.hidden)
    if own is None or (sheet.clip, sheet.duration) != (own.clip, own.duration) or not FILE.fullmatch(sheet.clip):
        return False
    grids = 1 <= sheet.grid <= MOST_FRAMES and len(sheet.hidden) <= MOST_HIDDEN
    # A clip's own sound may be longer than its frames.
    longest = sheet.duration if sheet.heard == own.heard else MOST_TIME
    return grids and all(0 <= start < end <= longest for start, end in spans)


def lies_in(box: Corners, size: tuple[int, int]) -> bool:
    """Whether a box has an area and lies in a picture of this size."""
    left, top, right, bottom = box
    return 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
