"""One run of the page, watched: its steps, and every view the moment the model is shown it.

    answer = await watched(agent, picture, "What is it?", [], [], tell)      # tell(Step), tell(Looked), as they happen

`ZoomAgent.astream` tells of a view only with the step that ends with it, and at the end alone from where it was cut.
Here the run gets views that tell; those of a clip say in which frames they lie. Left out: checkpoints, which a run that
nobody can name does not need.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from zoomagent.agent import Regions, ZoomAgent
from zoomagent.answer import Answer, from_state
from zoomagent.clips import answer_of, ask_clip, looked_sheet
from zoomagent.errors import InputRefused
from zoomagent.graphs.context import Bench, Live
from zoomagent.graphs.regions import check_regions
from zoomagent.graphs.state import Question
from zoomagent.media import Picture, Recording
from zoomagent.media.video.sheet import Sheet
from zoomagent.models.base import Pixels
from zoomagent.moments import GRID
from zoomagent.run_record import Corners, Looked, Step
from zoomagent.running import run
from zoomagent.tools.viewing import ViewStore

Tell = Callable[[Step | Looked], None]


class ToldViews(ViewStore):
    """Views that are told of when they are first drawn for the model; blanked ones and ones with marks are not."""

    def __init__(self, views: ViewStore, tell: Tell) -> None:
        super().__init__(views.picture, views.profile, max_pixels=views.max_pixels)
        self._tell, self._told = tell, set[str]()

    async def pixels(self, name: str) -> Pixels:
        record = self.record(name)
        if name not in self._told and not record.get("blank") and not record.get("marks"):
            self._told.add(name)
            if isinstance(self._first, Sheet):
                self._tell(looked_sheet(record, self._first))
            else:
                left, top, right, bottom = record["box"]
                box: Corners = (left, top, right, bottom)
                width, height = record["size"]
                source, depth = record["source"], record["depth"]
                self._tell(Looked(view=record["id"], source=source, box=box, size=(width, height), depth=depth))
        return await super().pixels(name)


async def watched(
    agent: ZoomAgent, media: Picture | Recording, question: str, options: Sequence[str], regions: Regions, tell: Tell
) -> Answer:
    """The run's answer. `tell` is called in the caller's loop. Cancelling it cancels the run.

    Raises RunError where the model cannot be had, or the clip not be asked about so."""
    loop, began = asyncio.get_running_loop(), time.monotonic()
    settings = agent.context.model_dump(mode="json")

    def told(item: Step | Looked) -> None:
        loop.call_soon_threadsafe(tell, item)

    async def work_on_clip(first: Bench) -> Answer:
        def bench(sheet: Picture) -> Bench:
            views = ViewStore(sheet, first.model.profile, max_pixels=agent.context.max_view_pixels)
            return Bench(ToldViews(views, told), first.model)

        assert isinstance(media, Recording)
        async for item in ask_clip(media, question, options, agent.context, bench, None, "", settings, began):
            if isinstance(item, Step):
                told(item)
                continue
            return answer_of(item, agent.model_name, agent.context.strategy, time.monotonic() - began)
        raise AssertionError("a run ends with what came of it")

    async def work(bench: Bench) -> Answer:
        live = Live(**dict(agent.context), bench=Bench(ToldViews(bench.views, told), bench.model))
        asked = Question(image=bench.views.picture.id, question=question, options=list(options), settings=settings)
        if regions:
            asked["about"] = [box.as_list() for box in check_regions(regions, question)]
        async for item in run(asked, live):
            if isinstance(item, Step):
                told(item)
                continue
            seconds = time.monotonic() - began
            return from_state(item, model=agent.model_name, strategy=agent.context.strategy, seconds=seconds)
        raise AssertionError("a run ends with its state")

    if isinstance(media, Recording):
        if regions:
            raise InputRefused("Regions are of pictures. Ask about a video without them.", code="unsupported_image")
        return await agent.awork(Sheet(media, media.moment, GRID), work_on_clip)
    return await agent.awork(media, work)
