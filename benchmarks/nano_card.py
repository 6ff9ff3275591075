"""Measure the nano model part by part and write its model card.

    python benchmarks/nano_card.py [MODEL] [--scenes 300] [--write]

Parts: reading in the whole view and in a sufficient crop by letter height, boxes by object size, yes/no, colours,
shapes, sides, counts, "cannot tell", options by letter, what must be seen, which of nine parts shows a small thing.
Greedy generation on unseen scenes (test split), exact match, 95 % Wilson intervals. `--write` puts the card beside the
weights. Tool calls and strategies are measured by `zoomagent bench haystack`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.questions import ILLEGIBLE, LEGIBLE, SMALLEST, Question, ask, hits_of, options_for
from zoomagent.data.world.render import WHOLE, Region, render
from zoomagent.data.world.scene import DEEP, SPLITS, Item, Scene, draw_scene
from zoomagent.data.world.scene import SMALL as LEVEL
from zoomagent.evaluation.scoring import same_answer, wilson
from zoomagent.evaluation.sets.other_world import Materials
from zoomagent.models.base import Message, Model, Pixels, Text
from zoomagent.models.loading import NANO_WEIGHTS
from zoomagent.models.words.parsing import parse_boxes
from zoomagent.prompts import (
    CUES,
    PARTS,
    WHOLE_PICTURE,
    box_prompt,
    every_prompt,
    macro_prompt,
    micro_prompt,
    searched_prompt,
)
from zoomagent.training.nano.branches import KINDS
from zoomagent.training.nano.located import box_text, crop_region, true_box
from zoomagent.training.nano.model import SMALL

SEED = SPLITS["test"] + 77
VISIBLE = 4
"""Pixels of a view from which a thing counts as seen there, as in the checkpoint's profile."""


@dataclass(frozen=True)
class Trial:
    """One thing to ask: messages, the row of the card it counts for, and what would be right; `listed`:
    the number of boxes."""

    row: str
    messages: tuple[Message, ...]
    wanted: str
    box: tuple[float, ...] | None = None
    listed: bool = False


def view(scene: Scene, side: int, region: Region = WHOLE) -> Pixels:
    image = Image.fromarray(render(scene, side, side, region))
    face = scene.items[0].face if scene.items else ""
    return Pixels(f"{scene.seed}-{side}-{region}-{face}", image)


def user(*parts: Pixels | str) -> Message:
    return Message("user", tuple(Text(p) if isinstance(p, str) else p for p in parts))


def trials(index: int, macro_side: int, crop_side: int, search_side: int) -> Iterator[Trial]:
    """Everything asked about one scene."""
    scene = draw_scene(LEVEL, SEED, index)
    rng = np.random.default_rng([SEED, index])
    macro = view(scene, macro_side)
    for kind in KINDS:
        question = ask(kind, scene, LEVEL, rng)
        if question is None:
            continue
        if kind == "read":
            yield from _reading(question, scene, macro, macro_side, crop_side)
        else:
            yield Trial(f"{kind}, whole view", (user(macro, macro_prompt(question.text)),), question.answer)
            options = options_for(question, scene, LEVEL, rng)
            letter = chr(ord("A") + options.index(question.answer))
            yield Trial("options by letter, whole view", (user(macro, macro_prompt(question.text, options)),), letter)
        things = ", ".join(question.phrases) or WHOLE_PICTURE
        yield Trial("names what must be seen", (user(macro, CUES + question.text),), things)
    for name in (*LEVEL.shapes[:2], f"{LEVEL.colours[0]} one"):
        listed = every_prompt(name, "thousand")
        count = len(hits_of(name, scene))
        yield Trial("boxes of all things of a name: how many", (user(macro, listed),), str(count), listed=True)
        told = searched_prompt(f"How many {name}s are there?", [(name, count)], 32)
        yield Trial("count, told what a search found", (user(macro, told),), str(count))
    yield from _small(index, macro_side, search_side)
    yield from _other_fonts(index, macro_side, crop_side)


def _other_fonts(index: int, macro_side: int, crop_side: int) -> Iterator[Trial]:
    """A text in one of matplotlib's fonts that no training uses, with its true crop."""
    rng = np.random.default_rng([SEED, index, 2])
    face = Materials.packaged().fonts[int(rng.integers(6))]
    plain = draw_scene(LEVEL, SEED, index)
    scene = replace(plain, items=tuple(replace(item, face=face) for item in plain.items))
    question = ask("read", scene, LEVEL, rng)
    if question is not None:
        macro = view(scene, macro_side)
        for trial in _reading(question, scene, macro, macro_side, crop_side):
            if trial.row.startswith("read, with the true crop"):
                yield replace(trial, row="read, with the true crop, fonts never seen")


