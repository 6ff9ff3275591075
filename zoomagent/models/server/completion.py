"""Reading the body of a chat completion: strict about what an answer is, lenient about what servers leave out.

    missing id, usage, model, object; null finish reason; empty content  ->  tolerated
    log-probabilities missing, short, null or NaN                        ->  Reply.tokens is None, the text stands
    log-probabilities of -inf or -9999                                   ->  clipped at FLOOR
    {"error": ...} with status 200                                       ->  the error it names
    no choices, no message, content of a wrong type, HTML, torn JSON     ->  BadServerResponse

This is the one place where what a server says is brought into range: every text that leaves here is `storable`, every
count and log-probability has limits, whole numbers of any length are read. Everything takes time in proportion to the
body, which is bounded. Only whole, non-streamed bodies are read: a broken transfer yields no partial text that could
be scored.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import orjson

from zoomagent.errors import BadServerResponse
from zoomagent.models.base import Likelihood, Reply, Token, ToolCall, Usage
from zoomagent.models.server.server_errors import from_status, quotation
from zoomagent.models.words.unwrapping import dialogue_turn, without_thoughts
from zoomagent.text import MAX_TEXT, storable

FLOOR = -100.0
"""The least log-probability we keep; servers write -inf, -9999 or less for "never"."""

MAX_COUNT = 10**9
"""The largest count of tokens that is believed (ours): sums of it stay within every store's numbers."""

MAX_NAME = 200
"""Characters of a model's, a tool's or a call's name that are kept (ours)."""

MAX_CHOICES = 128
"""Choices of one completion that are read: the most that can be asked for."""

MAX_CALLS = 100
"""Tool calls of one reply that are read (ours)."""

_FINISH: dict[str, Literal["stop", "length", "tool_calls", "other"]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}


def read_json(body: bytes) -> dict[str, Any]:
    """The JSON object of a response body. NaN and Infinity, which some servers write, become floats."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        # As Python reads it: NaN, Infinity and half characters too.
        try:
            value = json.loads(body.decode("utf-8"), parse_int=_whole)
        except (ValueError, RecursionError):
            raise BadServerResponse("The server's reply is not JSON. Check that the base URL is its API.") from None
    if not isinstance(value, dict):
        raise BadServerResponse("The server's reply is not a JSON object. Check that the base URL is its API.")
    error = value.get("error")
    if error:
        # Some routers answer 200 with an error inside; its code, when it is an HTTP status, decides.
        code = error.get("code") if isinstance(error, dict) else None
        if isinstance(code, int) and 400 <= code < 600:
            raise from_status(code, {"error": error})
        said = quotation({"error": error}) or "nothing"
        raise BadServerResponse(f"The server answered with an error instead of a reply. It said: {said}")
    return value


def read_replies(body: dict[str, Any], visual_tokens: int) -> list[Reply]:
    """Every choice of a completion."""
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise BadServerResponse("The server's reply holds no choices. Try again, or read the server's log.")
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    counts = (_count(usage, "prompt_tokens"), _count(usage, "completion_tokens") // len(choices), visual_tokens)
    model = body.get("model")
    name = storable(model, MAX_NAME) if isinstance(model, str) else ""
    return [_reply(choice, counts, name) for choice in choices[:MAX_CHOICES]]


def read_usage(body: dict[str, Any]) -> Usage:
    """What the server says that the whole completion took."""
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Usage(_count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))


def read_names(body: dict[str, Any]) -> list[str]:
    """The models that a server lists."""
    return [entry["id"] for entry in read_listed(body)]


def read_listed(body: dict[str, Any]) -> list[dict[str, str]]:
    """What a server says of the models that it lists: the `id` of each, and where it has them the `root` that it is
    served from, the `parent` of an adapter, and `max_model_len`."""
    data = body.get("data")
    items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
    listed = []
    for item in items:
        if isinstance(item.get("id"), str):
            told = {
                key: storable(item[key], MAX_NAME) for key in ("id", "root", "parent") if isinstance(item.get(key), str)
            }
            length = _count(item, "max_model_len")
            listed.append(told | ({"max_model_len": str(length)} if length else {}))
    return listed


def given_likelihood(body: dict[str, Any], continuation: str) -> Likelihood | None:
    """Likelihood of `continuation` from vLLM's `prompt_logprobs`, whose last tokens must spell exactly it.

    Each place lists the prompt's own token first. A tokenizer may put the space before a word into its
    token, so leading white space does not count. Places are read from the end, each once, and at most four for
    each character: tokens of a part of one are empty, and stand before the one that spells it.
    """
    places, wanted = body.get("prompt_logprobs"), continuation.lstrip()
    if not isinstance(places, list) or not wanted:
        return None
    total, left, found = 0.0, len(wanted), 0
    for count, place in enumerate(islice(reversed(places), 4 * len(wanted)), start=1):
        entry = next(iter(place.values()), None) if isinstance(place, dict) else None
        entry = entry if isinstance(entry, dict) else {}
        logprob, text = _clip(entry.get("logprob")), entry.get("decoded_token")
        if left == 0 and text != "":
            break
        if logprob is None or not isinstance(text, str):
            return None
        total, found = total + logprob, count
        if left == 0:
            continue
        inside = text[-left:]
        if not wanted.endswith(inside, 0, left) or text[: len(text) - len(inside)].strip():
            return None
        left -= len(inside)
        if left == 0 and wanted[0].isascii():
            break
    return Likelihood(total, found) if left == 0 else None


def first_token_likelihoods(body: dict[str, Any], continuations: Sequence[str]) -> list[Likelihood] | None:
    """Likelihoods of continuations that are single tokens, from the alternatives of the first generated
    token."""
    logprobs = body["choices"][0].get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = content[0] if isinstance(content, list) and content and isinstance(content[0], dict) else {}
    listed = first.get("top_logprobs")
    known: dict[str, float] = {}
    for entry in [first, *(listed if isinstance(listed, list) else [])]:
        value = _clip(entry.get("logprob")) if isinstance(entry, dict) else None
        if value is not None and isinstance(entry.get("token"), str):
            known.setdefault(entry["token"], value)
    if not all(text in known for text in continuations):
        return None
    return [Likelihood(known[text], 1) for text in continuations]


@dataclass(frozen=True)
class _Piece:
    """A token's bytes and log-probability, as the server gave them."""

    text: str
    raw: bytes
    logprob: float


