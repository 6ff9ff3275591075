"""The small red sign of `sign_model.py` behind a scripted server: readable only up close, whatever the server can do.

    server = SignServer(KINDS["llama.cpp"])

It is as sure of "Cannot tell" from the whole as of the sign's words from a crop: likelihoods of two dialogues say
nothing about which is right. What it scores in one dialogue is true to the pixels.
"""

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from fake_server import FakeServer, Guise, Seen, flat, images_of, pieces, text_of
from PIL import Image

from zoomagent import prompts
from zoomagent.models.profiles import UNKNOWN, Profile, override
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.retrying import RetryPolicy

SAID = "Exit 12"
LIMITS = {"multiple": 32, "min_side": 32, "min_pixels": 64 * 64, "max_pixels": 256 * 256}
PROFILE: Profile = override(UNKNOWN, {"family": "fake", **LIMITS, "max_images": 8})


PROMPTS = (prompts.CUES, prompts.GROUND, prompts.BOX, prompts.SEE, prompts.PARTS, prompts.MICRO)


class SignServer(FakeServer):
    def __init__(self, guise: Guise, said: str = SAID) -> None:
        super().__init__(self._reply, guise)
        self.said = said

    def model(self) -> OpenAIModel:
        retries = RetryPolicy(attempts=2, first_wait=0.001)
        return OpenAIModel(
            "http://fake/v1", self.guise.name, profile=PROFILE, transport=self.transport(), retries=retries
        )

    def _reply(self, seen: Seen) -> str:
        asked = max(PROMPTS, key=seen.text.rfind) if any(prompt in seen.text for prompt in PROMPTS) else ""
        if asked == prompts.CUES:
            return "red sign"
        if asked in (prompts.GROUND, prompts.BOX):
            return _pointed(seen.images[-1])
        if asked == prompts.SEE:
            return "Yes" if _red(seen.images[-1]).any() else "No"
        if asked == prompts.PARTS:
            shares = _parts(seen.images[-1])
            return str(shares.index(max(shares)))
        if len(seen.images) == 1 and (seen.tools or "# Tools" in seen.text):
            box = json.loads(_around(seen.images[-1]))
            call = {"name": "image_zoom_in_tool", "arguments": {"img_idx": 0, "bbox_2d": box, "label": "red sign"}}
            return f"<tool_call>\n{json.dumps(call)}\n</tool_call>"
        return self.said if any(_close(image) for image in seen.images) else "Cannot tell"

    def _completion(self, request: dict[str, Any]) -> dict[str, Any]:
        body = super()._completion(request)
        if "prompt_logprobs" in body:
            body["prompt_logprobs"] = self._given(request)
        return body

    def _choice(self, index: int, text: str, request: dict[str, Any]) -> dict[str, Any]:
        made = super()._choice(index, text, request)
        logprobs = made["logprobs"]
        if logprobs:
            surely = 0.0 if text == "Cannot tell" else -0.002
            for entry in logprobs["content"]:
                entry["logprob"] = surely
            if request.get("top_logprobs"):
                listed = sorted(self._first_tokens(request).items(), key=lambda item: -item[1])
                logprobs["content"][0] = {"token": listed[0][0], "logprob": listed[0][1], "bytes": None}
                logprobs["content"][0]["top_logprobs"] = [
                    {"token": token, "logprob": value, "bytes": None}
                    for token, value in listed[: request["top_logprobs"]]
                ]
        return made

    def _first_tokens(self, request: dict[str, Any]) -> dict[str, float]:
        last, image = flat(request["messages"][-1]["content"]), images_of(request)[-1]
        if prompts.PARTS in last:
            return {str(part): share for part, share in enumerate(_parts(image))}
        yes = bool(_red(image).any())
        return {"Yes": -0.1 if yes else -3.0, "No": -3.0 if yes else -0.1, "Maybe": -5.0}

    def _given(self, request: dict[str, Any]) -> list[dict[str, Any] | None]:
        """What the last turn is worth: its words are likely where they are true by the views before them."""
        *_, last = request["messages"]
        words, before = flat(last["content"]), {"messages": request["messages"][:-1]}
        tokens = pieces(words)
        if words in ("Yes", "No") or words.isdigit():
            worth = self._first_tokens(before).get(words, -9.0)
        else:
            close = any(_close(image) for image in images_of(request))
            worth = -0.1 if close == (words == self.said) else -6.0
        rendered = pieces(text_of(before)) + tokens
        return [
            None,
            *({"1": {"logprob": worth if i >= len(rendered) - len(tokens) else -1.0, "decoded_token": token}}
              for i, token in enumerate(rendered)),
        ]  # fmt: skip


def _red(image: Image.Image) -> npt.NDArray[np.bool_]:
    pixels = np.asarray(image.convert("RGB")).astype(int)
    return np.asarray((pixels[..., 0] > 150) & (pixels[..., 1] < 80))


def _close(image: Image.Image) -> bool:
    """Whether the sign fills enough of a view to be read."""
    return bool(_red(image).mean() > 0.05)


def _parts(image: Image.Image) -> list[float]:
    """Log-probabilities that the sign is not here, and that it is in part 1 to 9."""
    red = _red(image)
    here = 0.95 if red.mean() > 0.05 else 0.6 if red.any() else 0.02
    sums = [part.sum() for row in np.array_split(red, 3) for part in np.array_split(row, 3, axis=1)]
    total = sum(sums) + 9e-6
    return [math.log(1 - here), *(math.log(here * (part + 1e-6) / total) for part in sums)]


def _pointed(image: Image.Image) -> str:
    """Where the sign is, in thousandths; nothing where there is none."""
    red = _red(image)
    if not red.any():
        return "[]"
    rows, columns = np.where(red.any(axis=1))[0], np.where(red.any(axis=0))[0]
    corners = (columns[0] / red.shape[1], rows[0] / red.shape[0])
    opposite = ((columns[-1] + 1) / red.shape[1], (rows[-1] + 1) / red.shape[0])
    return str([round(1000 * share) for share in (*corners, *opposite)])


def _around(image: Image.Image) -> str:
    left, top, right, bottom = json.loads(_pointed(image))
    return str([max(0, left - 30), max(0, top - 30), min(1000, right + 30), min(1000, bottom + 30)])