def _searching(phrase: str, scene: Scene, side: int, hits: Sequence[int]) -> Iterator[Trial]:
    """What a search asks of its first view: is the thing in it, where, and how many there are. `hits` are its items."""
    large = view(scene, side)
    smallest = min((scene.items[i].size * side for i in hits), default=None)
    if smallest is not None and smallest < VISIBLE:
        return
    size = "not there" if smallest is None else "4 to 8 px" if smallest < 8 else "8 px or more"
    parts = {str(1 + min(2, int(scene.items[i].y * 3)) * 3 + min(2, int(scene.items[i].x * 3))) for i in hits} or {"0"}
    if len(parts) == 1:
        yield Trial(f"search view, part of nine, {size}", (user(large, PARTS + phrase),), parts.pop())
    listed = every_prompt(phrase, "thousand")
    yield Trial(f"search view, how many are listed, {size}", (user(large, listed),), str(len(hits)), listed=True)


def _small(index: int, macro_side: int, search_side: int) -> Iterator[Trial]:
    """Where things are that are hardly to be seen, or not there."""
    scene = draw_scene(DEEP, SEED, index)
    rng = np.random.default_rng([SEED, index, 1])
    macro = view(scene, macro_side)
    for kind in ("side", "absent"):
        question = ask(kind, scene, DEEP, rng)
        if question is None:
            continue
        [phrase] = question.phrases
        part, row = "0", "part of nine, not there"
        if question.targets:
            item = scene.items[question.targets[0]]
            part = str(1 + int(item.y * 3) * 3 + int(item.x * 3))
            row = f"part of nine, object {'under 3' if item.size * macro_side < 3 else 'from 3'} px"
        yield Trial(row, (user(macro, PARTS + phrase),), part)
        yield from _searching(phrase, scene, search_side, hits_of(phrase, scene))
    for name in LEVEL.shapes[:2]:
        yield from _searching(name, scene, search_side, hits_of(name, scene))
    for sort in ("presence", "count"):
        question = ask("presence" if sort == "presence" else "count", scene, DEEP, rng)
        if question is not None and not any(scene.items[i].size * macro_side >= SMALLEST for i in question.targets):
            row = f"{sort}, things too small to be told: cannot tell"
            yield Trial(row, (user(macro, macro_prompt(question.text)),), CANNOT_TELL)


def _reading(question: Question, scene: Scene, macro: Pixels, macro_side: int, crop_side: int) -> Iterator[Trial]:
    """The whole view, the box, and the answer with the true crop, for one text."""
    item = scene.items[question.targets[0]]
    height = item.text_height * macro_side
    prompt = macro_prompt(question.text)
    if height >= LEGIBLE:
        yield Trial(f"read, whole view, letters {_bin(height)}", (user(macro, prompt),), question.answer)
    elif height <= ILLEGIBLE:
        yield Trial("read, whole view, illegible: cannot tell", (user(macro, prompt),), CANNOT_TELL)
    ask_box = user(macro, box_prompt(question.text, "thousand"))
    yield Trial(f"box, IoU 0.5, object {_bin(item.size * macro_side)}", (ask_box,), "", item.box)
    box = true_box(question, scene)
    region = crop_region(box)
    height = item.text_height / (region[2] - region[0]) * crop_side
    said = Message("assistant", (Text(box_text(box)),))
    closer = user(view(scene, crop_side, region), micro_prompt(question.text))
    yield Trial(f"read, with the true crop, letters {_bin(height)}", (ask_box, said, closer), question.answer)
    other = _far_from(item, scene)
    if other is not None and item.text_height * macro_side <= ILLEGIBLE:
        said = Message("assistant", (Text(box_text(other.box)),))
        astray = user(view(scene, crop_side, crop_region(other.box)), micro_prompt(question.text))
        yield Trial("read, with a wrong crop: cannot tell", (ask_box, said, astray), CANNOT_TELL)


def _far_from(item: Item, scene: Scene) -> Item | None:
    """Another item whose crop holds nothing of this one."""
    apart = [o for o in scene.items if overlap(item.box, crop_region(o.box)) == 0]
    return apart[0] if apart else None


def _bin(pixels: float) -> str:
    for low, high in ((0, 8), (8, 12), (12, 16), (16, 32)):
        if pixels < high:
            return f"{low}-{high} px"
    return "over 32 px"


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes in shares of the side."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    common = max(0.0, width) * max(0.0, height)
    union = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - common
    return common / union if union > 0 else 0.0


