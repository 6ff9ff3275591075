"""What verl needs of ZoomEnv, free of verl: a session per trajectory, a reward function, rows in its format.

verl creates and releases a tool for every single call; what lasts as long as a trajectory is the object it hands to
`execute`, so sessions hang on that. What a session came to is written into the trajectory's extra fields as plain
values, which verl passes on to the reward function. Left out: verl itself (`verl_tool.py`) and its settings
(`examples/verl`). Tried without verl only: see docs/reinforcement.md.
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from zoomagent.errors import SettingInvalid
from zoomagent.geometry import Box, Size
from zoomagent.models.profiles import profile_for
from zoomagent.training.rl.environment import EnvConfig, Row, Seen, ZoomEnv
from zoomagent.training.rl.rewards import BOX, GAP, RewardConfig, Rollout, judge

SOURCE = "zoomagent"
STAGES: dict[str, RewardConfig] = {"gap": GAP, "box": BOX}
RESULT = "</tool_response>"
ANSWER = "assistant\n"
"""What is left of a turn's header when verl decodes a response without its special tokens."""


def config_from(settings: Mapping[str, Any]) -> EnvConfig:
    """The `config` of a tool in verl's YAML: `model` (a name that a profile is known for), `images`, `tools`."""
    missing = [name for name in ("model", "images", "tools") if name not in settings]
    if missing:
        raise SettingInvalid(f"The tool's config lacks {', '.join(missing)}. See examples/verl/tools.yaml.")
    return EnvConfig(profile_for(settings["model"], {}), Path(settings["images"]), tuple(settings["tools"]))


class Sessions:
    """One ZoomEnv per trajectory, for as long as the trajectory lives."""

    def __init__(self, config: EnvConfig) -> None:
        self.config = config
        self._sessions: WeakKeyDictionary[Any, ZoomEnv] = WeakKeyDictionary()

    def call(self, trajectory: Any, row: Row, name: str, arguments: Mapping[str, Any]) -> Seen:
        """Run a call of a trajectory, an object with a dictionary `extra_fields`."""
        if trajectory not in self._sessions:
            self._sessions[trajectory] = ZoomEnv(self.config)
            self._sessions[trajectory].reset(row)
        env = self._sessions[trajectory]
        seen = env.call(name, arguments)
        rollout = env.rollout()
        looks, found = ([box.as_list() for box in boxes] for boxes in (rollout.looks, rollout.found))
        kept = {"looks": looks, "found": found, "searches": rollout.searches, "refused": rollout.refused}
        trajectory.extra_fields["zoom"] = kept
        return seen


def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any], *, stage: str = "gap"
) -> dict[str, float]:
    """verl's custom reward function: the total as `score`, and every part by its name."""
    if data_source != SOURCE:
        raise SettingInvalid(f"This rewards rows of {SOURCE!r}, not of {data_source!r}.")
    nothing: dict[str, Any] = {"looks": [], "found": [], "searches": 0, "refused": 0}
    row, zoom = json.loads(extra_info["row"]), extra_info.get("zoom") or nothing
    rollout = Rollout(
        reply=last_words(solution_str),
        answer=ground_truth,
        options=tuple(row["options"]),
        looks=tuple(Box(*box) for box in zoom["looks"]),
        nested=tuple(Box(*box) for box in row["nested"]),
        picture=Size(row["width"], row["height"]),
        searches=zoom["searches"],
        found=tuple(Box(*box) for box in zoom["found"]),
        refused=zoom["refused"],
    )
    parts = vars(judge(rollout, STAGES[stage]))
    return {"score": parts["total"], **{name: value for name, value in parts.items() if name != "total"}}


def last_words(response: str) -> str:
    """The model's last turn in a decoded response, which holds the tools' results too."""
    after = response.rpartition(RESULT)
    return (after[2].rpartition(ANSWER)[2] if after[1] else response).strip()


def to_verl(row: Row, config: EnvConfig) -> dict[str, Any]:
    """The row as verl's dataset takes it: the prompt with its picture as first shown, and what the tool is made of."""
    [opening] = ZoomEnv(config).reset(row)
    image, text = opening["content"]
    file = io.BytesIO()
    image["image"].save(file, "PNG")
    told = json.dumps({name: value for name, value in row.items() if name not in ("messages", "provenance", "views")})
    kwargs = {name: {"create_kwargs": {"row": told}} for name in config.offered}
    return {
        "data_source": SOURCE,
        "agent_name": "tool_agent",
        "prompt": [{"role": "user", "content": f"<image>{text['text']}"}],
        "images": [{"bytes": file.getvalue()}],
        "reward_model": {"style": "rule", "ground_truth": row["answer"]},
        "extra_info": {"row": told, "need_tools_kwargs": True, "tools_kwargs": kwargs},
    }
