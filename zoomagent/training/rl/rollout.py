"""Play one episode: a model, a ZoomEnv, and nothing between them. What a trainer does in batches, one at a time.

    reward = await play(model, env, row)

`altered` may replace what a call shows, which is how a health check asks whether crops are looked at (`probe.py`). Left
out: budgets, checks and weighing, which are the agent's.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PIL import Image

from zoomagent.graphs.driving import TURNS
from zoomagent.models.base import Message, Model, Pixels, Text
from zoomagent.models.words.dialects import read_calls
from zoomagent.training.rl.environment import Row, Seen, ZoomEnv
from zoomagent.training.rl.rewards import Reward

Altered = Callable[[ZoomEnv, Seen], Seen]


async def play(
    model: Model, env: ZoomEnv, row: Row, *, altered: Altered | None = None, turns: int = TURNS, max_tokens: int = 256
) -> Reward:
    """Greedily, until the model answers or `turns` are over, which is no answer."""
    messages = [message(spoken) for spoken in env.reset(row)]
    tools = env.config.definitions()
    for turn in range(turns):
        reply = (await model.generate(messages, max_tokens=max_tokens, tools=tools))[0]
        text, calls = reply.text, reply.tool_calls
        if not calls:
            text, calls = read_calls(model.profile.tool_dialect, text)
        if not calls:
            env.finish(text, cut=reply.finish == "length")
            return env.reward()
        calls = tuple(replace(call, id=f"{turn}-{number}") for number, call in enumerate(calls))
        messages.append(Message("assistant", (Text(text),) if text else (), calls))
        for call in calls:
            seen = env.call(call.name, call.arguments, turn)
            if altered is not None and seen.images:
                seen = altered(env, seen)
            messages.append(Message("tool", (*map(pixels, seen.images), Text(seen.text)), tool_call_id=call.id))
    env.finish("", cut=True)
    return env.reward()


def message(spoken: dict[str, Any]) -> Message:
    """A message of `ZoomEnv` as models are told it."""
    parts = (pixels(part["image"]) if part["type"] == "image" else Text(part["text"]) for part in spoken["content"])
    return Message(spoken["role"], tuple(parts))


def pixels(image: Image.Image) -> Pixels:
    """A view named by its content."""
    return Pixels(hashlib.sha256(image.tobytes()).hexdigest()[:20], image)
