"""A scripted model and its picture: a small red sign on a plain ground, found by a zoom inside a zoom.

    model = sign_model()                 # reads "Exit 12" in a crop, "Cannot tell" in the whole
    image = sign_picture()

The model looks at the pixels it is shown, for nothing but red: it points at the sign where that fills a twentieth of
the view, and tells in which ninth of a view it lies. So the agent must search, and every likelihood is known.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from fake_model import Call, FakeModel, Scripted
from PIL import Image, ImageDraw
from truthful_model import last_text

from zoomagent import prompts
from zoomagent.models.base import Pixels
from zoomagent.models.profiles import Profile
from zoomagent.tools.searching import DIGITS
from zoomagent.tools.verifying import YES_NO

SIGN, GROUND, RED = (1200, 800, 1440, 960), (90, 110, 90), (250, 10, 10)
PROFILE = Profile(
    family="fake", space="thousand", multiple=32, min_pixels=64 * 64, max_pixels=256 * 256, source="tests"
)


def sign_picture(size: tuple[int, int] = (2400, 1600)) -> Image.Image:
    """A plain picture of 2400 by 1600 pixels with the sign in it, or the same at another size."""
    picture = Image.new("RGB", (2400, 1600), GROUND)
    ImageDraw.Draw(picture).rectangle((SIGN[0], SIGN[1], SIGN[2] - 1, SIGN[3] - 1), fill=RED)
    return picture.resize(size) if size != picture.size else picture


def sign_model(micro: str = "Exit 12", thing: str = "red sign") -> FakeModel:
    """The model; `micro` is what it reads up close, `thing` what it says must be seen."""
    return FakeModel(profile=PROFILE, respond=_replies(micro, thing), respond_score=_scores)


def _replies(micro: str, thing: str) -> Callable[[Call], Scripted]:
    def respond(call: Call) -> Scripted:
        last = last_text(call)
        if last.startswith(prompts.CUES):
            return thing
        if last.startswith((prompts.GROUND, prompts.BOX)):
            return _pointed(call.views[-1])
        return micro if len(call.views) > 1 else "Cannot tell"

    return respond


def _scores(call: Call) -> list[float]:
    said = call.options["continuations"]
    if tuple(said) == DIGITS:
        return _parts(call.views[-1])
    if tuple(said) == YES_NO:
        return [-0.1, -3.0] if _red(call.views[-1]).any() else [-3.0, -0.1]
    close = any(_red(view).mean() > 0.05 for view in call.views)
    return [-0.1 if close and text != "Cannot tell" else -6.0 for text in said]


def _parts(view: Pixels) -> list[float]:
    """Log-probabilities that the sign is not here, and that it is in part 1 to 9."""
    red = _red(view)
    here = 0.95 if red.mean() > 0.05 else 0.6 if red.any() else 0.02
    parts = [part.sum() for row in np.array_split(red, 3) for part in np.array_split(row, 3, axis=1)]
    shares = [(part + 1e-6) / (sum(parts) + 9e-6) for part in parts]
    return [math.log(1 - here), *(math.log(here * share) for share in shares)]


def _pointed(view: Pixels) -> str:
    red = _red(view)
    if red.mean() <= 0.05:
        return "[]"
    rows, columns = np.where(red.any(axis=1))[0], np.where(red.any(axis=0))[0]
    corners = (columns[0] / red.shape[1], rows[0] / red.shape[0])
    opposite = ((columns[-1] + 1) / red.shape[1], (rows[-1] + 1) / red.shape[0])
    return str([round(1000 * share) for share in (*corners, *opposite)])


def _red(view: Pixels) -> npt.NDArray[np.bool_]:
    pixels = np.asarray(view.image)
    return np.asarray((pixels[..., 0] > 150) & (pixels[..., 1] < 80))
