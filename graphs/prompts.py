"""The words the model is asked with. Training, benches and graphs all take them from here, so they can not drift apart.

DualFocus' three turns (systems: DualFocus eval scripts, macro / box / micro) with two additions of ours: the box turn
names the coordinate space, and answers may be "Cannot tell".
"""

from collections.abc import Sequence

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.geometry import Space

SHORT = f"Answer with a single word or phrase, or {CANNOT_TELL}."
LETTER = "Answer with the option's letter from the given choices directly."
BOX = "Please provide the bounding box coordinate of the region this question asks: "
MICRO = "Please combine the information from these two images and answer this question: "
VISIBLE = "Can the answer to this question be seen here? Answer Yes or No. "

BOX_FORMAT: dict[Space, str] = {
    "pixels": "Reply [x1, y1, x2, y2] in pixels.",
    "unit": "Reply [x1, y1, x2, y2], each from 0 to 1.",
    "thousand": "Reply [x1, y1, x2, y2], each from 0 to 1000.",
    "square": "Reply [x1, y1, x2, y2], each from 0 to 1.",
}


def macro_prompt(question: str, options: Sequence[str] = ()) -> str:
    """Ask about the whole picture; the image comes before this text."""
    return f"{with_options(question, options)}\n{LETTER if options else SHORT}"


def box_prompt(question: str, space: Space) -> str:
    """Ask where to look. DualFocus leaves options out of this turn."""
    return f"{BOX}{question}\n{BOX_FORMAT[space]}"


def micro_prompt(question: str, options: Sequence[str] = ()) -> str:
    """Ask again with the crop as second image, in the same dialogue as the box turn."""
    return f"{MICRO}{macro_prompt(question, options)}"


def with_options(question: str, options: Sequence[str]) -> str:
    """The question with its options as lines `A. text`."""
    return "\n".join([question, *(f"{chr(65 + i)}. {option}" for i, option in enumerate(options))])
