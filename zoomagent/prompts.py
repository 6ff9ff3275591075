"""The words the model is asked with. Training, benches and graphs all take them from here, so they cannot drift apart.

DualFocus' three turns (systems: DualFocus eval scripts, macro / box / micro) with two additions of ours: the box turn
names the coordinate space, and answers may be "Cannot tell". The rest serves the other policies: yes/no questions for
search and checks (in the spirit of ZoomEye's existence, latent and answering prompts), one question whose single-digit
answers score nine regions in one call (ours), what to look for, where a named thing is, and several crops at once.
"""

from collections.abc import Sequence
from typing import Literal

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.geometry import Space

SHORT = f"Answer with a single word or phrase, or {CANNOT_TELL}."
LETTER = "Answer with the option's letter from the given choices directly."
BOX = "Please provide the bounding box coordinate of the region this question asks: "
MICRO = "Please combine the information from these two images and answer this question: "
VISIBLE = "Can the answer to this question be seen here? Answer Yes or No. "
SEE = "Can you see this in the picture? Answer Yes or No. "
CLOSER = "Could this be found in the picture by looking closer? Answer Yes or No. "
HOLDS = "Is this answer to the question right? Answer Yes or No. "
CUES = "Which objects must be seen to answer this question? Name them, separated by commas, or say whole picture. "
GROUND = "Please provide the bounding box coordinate of the region this sentence describes: "
PARTS = (
    "The picture is divided into 3 by 3 parts, numbered from 1 to 9, row by row. "
    "Which part shows this? Answer with its number, or 0 if none does. "
)
EVERY = "Please provide the bounding box coordinates of every region this sentence describes: "
SEARCHED = "The whole picture was searched part by part for things of at least "
FOUND = " pixels. Found: "
TAGS = "Which objects are in the picture? Name them, separated by commas."
DESCRIBE = "Please describe the image and include the object positions in [x0, y0, x1, y1] format."
"""GroundingGPT's cue for words with boxes in them."""
PLAIN_DESCRIPTION = "Please describe the image."
DESCRIBE_JSON = (
    "Describe what the image shows as JSON, one object for each thing: "
    '[{"bbox_2d": [x1, y1, x2, y2], "label": "the thing in a few words"}, ...].'
)
"""The same in the form that Qwen's models write."""
TAGGED = "According to {hint}, you are allowed to use or partially use the following tags: [{tags}]. "
UNHINTED = "You are allowed to use or partially use the following tags: [{tags}]. "
MARKED = "The first of these pictures is the whole, with boxes where the others were cut from. "
SPECTROGRAM = (
    "This picture is the spectrogram of a sound. Time goes from left to right, and on in the next row where there are "
    "several. Low notes are below, high ones above; what is loud is bright. "
)
"""What stands before every picture of a sound: to see something is to see it there."""
HEAR = "Can you hear this in the sound? Answer Yes or No. "
HEARD = "The sound itself follows the picture. "
"""What is added for a model that hears."""
SOURCE = "The picture after it shows what is to be seen while this sounds. "
"""What joins the spectrogram of a clip's sound and its frame."""
WHOLE_PICTURE = "whole picture"
"""What `CUES` is answered with when no object in particular decides."""

BOX_FORMAT: dict[Space, str] = {
    "pixels": "Reply [x1, y1, x2, y2] in pixels.",
    "unit": "Reply [x1, y1, x2, y2], each from 0 to 1.",
    "thousand": "Reply [x1, y1, x2, y2], each from 0 to 1000.",
    "square": "Reply [x1, y1, x2, y2], each from 0 to 1.",
    "thousand-yx": "Reply [y1, x1, y2, x2], each from 0 to 1000.",
}


DESCRIBE_SCALE: dict[Space, str] = {
    "pixels": "Write boxes in pixels.",
    "unit": "Write each number of a box from 0 to 1.",
    "thousand": "Write each number of a box from 0 to 1000.",
    "square": "Write each number of a box from 0 to 1.",
    "thousand-yx": "Write boxes as [y1, x1, y2, x2], each number from 0 to 1000.",
}


EVERY_FORMAT: dict[Space, str] = {
    "pixels": "Reply [[x1, y1, x2, y2], ...] in pixels, or [] if there is none.",
    "unit": "Reply [[x1, y1, x2, y2], ...], each from 0 to 1, or [] if there is none.",
    "thousand": "Reply [[x1, y1, x2, y2], ...], each from 0 to 1000, or [] if there is none.",
    "square": "Reply [[x1, y1, x2, y2], ...], each from 0 to 1, or [] if there is none.",
}


def macro_prompt(question: str, options: Sequence[str] = ()) -> str:
    """Ask about the whole picture; the image comes before this text."""
    return f"{with_options(question, options)}\n{LETTER if options else SHORT}"


def timed(time: int) -> str:
    """What stands before a frame of a clip that is shown by itself: as Qwen3-VL's processor writes it for a video."""
    return f"<{time / 1000:.1f} seconds>"


def clip_words(count: int, shown: Sequence[float], whole: Sequence[float], units: str) -> str:
    """What stands before a question about a clip whose tools take its times."""
    frames = f"the frame at {shown[0]}" if count == 1 else f"{count} frames, row by row, of the segment {list(shown)}"
    return f"The image shows {frames} of a video that lasts from {whole[0]} to {whole[1]} ({units}). "


def box_prompt(question: str, space: Space) -> str:
    """Ask where to look. DualFocus leaves options out of this turn."""
    return f"{BOX}{question}\n{BOX_FORMAT[space]}"


def micro_prompt(question: str, options: Sequence[str] = ()) -> str:
    """Ask again with the crop as second image, in the same dialogue as the box turn."""
    return f"{MICRO}{macro_prompt(question, options)}"


def with_options(question: str, options: Sequence[str]) -> str:
    """The question with its options as lines `A. text`."""
    return "\n".join([question, *(f"{chr(65 + i)}. {option}" for i, option in enumerate(options))])


def ground_prompt(phrase: str, space: Space) -> str:
    """Ask where the thing named is (the referring-expression prompt of LLaVA-1.5's data)."""
    return f"{GROUND}{phrase}\n{BOX_FORMAT[space]}"


def holds_prompt(question: str, answer: str) -> str:
    """Ask whether an answer is right."""
    return f"{HOLDS}{question} {answer}"


def several_prompt(question: str, options: Sequence[str] = ()) -> str:
    """Ask again with the marked whole and several crops."""
    return f"{MARKED}{micro_prompt(question, options)}"


def describe_prompt(form: Literal["phrase", "json"], space: Space) -> str:
    """Ask for a description whose phrases carry boxes."""
    return f"{DESCRIBE if form == 'phrase' else DESCRIBE_JSON}\n{DESCRIBE_SCALE[space]}"


def every_prompt(phrase: str, space: Space) -> str:
    """Ask where all the things named are."""
    return f"{EVERY}{phrase}\n{EVERY_FORMAT[space]}"


def searched_prompt(question: str, found: Sequence[tuple[str, int]], pixels: int, options: Sequence[str] = ()) -> str:
    """Ask about the whole picture again, with what a search of all its parts found: names and how many of each, down
    to things of `pixels` original pixels."""
    listed = ", ".join(f"{name} {count}" for name, count in found)
    return f"{SEARCHED}{pixels}{FOUND}{listed}.\n{macro_prompt(question, options)}"
