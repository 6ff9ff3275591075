"""One run of the page, watched: its steps, and every view the moment the model is shown it.

    answer = await watched(agent, picture, "What is it?", [], [], tell)     # tell(Step), tell(Looked), as they happen

`ZoomAgent.astream` tells of a view only with the step that ends with it, and at the end alone from where it was cut.
Here the run gets views that tell. Left out: checkpoints, which a run that nobody can name does not need.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from zoomagent.agent import Regions, ZoomAgent
from zoomagent.answer import Answer, from_state
from zoomagent.graphs.context import Bench, Live
from zoomagent.graphs.regions import check_regions
from zoomagent.graphs.state import Question
from zoomagent.media import Picture
from zoomagent.models.base import Pixels
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
            left, top, right, bottom = record["box"]
            box: Corners = (left, top, right, bottom)
            width, height = record["size"]
            looked = Looked(
                view=record["id"], source=record["source"], box=box, size=(width, height), depth=record["depth"]
            )
            self._tell(looked)
        return await super().pixels(name)


async def watched(
    agent: ZoomAgent, picture: Picture, question: str, options: Sequence[str], regions: Regions, tell: Tell
) -> Answer:
    """The run's answer. `tell` is called in the caller's loop. Cancelling it cancels the run.

    Raises RunError where the model cannot be had."""
    loop, began = asyncio.get_running_loop(), time.monotonic()

    def told(item: Step | Looked) -> None:
        loop.call_soon_threadsafe(tell, item)

    async def work(bench: Bench) -> Answer:
        live = Live(**dict(agent.context), bench=Bench(ToldViews(bench.views, told), bench.model))
        settings = agent.context.model_dump(mode="json")
        asked = Question(image=picture.id, question=question, options=list(options), settings=settings)
        if regions:
            asked["about"] = [box.as_list() for box in check_regions(regions, question)]
        async for item in run(asked, live):
            if isinstance(item, Step):
                told(item)
                continue
            seconds = time.monotonic() - began
            return from_state(item, model=agent.model_name, strategy=agent.context.strategy, seconds=seconds)
        raise AssertionError("a run ends with its state")

    return await agent.awork(picture, work)
