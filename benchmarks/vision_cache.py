"""What remembering views saves in-process: the turns of one question, with and without the vision cache.

    python benchmarks/vision_cache.py MODEL [--rounds 5] [--max-tokens 8]

One question is five model calls as the first graph makes them: answer from the whole, ask for a box, answer with the
crop, then score two answers in two contexts. The answers are checked to be the same either way.
"""

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import Annotated

import orjson
import typer
from PIL import Image

from zoomagent.geometry import Size
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.loading import load_model
from zoomagent.models.local.in_process import InProcessModel


@dataclass(frozen=True)
class Saving:
    """Medians of the seconds of one question's five calls."""

    model: str
    view: list[int]
    rounds: int
    seconds_without: float
    seconds_with: float
    tower_runs_without: int
    tower_runs_with: int

    @property
    def share_saved(self) -> float:
        return 1 - self.seconds_with / self.seconds_without


async def question(model: InProcessModel, whole: Pixels, crop: Pixels, max_tokens: int) -> list[str]:
    """The five calls; returns what was answered."""
    asked = Message("user", (whole, Text("What is written on the sign?")))
    box = Message("user", (whole, Text("Where is the sign? Reply [x1, y1, x2, y2].")))
    [answer] = await model.generate([asked], max_tokens=max_tokens)
    [where] = await model.generate([box], max_tokens=max_tokens)
    closer = [box, Message("assistant", (Text("[1, 2, 3, 4]"),)), Message("user", (crop, Text("And now?")))]
    [micro] = await model.generate(closer, max_tokens=max_tokens)
    scores = [await model.score(context, ["42", "47"]) for context in ([asked], closer)]
    return [answer.text, where.text, micro.text, *map(str, scores)]


async def measure(model: InProcessModel, rounds: int, max_tokens: int) -> Saving:
    """Alternate rounds with the cache emptied before every call and with it working."""
    size = model.profile.fit(Size(4, 3))
    crop_size = model.profile.fit(Size(1, 1), model.profile.max_pixels // 2)
    times: dict[bool, list[float]] = {False: [], True: []}
    runs = {False: 0, True: 0}
    said: set[tuple[str, ...]] = set()
    keep = model.vision.max_bytes
    for number in range(2 * rounds + 2):
        cached = number % 2 == 1
        model.vision.max_bytes = keep if cached else 0
        whole = Pixels(f"whole-{number}", Image.radial_gradient("L").resize((size.width, size.height)).convert("RGB"))
        crop = Pixels(f"crop-{number}", whole.image.resize((crop_size.width, crop_size.height)))
        misses, started = model.vision.misses, time.perf_counter()
        said.add(tuple(await question(model, whole, crop, max_tokens)))
        if number >= 2:
            times[cached].append(time.perf_counter() - started)
            runs[cached] = model.vision.misses - misses
    assert len(said) == 1, "the cache changed an answer"
    medians = {cached: sorted(values)[len(values) // 2] for cached, values in times.items()}
    return Saving(model.name, [size.width, size.height], rounds, medians[False], medians[True], runs[False], runs[True])


def main(
    model: str, rounds: int = 5, max_tokens: int = 8, as_json: Annotated[bool, typer.Option("--json")] = False
) -> None:
    """Measure MODEL, which is "nano" or a checkpoint folder."""
    loaded = load_model(model)
    if not isinstance(loaded, InProcessModel):
        raise typer.BadParameter("the vision cache is part of in-process models; name 'nano' or a folder")
    saving = asyncio.run(measure(loaded, rounds, max_tokens))
    if as_json:
        print(orjson.dumps({**asdict(saving), "share_saved": saving.share_saved}).decode())
        return
    print(f"{saving.model}, whole view {saving.view[0]}x{saving.view[1]}, median of {rounds} rounds of five calls")
    print(f"  every view encoded anew  {saving.seconds_without:8.3f} s  {saving.tower_runs_without} runs of the tower")
    print(f"  every view encoded once  {saving.seconds_with:8.3f} s  {saving.tower_runs_with} runs of the tower")
    print(f"  saved                    {saving.share_saved:8.0%}")


if __name__ == "__main__":
    typer.run(main)
