"""ZoomEnv as TRL's GRPOTrainer drives it: `reset` by a row, one method per tool, and reward functions.

    GRPOTrainer(environment_factory=lambda: ZoomRollout(config), reward_funcs=reward_functions(config, stop_ids))

TRL hands any exception of a tool to the model as words; one that must stop the run is kept and raised again where the
rewards are asked for. A call of a tool that no dialect of ours knows is answered by TRL in its own words.
"""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from zoomagent.errors import RunError
from zoomagent.tools.definitions import GROUND, READ, SEARCH, TAG, VERIFY, ZOOM_IN, ZOOM_OUT
from zoomagent.training.rl.dialogue import last_words
from zoomagent.training.rl.environment import EnvConfig, ZoomEnv
from zoomagent.training.rl.rewards import Reward, RewardConfig

Content = list[dict[str, Any]]
RewardFunction = Callable[..., list[float]]


class ZoomRollout:
    """One rollout. Every public method but `reset` is a tool, by TRL's rule; the trainer says which are offered."""

    def __init__(self, config: EnvConfig) -> None:
        self._env = ZoomEnv(config)
        self._broken: RunError | None = None

    def reset(self, row: str, **_: Any) -> Content:
        """What the first user message shows; `row` is the contract's row as JSON."""
        self._broken = None
        content: Content = self._env.reset(json.loads(row))[0]["content"]
        return content

    def image_zoom_in_tool(self, /, **arguments: Any) -> Content:
        return self._call(ZOOM_IN, arguments)

    def image_zoom_out_tool(self, /, **arguments: Any) -> Content:
        return self._call(ZOOM_OUT, arguments)

    def image_search_tool(self, /, **arguments: Any) -> Content:
        return self._call(SEARCH, arguments)

    def image_read_tool(self, /, **arguments: Any) -> Content:
        return self._call(READ, arguments)

    def image_verify_tool(self, /, **arguments: Any) -> Content:
        return self._call(VERIFY, arguments)

    def image_tag_tool(self, /, **arguments: Any) -> Content:
        return self._call(TAG, arguments)

    def image_ground_tool(self, /, **arguments: Any) -> Content:
        return self._call(GROUND, arguments)

    def _call(self, name: str, arguments: dict[str, Any]) -> Content:
        try:
            seen = self._env.call(name, arguments)
        except RunError as error:
            self._broken = error
            raise
        return [{"type": "text", "text": seen.text}, *({"type": "image", "image": image} for image in seen.images)]

    def _finished(self, reply: str | None, cut: bool) -> ZoomEnv:
        """The episode with its last words; raises what broke it."""
        if self._broken is not None:
            raise self._broken
        self._env.finish(reply or "", cut or reply is None)
        return self._env


def reward_functions(config: RewardConfig, stop_ids: Collection[int]) -> list[RewardFunction]:
    """One function per part, so that TRL logs and weighs each; `weights` says what each counts."""

    def function_of(name: str) -> RewardFunction:
        def part(
            completions: Sequence[Any], completion_ids: Sequence[Sequence[int]], environments: Sequence[Any], **_: Any
        ) -> list[float]:
            judged = judged_all(completions, completion_ids, environments, stop_ids)
            return [float(getattr(one, name)) for one in judged]

        part.__name__ = name
        return part

    return [function_of(name) for name in _weighted(config)]


def weights(config: RewardConfig) -> list[float]:
    """The weights of `reward_functions`, in their order."""
    return list(_weighted(config).values())


def _weighted(config: RewardConfig) -> dict[str, float]:
    plain = {"accuracy": config.accuracy, "format": config.format, "tool": config.tool}
    more = {"geometry": config.geometry, "search": -config.search}
    return {**plain, **{name: weight for name, weight in more.items() if weight}}


def judged_all(
    completions: Sequence[Any],
    completion_ids: Sequence[Sequence[int]],
    environments: Sequence[ZoomRollout],
    stop_ids: Collection[int],
) -> list[Reward]:
    """The rewards of finished rollouts. A reply whose last token does not end a turn was cut."""
    return [
        rollout._finished(last_words(completion), not ids or ids[-1] not in stop_ids).reward()
        for rollout, completion, ids in zip(environments, completions, completion_ids, strict=True)
    ]
