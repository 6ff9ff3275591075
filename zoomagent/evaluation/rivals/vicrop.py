"""ViCrop (mllms_know, ICLR 2025): crop where the model already looks, without training and without asking it where.

Relative attention is the attention of the prompt's last token to the view's tokens when the question is asked, over
that when a general description is asked for: what always draws attention cancels out. Windows of several sizes slide
over it; each size puts forward its strongest place, and the size whose place stands out most from the places around it
wins. The answer comes from the whole and that one crop. Needs an in-process model: servers do not hand out attention.

Where this differs: the smallest window is a share of the picture's side (theirs: 224 or 336 pixels, which at 4K is less
than one visual token); both attention passes count as calls. Theirs has a variant that cuts large pictures into blocks
first; it is left out. `layer` is chosen per model by trying: theirs takes 22 of 28 for Qwen2.5-VL and 14 of 32 for
LLaVA-1.5; the default is the layer at three quarters, or what `layer` says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

from zoomagent.errors import SettingInvalid
from zoomagent.evaluation.rivals.asking import Desk, RivalAnswer
from zoomagent.geometry import Box, Size
from zoomagent.graphs.context import Budget
from zoomagent.models.base import Message, Model
from zoomagent.models.local.in_process import Clock, InProcessModel
from zoomagent.prompts import macro_prompt
from zoomagent.tools.viewing import ViewStore

Map = npt.NDArray[np.float64]
"""Weights over a view's visual tokens, shape (rows, columns)."""


GENERAL = "Write a general description of the image."
"""Their words: what attention goes to anyway. A question that names things draws it to all things alike, and cancels
out what was asked for."""
RATIOS = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
BASE = 0.25
"""Side of the smallest window as a share of the picture's side."""


@dataclass(frozen=True)
class Window:
    """A place of the attention map, in tokens, and how much it stands out."""

    row: int
    column: int
    rows: int
    columns: int
    sharpness: float


async def vicrop(
    model: Model,
    views: ViewStore,
    question: str,
    options: Sequence[str],
    budget: Budget,
    *,
    layer: int | None = None,
    base: float = BASE,
) -> RivalAnswer:
    """Answer from the whole and the crop that attention points at."""
    if not isinstance(model, InProcessModel):
        raise SettingInvalid("vicrop reads attention, which servers do not give. Name 'nano' or a folder with weights.")
    desk = Desk(model, views, budget)
    asked = await looked(desk, model, macro_prompt(question, desk.offered(options)), layer)
    general = await looked(desk, model, GENERAL, layer)
    box = to_box(sharpest(asked / np.maximum(general, 1e-9), base), asked.shape, views.picture.size)
    reply = await desk.generate(await desk.closer(box, desk.beside(box), question, options))
    return desk.tried(reply, options, [box], used_crop=True)


async def looked(desk: Desk, model: InProcessModel, prompt: str, layer: int | None) -> Map:
    """Where the model looks when it is asked about the whole picture; booked as a call."""
    messages = [await desk.user([desk.whole], prompt)]
    desk.book(messages)
    return await attention(model, messages, layer)


def sharpest(weights: Map, base: float = BASE) -> Window:
    """The window that stands out most."""
    rows, columns = weights.shape
    sizes = {(_tokens(rows, base * ratio), _tokens(columns, base * ratio)) for ratio in RATIOS}
    return max((strongest(weights, *size) for size in sorted(sizes)), key=lambda window: window.sharpness)


def strongest(weights: Map, rows: int, columns: int) -> Window:
    """The place of one window size with the most weight; its sharpness is how far its mean lies above that of the
    places one token away."""
    lines, places = range(weights.shape[0] - rows + 1), range(weights.shape[1] - columns + 1)
    sums = np.array([[weights[line : line + rows, at : at + columns].mean() for at in places] for line in lines])
    row, column = (int(i) for i in np.unravel_index(int(sums.argmax()), sums.shape))
    near = sums[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
    others = (near.sum() - sums[row, column]) / max(1, near.size - 1)
    return Window(row, column, rows, columns, float(sums[row, column] - others) if near.size > 1 else 0.0)


def _tokens(count: int, share: float) -> int:
    return min(count, max(1, round(count * share)))


def to_box(window: Window, grid: tuple[int, ...], size: Size) -> Box:
    """The window in original pixels."""
    rows, columns = grid
    return Box(
        size.width * window.column // columns,
        size.height * window.row // rows,
        size.width * (window.column + window.columns) // columns,
        size.height * (window.row + window.rows) // rows,
    )


async def attention(model: InProcessModel, messages: Sequence[Message], layer: int | None) -> Map:
    """Mean over heads of the attention that the last token of the prompt pays to each visual token, in one layer of
    the text model (0 is the first, -1 the last; None is the one at three quarters)."""

    def work(clock: Clock) -> Map:
        clock.check()
        prompt = model.encode(messages, ())
        loaded = model._loaded.model
        layers = zip(*(view.deepstack for view in prompt.views), strict=True)
        features = SimpleNamespace(
            pooler_output=tuple(view.tokens for view in prompt.views),
            deepstack_features=[list(layer) for layer in layers],
        )
        before = loaded.config._attn_implementation
        loaded.set_attn_implementation("eager")
        try:
            outputs = loaded(
                input_ids=prompt.ids,
                position_ids=model._positions(prompt.ids, prompt.views),
                mm_encoder_outputs={"image": features},
                use_cache=False,
                output_attentions=True,
                logits_to_keep=1,
            )
        finally:
            loaded.set_attn_implementation(before)
        [view] = prompt.views
        _, rows, columns = view.grid
        merge = round((rows * columns / len(view.tokens)) ** 0.5)
        visual = prompt.ids[0] == model._loaded.image_id
        depth = len(outputs.attentions)
        weights = outputs.attentions[depth * 3 // 4 if layer is None else layer][0, :, -1, visual].float().mean(0)
        return np.asarray(weights.double().cpu().numpy()).reshape(rows // merge, columns // merge)

    return await model._alone(work, None)