def _reply(choice: Any, counts: tuple[int, int, int], model: str) -> Reply:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        raise BadServerResponse("A choice of the server's reply holds no message. Try again.")
    content = message.get("content")
    if content is None:
        content = message.get("refusal") or ""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(text for text in texts if isinstance(text, str))
    if not isinstance(content, str):
        raise BadServerResponse(f"The reply's content is {type(content).__name__}, not text. Try again.")
    whole = storable(content)
    text = dialogue_turn(whole)
    calls = _calls(message.get("tool_calls"))
    tokens = _tokens(choice.get("logprobs"), text, bool(calls))
    reason = choice.get("finish_reason")
    finish = _FINISH.get(reason, "other") if isinstance(reason, str) else "other"
    # The server may tell a thought apart from the words.
    thoughts = [message.get(name) for name in ("reasoning_content", "reasoning", "thinking")]
    thought = any(isinstance(told, str) and told.strip() for told in thoughts) or without_thoughts(whole) != whole
    # A hosted model may think without showing it: then its words are missing where its tokens ran out.
    thought = thought or (finish == "length" and not text.strip())
    prompt, completion, visual = counts
    usage = Usage(prompt, len(tokens) if tokens else completion, visual)
    return Reply(text, finish, tokens, calls, usage, model, thought)


def _calls(listed: Any) -> tuple[ToolCall, ...]:
    found = []
    for number, call in enumerate(listed[:MAX_CALLS] if isinstance(listed, list) else []):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise BadServerResponse("A tool call of the server's reply has no name. Try again.")
        given = call.get("id")
        call_id = storable(given, MAX_NAME) if isinstance(given, str) and given else f"call_{number}"
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            try:
                arguments = json.dumps(arguments or {})
            except RecursionError:  # nested too deep: a text that is no JSON stands for it, and the tool says so
                arguments = ""
        found.append(ToolCall(call_id, storable(function["name"], MAX_NAME), storable(arguments)))
    return tuple(found)


def _tokens(logprobs: Any, text: str, has_calls: bool) -> tuple[Token, ...] | None:
    """The tokens that spell `text`; None when they are missing, fewer, or spell something else."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list) or not 0 < len(content) <= MAX_TEXT:
        return None
    known: list[_Piece] = []
    for entry in content:
        logprob = _clip(entry.get("logprob")) if isinstance(entry, dict) else None
        if logprob is None or not isinstance(entry.get("token"), str):
            return None
        token, raw = entry["token"], entry.get("bytes")
        is_bytes = isinstance(raw, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in raw)
        known.append(_Piece(token, bytes(raw) if is_bytes else token.encode("utf-8", "replace"), logprob))
    span = range(len(known)) if has_calls else _span(known, text)
    return None if span is None else tuple(Token(storable(known[i].text, MAX_NAME), known[i].logprob) for i in span)


def _span(pieces: list[_Piece], text: str) -> range | None:
    """Which pieces spell `text`: reasoning before it and the end token after it are left out."""
    joined = b"".join(piece.raw for piece in pieces)
    wanted = text.strip().encode()
    # The last place, found from behind: `find` is linear, `rfind` is not.
    behind = joined[::-1].find(wanted[::-1])
    if behind < 0 or not wanted:
        return None
    start = len(joined) - behind - len(wanted)
    first, end = 0, 0
    while end + len(pieces[first].raw) <= start:
        end += len(pieces[first].raw)
        first += 1
    last = first
    # The first tokens of a character of several are empty, and stand before the one that spells it.
    while first > 0 and wanted[0] >= 0x80 and not pieces[first - 1].raw:
        first -= 1
    while end < start + len(wanted):
        end += len(pieces[last].raw)
        last += 1
    spelled = b"".join(piece.raw for piece in pieces[first:last])
    return range(first, last) if spelled.strip() == wanted else None


def _clip(logprob: Any) -> float | None:
    """A log-probability between FLOOR and 0; None for null, NaN and what is no number."""
    if not isinstance(logprob, int | float) or isinstance(logprob, bool) or math.isnan(float(logprob)):
        return None
    return min(0.0, max(FLOOR, float(logprob)))


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return min(value, MAX_COUNT) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _whole(digits: str) -> int | float:
    """A whole number of any length: one that no store could hold is read as a float, if need be as infinity."""
    return int(digits) if len(digits) < 19 else float(digits)
