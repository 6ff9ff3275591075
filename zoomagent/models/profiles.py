"""What a model family expects: coordinate space, patch multiple, pixel and image-count limits, tool dialect.

A profile is data. `fit` turns a view's aspect into the size at which the model's own resize changes nothing, so that
what we think it saw is what it saw. Measured overrides come from `doctor.py`.
"""

from dataclasses import dataclass
from typing import Literal

from zoomagent.geometry import Space


@dataclass(frozen=True)
class Profile:
    """Sizes in pixels of the rendered view. `multiple` is patch size x spatial merge (one visual token's side)."""

    family: str
    space: Space
    multiple: int
    min_pixels: int
    max_pixels: int
    max_aspect: float = 100.0
    min_side: int = 56
    max_side: int = 16384
    max_images: int = 8
    tool_dialect: Literal["openai", "hermes", "none"] = "openai"
    images_in_tool_messages: bool = False
    likelihood_of_reply: bool = True
    likelihood_of_given: bool = True
    source: str = ""
