"""The page's runs: those that go on, as lines of JSON that can be stopped, and those that are kept, one folder each.

    {"event": "begun", "id": "20260101-120000-1f2e3d"}
    {"event": "view", "view": {"id", "under", "node"}}      # as the model is shown it, under the box it was cut from
    {"event": "step", "step": {...}}                        # as they happen
    {"event": "ended", "run": {...}}                        # or {"event": "cancelled"}

A kept run is `<runs>/<id>/answer.json`, as `Answer.save` writes it. Left out: pictures (`page_gallery.py`), words
(`page_told.py`).
"""

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoomagent.agent import MAX_OPTIONS, MAX_QUESTION, ZoomAgent, check_question
from zoomagent.answer import Answer, Looked, Step
from zoomagent.errors import InputRefused, RateLimited, RunError, StoreError
from zoomagent.files import write_whole
from zoomagent.plugins.page_gallery import Gallery
from zoomagent.plugins.page_told import Growing, told, told_short, told_step
from zoomagent.plugins.page_watching import watched
from zoomagent.strategy import Rule, Strategy

ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
AT_ONCE = 4
"""Runs that may go on at the same time (ours)."""
SAYS = r"\S"
LISTED = 200
"""Saved runs that are listed, newest first."""


class Asked(BaseModel):
    """A question about a picture of the gallery, and how to look closer. Bounds are `ZoomAgent.ask`'s."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    picture: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    question: Annotated[str, Field(pattern=SAYS, max_length=MAX_QUESTION)]
    options: Annotated[list[str], Field(max_length=MAX_OPTIONS)] = []
    strategy: Strategy = "auto"
    rule: Rule = "learned"
    calls: Annotated[int, Field(ge=1, le=1000)] = 32


class Runs:
    """Asks, follows, stops, keeps and finds runs."""

    def __init__(self, agent: ZoomAgent, gallery: Gallery, folder: Path) -> None:
        self._agent, self._gallery, self._folder = agent, gallery, folder
        self._going: dict[str, asyncio.Task[None]] = {}

    def begin(self, asked: Asked) -> AsyncIterator[str]:
        """The lines of a new run. Leaving them early stops it. Raises InputRefused for what can not be asked,
        RateLimited when too many go on."""
        check_question(asked.question, asked.options)
        if len(self._going) >= AT_ONCE:
            raise RateLimited(f"{AT_ONCE} runs are going on already. Wait for one, or cancel it.")
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        lines: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        lines.put_nowait({"event": "begun", "id": name})
        self._going[name] = task = asyncio.create_task(self._run(name, asked, lines))
        task.add_done_callback(lambda _: self._over(name, lines))  # also where nobody ever reads the lines
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
            return Answer.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise StoreError("This run's file is no answer of zoomagent's.", code="checkpoint_corrupt") from error

    def listed(self) -> list[dict[str, Any]]:
        """The kept runs, newest first. Files that are no answers are left out."""
        names = sorted((path.parent.name for path in self._folder.glob("*/answer.json")), reverse=True)
        runs = []
        for name in [name for name in names if ID.fullmatch(name)][:LISTED]:
            try:
                runs.append(told_short(self.kept(name), name))
            except StoreError:
                continue
        return runs

    def _over(self, name: str, lines: "asyncio.Queue[dict[str, Any] | None]") -> None:
        del self._going[name]
        lines.put_nowait(None)

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

    async def _run(self, name: str, asked: Asked, lines: "asyncio.Queue[dict[str, Any] | None]") -> None:
        try:
            async with self._gallery.borrowed(asked.picture) as picture:
                budget = self._agent.context.budget.model_copy(update={"calls": asked.calls})
                agent = self._agent.using(strategy=asked.strategy, rule=asked.rule, budget=budget)
                tell = _teller(Growing(picture), lines)
                answer = await watched(agent, picture, asked.question, asked.options, tell)
                await asyncio.to_thread(self._keep, name, answer)
            lines.put_nowait({"event": "ended", "run": told(answer, name)})
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
            write_whole(folder / "answer.json", answer.model_dump_json(indent=2).encode())
        except OSError as error:
            raise StoreError(f"The run can not be kept ({error.strerror}). Free space.", code="store_io") from error
        self._gallery.keep(answer.picture.id)


def _teller(tree: Growing, lines: "asyncio.Queue[dict[str, Any] | None]") -> Callable[[Step | Looked], None]:
    """Puts what happens in a run into its lines."""

    def tell(item: Step | Looked) -> None:
        if isinstance(item, Step):
            lines.put_nowait({"event": "step", "step": told_step(item)})
        elif view := tree.told(item):
            lines.put_nowait({"event": "view", "view": view})

    return tell
