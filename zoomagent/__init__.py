"""zoomagent: make vision-language models look closer before they answer, and know how sure they are.

    from zoomagent import ZoomAgent

    ZoomAgent().ask("photo.jpg", "What is written on the red sign?").text

Names are imported when they are first used, so that `import zoomagent` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoomagent.agent import ZoomAgent
    from zoomagent.answer import Answer, Candidate, Cost, Evidence, Outcome, Step
    from zoomagent.errors import RunError, ToolError, ZoomAgentError
    from zoomagent.graphs.context import Budget
    from zoomagent.media import open_picture
    from zoomagent.models.loading import load_model

_HOMES = {
    "ZoomAgent": "zoomagent.agent",
    "Answer": "zoomagent.answer",
    "Candidate": "zoomagent.answer",
    "Cost": "zoomagent.answer",
    "Evidence": "zoomagent.answer",
    "Outcome": "zoomagent.answer",
    "Step": "zoomagent.answer",
    "RunError": "zoomagent.errors",
    "ToolError": "zoomagent.errors",
    "ZoomAgentError": "zoomagent.errors",
    "Budget": "zoomagent.graphs.context",
    "open_picture": "zoomagent.media",
    "load_model": "zoomagent.models.loading",
}

__all__ = [
    "Answer",
    "Budget",
    "Candidate",
    "Cost",
    "Evidence",
    "Outcome",
    "RunError",
    "Step",
    "ToolError",
    "ZoomAgent",
    "ZoomAgentError",
    "load_model",
    "open_picture",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
