"""Kinds of `hostile.py` that cost much for their bytes: floods of blanks, of values, of characters that grow; headers
that name codecs; states that clients of a graph server write; cards of training data."""

import asyncio
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from hostile_case import ODD, Case, spoiled, times, written

from zoomagent.confidence.replies import read, read_published
from zoomagent.data.trajectories.card import read_card
from zoomagent.errors import ServerError, ToolArgsInvalid, ZoomAgentError
from zoomagent.graphs.checking import check_state
from zoomagent.models.base import Message, Text
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.retrying import RetryPolicy
from zoomagent.models.words.unwrapping import listed
from zoomagent.plugins.offers.offers import read_offer
from zoomagent.plugins.openai.request import read_request

FLOODS, CODECS, STATES, CARDS = 400, 400, 2000, 1000
UNITS = ("\n", " ", ".\n", " \n", "\t", "`", "\ufdfa", "\u200b", "A\n", "** ", "{", "1,", "'d ", "<answer>", "\\boxed{")
CODEC = (
    *("idna", "undefined", "rot13", "base64", "uu", "zlib", "bz2", "quopri", "hex", "punycode", "unicode_escape"),
    *("utf-16", "mbcs", "x", "\xff"),
)


def flood_cases(scale: float) -> Iterator[Case]:
    """Replies of 64 kB and requests of a hundred thousand values are read or refused."""
    for number in times(FLOODS, scale):
        rng = random.Random(f"flood {number}")
        unit = rng.choice(UNITS)
        text = rng.choice(["", "```", "x", "A", "{"]) + unit * (64_000 // len(unit)) + rng.choice(["", "x", "```", "}"])
        yield Case(f"flood of text {number}", partial(_said, text))
        field = rng.choice(["modalities", "messages", "stop", "metadata", "options", "x"])
        items = rng.choice(["[" + "0," * 100_000 + "0]", "[" * 500 + "]" * 500, '{"a":[' + "{}," * 50_000 + "0]}"])
        yield Case(f"flood of values {number}", partial(_flooded, field, items))


def _said(text: str) -> str:
    for reading in (read, read_published):
        reading(text, ["red", "blue"])
        reading(text)
    listed(text)
    return ""


def _flooded(field: str, items: str) -> str:
    body = f'{{"model":"zoomagent","messages":[{{"role":"user","content":"a"}}],"{field}":{items}}}'
    try:
        read_request(body.encode())
        return "a flood was taken"
    except ZoomAgentError:
        pass
    try:
        read_offer("answer_about_image", f'{{"image":"a","question":"q","{field}":{items}}}')
    except ToolArgsInvalid:
        return ""
    return "a flood was taken"


def codec_cases(scale: float) -> Iterator[Case]:
    """Whatever codec an error's header names, the error is the server's."""
    for number in times(CODECS, scale):
        rng = random.Random(f"codec {number}")
        kind = f"{rng.choice(['text/plain', 'application/json'])}; charset={rng.choice(CODEC)}"
        body = rng.choice([b"", b"\xff\xfe", b'{"error": "a"}', rng.randbytes(30)])
        yield Case(f"codec {number}", partial(_refused, kind, body, rng.choice([400, 404, 429, 500, 200])))


def _refused(kind: str, body: bytes, status: int) -> str:
    async def answer(request: httpx2.Request) -> httpx2.Response:
        raw = [(b"content-type", kind.encode("latin-1"))]
        return httpx2.Response(status, headers=raw, stream=httpx2.ByteStream(body), request=request)

    async def ask() -> None:
        transport = httpx2.MockTransport(answer)
        model = OpenAIModel("http://fake/v1", "m", retries=RetryPolicy(attempts=1), transport=transport)
        try:
            await model.generate([Message("user", (Text("What?"),))])
        finally:
            await model.aclose()

    try:
        asyncio.run(ask())
    except ServerError:
        return ""
    return "an answer"


STATE: dict[str, Any] = {
    "image": "a.png",
    "question": "What?",
    "picture": {"id": "p", "width": 100, "height": 80, "notes": []},
    "views": [{"id": "v", "picture": "p", "box": [0, 0, 100, 80], "size": [100, 80], "source": "", "depth": 0}],
    "macro": {"text": "a", "reply": "a", "letter": None, "valid": True, "likelihood": None, "views": ["v"]},
    "messages": [{"id": "m", "dialogue": "macro", "role": "user", "views": ["v"], "text": "q", "cut": False}],
    "steps": [{"id": "s", "name": "look", "text": "t", "views": [], "boxes": [], "seconds": 0.1}],
}


def state_cases(scale: float) -> Iterator[Case]:
    """A state that a client wrote is checked, or refused as what a run may meet."""
    for number in times(STATES, scale):
        rng = random.Random(f"state {number}")
        yield Case(f"state {number}", partial(_checked, spoiled(STATE, rng)))


def _checked(state: Any) -> str:
    try:
        check_state(state)
    except (ValueError, TypeError, RecursionError):
        return ""
    return "" if json.dumps(state) else "no JSON"


def card_cases(scale: float) -> Iterator[Case]:
    """A card of training data names its pictures, or is refused."""
    for number in times(CARDS, scale):
        rng = random.Random(f"card {number}")
        content = written(spoiled({"format": 1, "images": "../pictures", "kinds": {}}, rng), rng)
        if rng.random() < 0.2:
            content = rng.choice(
                [b"", b"{", b"[]", b"\xff\xfe", b"[" * 9000, json.dumps(str(rng.choice(ODD))).encode()]
            )
        yield Case(f"card {number}", partial(_named, content))


def _named(content: bytes) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "card.json"
        file.write_bytes(content)
        try:
            return "" if isinstance(read_card(file)["images"], str) else "no folder"
        except ZoomAgentError:
            return ""


KINDS: dict[str, Callable[[float], Iterator[Case]]] = {
    "floods": flood_cases,
    "codecs": codec_cases,
    "states": state_cases,
    "cards": card_cases,
}
