"""Where an in-process model looks: the attention of a prompt's last token to the tokens of its one view.

Read-only: the loaded model runs one prompt with eager attention, which alone hands out its weights, and is put back as
it was. Reaches into `InProcessModel` on purpose, so that the product needs no hook for a bench. Left out: servers,
gradients, several views.
"""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt

from zoomagent.models.base import Message
from zoomagent.models.local.in_process import Clock, InProcessModel, Prompt

Map = npt.NDArray[np.float64]
"""Weights over a view's visual tokens, shape (rows, columns)."""


async def attention(model: InProcessModel, messages: Sequence[Message], layer: int | None) -> Map:
    """Mean over heads of the attention that the last token of the prompt pays to each visual token, in one layer of
    the text model (0 is the first, -1 the last; None is the one at three quarters)."""

    def work(clock: Clock) -> Map:
        clock.check()
        prompt = model.encode(messages, ())
        loaded = model._loaded.model
        before = loaded.config._attn_implementation
        loaded.set_attn_implementation("eager")
        try:
            outputs = loaded(
                input_ids=prompt.ids,
                position_ids=model._positions(prompt.ids, prompt.views),
                mm_encoder_outputs={"image": _features(prompt)},
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


def _features(prompt: Prompt) -> SimpleNamespace:
    return SimpleNamespace(
        pooler_output=tuple(view.tokens for view in prompt.views),
        deepstack_features=[list(layer) for layer in zip(*(view.deepstack for view in prompt.views), strict=True)],
    )