async def judge(model: Model, trial: Trial) -> bool:
    """Whether the greedy reply is right."""
    [reply] = await model.generate(trial.messages, max_tokens=256 if trial.listed else 32)
    if trial.listed:
        return len(parse_boxes(reply.text)) == int(trial.wanted)
    if trial.box is None:
        return same_answer(reply.text, trial.wanted)
    boxes = parse_boxes(reply.text)
    return bool(boxes) and overlap(tuple(v / 1000 for v in boxes[0]), trial.box) >= 0.5


async def measure(
    model: Model, scenes: int, macro_side: int, crop_side: int, search_side: int
) -> dict[str, list[bool]]:
    """Outcomes per row of the card."""
    from tqdm import tqdm

    outcomes: dict[str, list[bool]] = defaultdict(list)
    for index in tqdm(range(scenes), mininterval=5):
        for trial in trials(index, macro_side, crop_side, search_side):
            outcomes[trial.row].append(await judge(model, trial))
    return dict(sorted(outcomes.items()))


def table(outcomes: dict[str, list[bool]]) -> str:
    """The scores as Markdown."""
    lines = ["| what | n | exact [95 %] |", "|---|--:|---|"]
    for row, hits in outcomes.items():
        low, high = wilson(sum(hits), len(hits))
        lines.append(f"| {row} | {len(hits)} | {sum(hits) / len(hits):.1%} [{low:.1%}, {high:.1%}] |")
    return "\n".join(lines)


CARD = """\
# The packaged nano model

Qwen3-VL architecture (`Qwen3VLForConditionalGeneration`, stock transformers), {parameters:.1f} million parameters,
bf16, own tokenizer of {tokens} tokens, Qwen chat format, boxes 0-1000 rounded to tens. Trained from random weights on
the synthetic world, levels `{level}` and `deep`, by `zoomagent train sft --preset nano`. It answers about that world
only: {shapes} in {colours}, carrying {lengths} digits, on backgrounds of several kinds. On any other picture its
answers mean nothing. It was trained on direct answers, options, boxes, DualFocus' turns, yes/no questions, the search
question, naming what must be seen, several crops, lists of boxes, larger views as a search shows them, what a search
found, and calls of `image_zoom_in_tool` and `image_search_tool`; in several wordings, in many fonts, on grounds of many
kinds.

Whole views are {macro_side} pixels a side, crops {crop_side}, the views of a search {search_side}. Scores on {scenes}
unseen scenes (test split, greedy, exact match; boxes count from IoU 0.5), by
`python benchmarks/nano_card.py --scenes {scenes}`:

{table}

Letters and objects are measured in pixels of the view they are read in; the last rows are about level `deep`. What it
cannot do: letters, more than two characters, objects smaller than 1.6 % of the picture's side, other words, other
pictures.
"""


def card(model: Model, outcomes: dict[str, list[bool]], scenes: int) -> str:
    """The model card as Markdown."""
    from safetensors.torch import load_file
    from transformers import AutoTokenizer

    tensors = [load_file(path) for path in sorted(NANO_WEIGHTS.glob("*.safetensors"))]
    parameters = sum(tensor.numel() for shard in tensors for name, tensor in shard.items() if name != "lm_head.weight")
    return CARD.format(
        parameters=parameters / 1e6,
        tokens=len(AutoTokenizer.from_pretrained(NANO_WEIGHTS, trust_remote_code=False)),
        level=LEVEL.name,
        shapes=", ".join(f"{s}s" for s in LEVEL.shapes),
        colours=", ".join(LEVEL.colours),
        lengths=" or ".join(map(str, LEVEL.text_lengths)),
        macro_side=SMALL.macro_side,
        crop_side=SMALL.crop_side,
        search_side=SMALL.search_side,
        scenes=scenes,
        table=table(outcomes),
    )


def main(
    model: Annotated[str, typer.Argument(help="nano or a folder with weights.")] = "nano",
    scenes: Annotated[int, typer.Option(min=1)] = 300,
    write: Annotated[bool, typer.Option(help="Write the card beside the packaged weights.")] = False,
) -> None:
    """Measure the nano model part by part."""
    from zoomagent.models.loading import load_model

    loaded = load_model(model)
    outcomes = asyncio.run(measure(loaded, scenes, SMALL.macro_side, SMALL.crop_side, SMALL.search_side))
    typer.echo(table(outcomes))
    if write:
        (NANO_WEIGHTS / "README.md").write_text(card(loaded, outcomes, scenes))


if __name__ == "__main__":
    typer.run(main)
