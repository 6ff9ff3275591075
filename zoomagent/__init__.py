"""zoomagent: make vision-language models look closer before they answer, and know how sure they are.

    from zoomagent import ZoomAgent

    ZoomAgent("http://localhost:8000/v1").ask("photo.jpg", "What is written on the red sign?").text

Everything that users need is a name of this package; where it lives inside may change. Names are imported when they are
first used, so that `import zoomagent` costs nothing. The nodes of the graph are in `zoomagent.nodes`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from zoomagent.agent import Item, ZoomAgent
    from zoomagent.answer import Answer
    from zoomagent.errors import (
        FetchRefused,
        InputRefused,
        RunError,
        ServerError,
        SettingInvalid,
        StoreError,
        ToolError,
        ZoomAgentError,
    )
    from zoomagent.geometry import Box, Size, whole
    from zoomagent.graphs.context import Bench, Budget, Context
    from zoomagent.graphs.zoom import graph as zoom_graph
    from zoomagent.media import (
        Limits,
        Picture,
        Sound,
        SoundLimits,
        UrlRules,
        Video,
        VideoLimits,
        open_media,
        open_picture,
        open_sound,
        open_video,
    )
    from zoomagent.models.base import Model
    from zoomagent.models.loading import load_model
    from zoomagent.models.profiles import Profile, profile_for
    from zoomagent.moments import Moment
    from zoomagent.plugins.langchain import ZoomTool, all_tools
    from zoomagent.plugins.offers.inputs import Allowed, named_opener, picture_opener
    from zoomagent.plugins.offers.offering import Opener, Told, answer_told, looking
    from zoomagent.plugins.offers.offers import AnswerAboutImage, read_offer, tool_schemas
    from zoomagent.run_record import (
        Candidate,
        Check,
        Cost,
        Evidence,
        Looked,
        Outcome,
        PictureInfo,
        Region,
        Search,
        SheetInfo,
        Span,
        Step,
    )
    from zoomagent.strategy import Rule, Strategy
    from zoomagent.tools.cropping import crop
    from zoomagent.tools.grounding import ground
    from zoomagent.tools.lines import Line
    from zoomagent.tools.reader import ReaderModels
    from zoomagent.tools.reading import PictureText, read, read_text
    from zoomagent.tools.searching import search
    from zoomagent.tools.verifying import sees
    from zoomagent.tools.zooming import zoom

_HOMES = {
    "agent": (
        "Item",
        "ZoomAgent",
    ),
    "answer": ("Answer",),
    "run_record": (
        "Candidate",
        "Check",
        "Cost",
        "Evidence",
        "Looked",
        "Outcome",
        "PictureInfo",
        "Region",
        "Search",
        "SheetInfo",
        "Span",
        "Step",
    ),
    "errors": (
        "FetchRefused",
        "InputRefused",
        "RunError",
        "ServerError",
        "SettingInvalid",
        "StoreError",
        "ToolError",
        "ZoomAgentError",
    ),
    "geometry": (
        "Box",
        "Size",
        "whole",
    ),
    "graphs.context": (
        "Bench",
        "Budget",
        "Context",
    ),
    "media": (
        "Limits",
        "Picture",
        "Sound",
        "SoundLimits",
        "UrlRules",
        "Video",
        "VideoLimits",
        "open_media",
        "open_picture",
        "open_sound",
        "open_video",
    ),
    "moments": ("Moment",),
    "models.base": ("Model",),
    "models.loading": ("load_model",),
    "models.profiles": (
        "Profile",
        "profile_for",
    ),
    "plugins.offers.inputs": (
        "Allowed",
        "named_opener",
        "picture_opener",
    ),
    "plugins.langchain": (
        "ZoomTool",
        "all_tools",
    ),
    "plugins.offers.offering": (
        "Opener",
        "Told",
        "answer_told",
        "looking",
    ),
    "plugins.offers.offers": (
        "AnswerAboutImage",
        "read_offer",
        "tool_schemas",
    ),
    "strategy": (
        "Rule",
        "Strategy",
    ),
    "tools.cropping": ("crop",),
    "tools.grounding": ("ground",),
    "tools.lines": ("Line",),
    "tools.reader": ("ReaderModels",),
    "tools.reading": (
        "PictureText",
        "read",
        "read_text",
    ),
    "tools.searching": ("search",),
    "tools.verifying": ("sees",),
    "tools.zooming": ("zoom",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Allowed",
    "Answer",
    "AnswerAboutImage",
    "Bench",
    "Box",
    "Budget",
    "Candidate",
    "Check",
    "Context",
    "Cost",
    "Evidence",
    "FetchRefused",
    "InputRefused",
    "Item",
    "Limits",
    "Line",
    "Looked",
    "Model",
    "Moment",
    "Opener",
    "Outcome",
    "Picture",
    "PictureInfo",
    "PictureText",
    "Profile",
    "ReaderModels",
    "Region",
    "Rule",
    "RunError",
    "Search",
    "ServerError",
    "SettingInvalid",
    "SheetInfo",
    "Size",
    "Sound",
    "SoundLimits",
    "Span",
    "Step",
    "StoreError",
    "Strategy",
    "Told",
    "ToolError",
    "UrlRules",
    "Video",
    "VideoLimits",
    "ZoomAgent",
    "ZoomAgentError",
    "ZoomTool",
    "__version__",
    "all_tools",
    "answer_told",
    "crop",
    "ground",
    "load_model",
    "looking",
    "named_opener",
    "open_media",
    "open_picture",
    "open_sound",
    "open_video",
    "picture_opener",
    "profile_for",
    "read",
    "read_offer",
    "read_text",
    "search",
    "sees",
    "tool_schemas",
    "whole",
    "zoom",
    "zoom_graph",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("zoomagent")
    if name == "zoom_graph":
        return import_module("zoomagent.graphs.zoom").graph
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"zoomagent.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
