"""Which models take pictures, as far as their name, their family or what a server lists of them can tell.

    sight_of({"id": "Qwen/Qwen3-VL-8B-Instruct"})       # "yes"
    sight_of({"id": "qwen3:8b"})                        # "no": its family has others for pictures
    sight_of({"id": "my-model"})                        # "unknown": ask the doctor

Pure. Left out: finding out by asking (`doctor.py`).
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from zoomagent.models.profiles import UNKNOWN, profile_for

Sight = Literal["yes", "no", "unknown"]

# Rules of whole parts of a name, as for families (`profiles.py`). What takes pictures goes first: many of these names
# hold that of a model that reads text only.
_SEES = re.compile(
    r"(?:^|-)(?:vl\d*|vlm\d*|vision|visual|multimodal|omni|image|llava|bakllava|nanollava|pixtral|moondream\d*|smolvlm\d*|"
    r"idefics\d*|paligemma\d*|florence|molmo\d*|cogvlm\d*|ovis\d*|aria|fuyu|internvl\d*|llama-4|gemma-?3n?|gemma-?4|"
    r"mistral-small-?3-[12]|mistral-large-3|ministral-3|magistral-small-2509|gpt-4o|gpt-4-1|gpt-5|o3|o4-mini|claude|"
    r"gemini|\w*ocr\d*|\w*docling|phi-3-5-vision|phi-4-multimodal|kimi-vl|step3|glm-4-[1-9]v)(?=-|$|b\b)"
)
_READS = re.compile(
    r"(?:^|-)(?:embed|embedding|embeddings|bge|e5|rerank|reranker|whisper|tts|coder|code|codellama|codestral|math|guard|"
    r"qwen-?[123]?(?:-5)?|qwq|llama-?[23](?:-[123])?|mistral(?:-nemo)?|mixtral|gpt-oss|deepseek|phi-?[234]|"
    r"gemma-?2?|glm-4|falcon|olmo\d*|granite|nomic|tinyllama|vicuna|yi|starcoder\d*|smollm\d*)(?=-|$|\d)"
)
_RANKS = re.compile(r"(?:^|-)(?:embed(?:ding|dings)?|rerank(?:er)?)(?=-|$)")
"""Whatever goes in, no answer comes out."""
_TEXT_SIZES = re.compile(r"(?:^|-)gemma-?3-(?:1b|270m)(?=-|$)")
"""Sizes of a family that sees, which do not."""


def sight_of(listed: Mapping[str, Any]) -> Sight:
    """Whether a model that a server lists takes pictures. What the server says of it goes before its name."""
    # llama.cpp lists `capabilities` ("multimodal"), Mistral the same as an object (`vision`).
    capabilities = listed.get("capabilities")
    if isinstance(capabilities, Mapping) and isinstance(capabilities.get("vision"), bool):
        return "yes" if capabilities["vision"] else "no"
    if isinstance(capabilities, list) and capabilities:
        return "yes" if {"multimodal", "vision"} & set(map(str, capabilities)) else "no"
    # OpenRouter and others list `architecture.input_modalities`.
    architecture = listed.get("architecture")
    kinds = architecture.get("input_modalities") if isinstance(architecture, Mapping) else None
    if isinstance(kinds, list) and kinds:
        return "yes" if "image" in kinds else "no"
    for key in ("id", "root", "parent"):
        name = re.sub(r"[_.:/\\]", "-", str(listed.get(key) or "").lower())
        if not name:
            continue
        if _TEXT_SIZES.search(name) or _RANKS.search(name):
            return "no"
        if profile_for(str(listed[key]), {}) != UNKNOWN or _SEES.search(name):
            return "yes"
        if _READS.search(name):
            return "no"
    return "unknown"
