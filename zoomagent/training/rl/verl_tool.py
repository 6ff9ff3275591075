"""The zoom tool as verl 0.9 loads it by path (`zoomagent.training.rl.verl_tool.ZoomTool`). Importing this needs verl.

Left out: everything but the glue (`verl_core.py`).
"""

import json
from functools import lru_cache
from typing import Any
from uuid import uuid4

from verl.tools.base_tool import BaseTool
from verl.tools.schemas import ToolResponse

from zoomagent.training.rl.verl_core import Sessions, config_from


@lru_cache
def sessions(config: str) -> Sessions:
    """The sessions of a worker: all tools of one config see the same trajectories."""
    return Sessions(config_from(json.loads(config)))


class ZoomTool(BaseTool):  # type: ignore[misc]
    """One of our tools; verl makes one object per tool and worker."""

    def __init__(self, config: dict[str, Any], tool_schema: Any) -> None:
        super().__init__(config, tool_schema)
        self._sessions = sessions(json.dumps(dict(config), sort_keys=True))
        self._rows: dict[str, Any] = {}

    async def create(self, instance_id: str | None = None, **kwargs: Any) -> tuple[str, Any]:
        name = instance_id or str(uuid4())
        self._rows[name] = json.loads(kwargs["create_kwargs"]["row"])
        return name, ToolResponse()

    async def execute(
        self, instance_id: str, parameters: dict[str, Any], **kwargs: Any
    ) -> tuple[Any, float, dict[str, Any]]:
        seen = self._sessions.call(kwargs["agent_data"], self._rows[instance_id], self.name, parameters)
        images = {"image": list(seen.images)} if seen.images else {}
        return ToolResponse(text=seen.text, **images), 0.0, {"zoom_refused": float(not seen.ok)}

    async def release(self, instance_id: str, **kwargs: Any) -> None:
        self._rows.pop(instance_id, None)
