"""The one place where the SDK's and the HTTP library's errors become ours.

Retryable are 429, 5xx, timeouts and broken connections; every other 4xx is final. Messages are our own
words. Of what the server said only its message field is quoted, as one short line, without addresses, paths
and keys; never other fields, headers, or a body that is no JSON.
`tests/test_models_faults.py` checks that no error class of the SDK is forgotten.
"""

import json
import re
from collections.abc import Awaitable, Iterator
from email.utils import parsedate_to_datetime
from itertools import islice
from time import time
from typing import Any

import httpx2
import openai

from zoomagent.errors import (
    BadServerResponse,
    ContextTooLong,
    ModelBlind,
    ModelNotFound,
    ModelUnavailable,
    RateLimited,
    ServerError,
    Unauthorized,
)
from zoomagent.models.server.keys import HOW
from zoomagent.text import storable

BAD_REQUEST = "bad_request"
SAID = " It said: "

MAX_SAID = 4096
"""Characters of an error's words that are looked at (ours)."""

# vLLM, SGLang, llama.cpp, TGI, OpenAI; "at most N image(s)" is vLLM's limit_mm_per_prompt.
_TOO_LONG = re.compile(
    r"context[ _](?:length|window|size)|context_length_exceeded|exceed_context_size|maximum model length|"
    r"max_model_len|too many tokens|prompt is too long|longer than the (?:maximum )?model|input is too long|"
    r"at most \d+ image|too many images|image (?:is )?too (?:big|large)|"
    r"exceeds the maximum (?:image|number of)",
    re.IGNORECASE,
)
_SECRETS = re.compile(
    r"\w+://\S+|0x[0-9a-fA-F]{6,}|\b(?:sk|hf|gsk|xai|key)[-_]\S{6,}|(?:Bearer|Basic) \S+|\S+@\S+|"
    r"(?<![\w.])/(?:[\w.@-]+/)+[\w.@-]*|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?"
)


_REFUSALS = frozenset({400, 403, 404, 405, 409, 415, 422, 500, 501})
"""Statuses with which servers refuse a parameter."""

PARAMETERS = {
    "temperature": re.compile(r"temperature", re.IGNORECASE),
    "logprobs": re.compile(r"(?<!prompt_)(?<!top_)(?<!top )log[ _-]?prob(?:s|abilit)", re.IGNORECASE),
    "top_logprobs": re.compile(r"top[ _-]?log[ _-]?prob", re.IGNORECASE),
    "max_tokens": re.compile(r"\bmax_tokens\b|\bmaxTokens\b", re.IGNORECASE),
    "max_completion_tokens": re.compile(r"max_completion_tokens", re.IGNORECASE),
    "n": re.compile(
        r"['\"`]n['\"`]|body -> n\b|\bn\s{0,2}(?:>|=|!=|must|should|has to|is not|other than)"
        r"|one (?:completion )?(?:choice|candidate)"
        r"|(?:multiple|more than one|number of) (?:completions?|choices?|candidates?|generations?)|candidate_?count",
        re.IGNORECASE,
    ),
    "tools": re.compile(
        r"\btools\b(?! messages?)|tool[_ -]?(?:choice|use|calling)\b|function[_ -]?calling|tool calls? (?:is|are) not"
        r"|(?:support|allow|accept|enable)\w* (?:for )?(?:tool|function)",
        re.IGNORECASE,
    ),
}
"""Our parameters, and the words by which servers name them."""

_SAYING = (
    "error",
    "message",
    "msg",
    "detail",
    "details",
    "errors",
    "cause",
    "reason",
    "metadata",
    "raw",
    "description",
)
"""Keys under which bodies of errors have their words."""

_NOT_TAKEN = re.compile(
    r"not (?:supported?|enabled|allowed|permitted|implemented|available|accepted|recogni[sz]ed|valid)|n't support"
    r"|unsupported|unknown|unexpected|unrecogni[sz]ed|extra|forbidden|only|must|require|invalid|cannot|can not|does not"
    r"|deprecated|disabled?|incompatible|no endpoints|unavailable|remove",
    re.IGNORECASE,
)
_NOT_SUPPORTED = re.compile(
    r"not (?:supported?|enabled|implemented|available)|(?:n't|n't yet|not) support|unsupported|no endpoints",
    re.IGNORECASE,
)
_WANTS_MORE = re.compile(r"enable_thinking|chat_template_kwargs|reasoning_effort|thinking", re.IGNORECASE)
_ROLES = re.compile(
    r"\broles?\b.{0,80}(?:alternat|after|unexpected|expected|order|follow)"
    r"|(?:alternat|unexpected|expected).{0,40}\broles?\b",
    re.IGNORECASE | re.DOTALL,
)


# vLLM, llama.cpp, Ollama and LM Studio, OpenAI, servers in Rust. A format, a size or a place of images is no such word.
_TEXT_ONLY = re.compile(
    r"not a multi-?modal (?:\w+ )?model|mmproj|image_url is only supported by|unknown variant `?image_url"
    r"|at most 0 image"
    r"|(?:(?:images?|vision|multi-?modal)(?: inputs?| contents?| data)? (?:is|are) not (?:supported|enabled)"
    r"|(?:(?:does|do|is|are) not|n't|cannot|can not) (?:support|accept|take|process|handle|see)(?:ing)? "
    r"(?:any )?(?:images?|vision|pictures?|multi-?modal)(?: inputs?| contents?| data)?"
    r"|(?:no|without) (?:support for )?(?:vision|multi-?modal) (?:support|capabilit\w+))"
    r"(?=\s*(?:$|[^\w\s]|(?:by|for|yet|at)\b))",
    re.IGNORECASE,
)
BLIND = (
    "This model takes no pictures. Serve a vision-language model, as Qwen/Qwen3-VL-8B-Instruct; llama.cpp needs its "
    "--mmproj file besides."
)

_SCORES = re.compile(
    r"prompt.?log.?prob|continue_final_message|add_generation_prompt|unexpected field|unknown field|unrecogni[sz]ed"
    r"|extra (?:inputs|fields)",
    re.IGNORECASE,
)
_TOO_MANY = re.compile(
    r"(?<!prompt_)(?<!prompt )log[ _-]?prob.{0,120}(?:greater|more|less|fewer|larger|smaller|lower|higher) than"
    r".{0,60}\d|(?<!prompt_)(?<!prompt )log[ _-]?prob.{0,120}(?:at most|up to|max(?:imum)?\b|exceed"
    r"|in range|between|<=?).{0,60}\d",
    re.IGNORECASE | re.DOTALL,
)


def refuses_scores(error: ServerError) -> bool:
    """Whether the refusal is of what asks for the likelihood of given text."""
    return _SCORES.search(str(error)) is not None


def allowed_below(error: ServerError, asked: int) -> int | None:
    """The largest number below `asked` that the refusal's words hold: what the server would take."""
    said = str(error).partition(SAID)[2]
    return max((int(digits) for digits in re.findall(r"\d{1,3}", said) if 0 < int(digits) < asked), default=None)


def refuses_roles(error: ServerError) -> bool:
    """Whether the server's template does not take turns in the order that they were sent in."""
    return error.code == BAD_REQUEST and _ROLES.search(str(error)) is not None


class ReplyTooLarge(httpx2.DecodingError):
    """A response body above our limit."""


def translate(error: Exception, about_key: str = HOW) -> ServerError:
    """Our error for one of theirs. `about_key` is what to do when the key was refused."""
    if isinstance(error, openai.APIStatusError):
        # The body as it was sent: the SDK's own view of it does not tell JSON from text.
        try:
            body = json.loads(error.response.text)
        except (ValueError, RecursionError, httpx2.StreamError):
            body = error.body if isinstance(error.body, str) else ""
        return from_status(error.status_code, body, about_key)
    if isinstance(error, openai.APIConnectionError) and isinstance(
        error.__cause__, httpx2.DecodingError | httpx2.ConnectError
    ):
        error = error.__cause__
    for kinds, ours, message in _KINDS:
        if isinstance(error, kinds):
            return ours(message)
    raise error


async def received(sending: Awaitable[httpx2.Response]) -> httpx2.Response:
    """The response that the HTTP library and the SDK make of a server's bytes. What they stumble over, while they read
    headers and bodies that can be anything, is the server's fault."""
    try:
        return await sending
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise BadServerResponse(_UNREADABLE) from error


def from_status(status: int, body: Any, about_key: str = HOW) -> ServerError:
    """Our error for an HTTP status and the body that came with it: JSON, or text that is none."""
    said = quotation(body)
    quoted = f"{SAID}{said}" if said else ""
    if status in _REFUSALS and _TEXT_ONLY.search(body[:MAX_SAID] if isinstance(body, str) else _message(body)):
        return ModelBlind(f"{BLIND}{quoted}")
    refused = refused_parameters(body, strictly=status in (403, 404) or status >= 500) if status in _REFUSALS else None
    if refused and not _TOO_LONG.search(_message(body)):
        error = ServerError(f"The server refused the request ({status}).{quoted}{_hint(said)}", code=BAD_REQUEST)
        error.refused = refused
        return error
    if status == 429:
        return RateLimited("The server has too much to do (429). Try again later or send fewer calls at once.")
    if status >= 500:
        return ModelUnavailable(f"The server failed ({status}). Try again; if it stays, read the server's log.")
    if status in (401, 403):
        return Unauthorized(f"The server refused access ({status}). {about_key}")
    if status == 404:
        return ModelNotFound(f"The server does not know this model or path (404).{quoted}")
    if status == 413 or _TOO_LONG.search(body[:MAX_SAID] if isinstance(body, str) else _message(body)):
        return ContextTooLong(
            f"The conversation does not fit ({status}). Send fewer or smaller views, or fewer words.{quoted}"
        )
    if status >= 400:
        return ServerError(f"The server refused the request ({status}).{quoted}{_hint(said)}", code=BAD_REQUEST)
    return BadServerResponse(f"The server answered with status {status}. Check that the base URL is its API.")


def retry_after(error: ServerError) -> float | None:
    """Seconds the server asked us to wait, from the response behind `error`."""
    cause = error.__cause__
    if not isinstance(cause, openai.APIStatusError):
        return None
    headers = cause.response.headers
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    seconds = _number(value)
    if seconds is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value[:100]).timestamp() - time())
    except (ValueError, OverflowError, LookupError, TypeError):  # no date
        return None


def refused_parameters(body: Any, strictly: bool = False) -> frozenset[str]:
    """Which of our parameters an error's body names: in `param`, in the places that pydantic lists, or in its words.
    `strictly`: only where the words say that they are not supported; the status means something else as a rule."""
    error = body.get("error") if isinstance(body, dict) else None
    given = [error.get("param")] if isinstance(error, dict) else []
    given += [body.get("param")] if isinstance(body, dict) else []
    given += [part for fault in _faults(body) for part in _parts(fault)]
    named = {name.strip("'\"` ").casefold() for name in given if isinstance(name, str)} & set(PARAMETERS)
    if named:
        return frozenset(named)
    said = body[:MAX_SAID] if isinstance(body, str) else " ".join(islice(_words(body, 6), 16))[:MAX_SAID]
    if not strictly and _TOO_MANY.search(said):
        return frozenset({"top_logprobs"})
    if not (_NOT_SUPPORTED if strictly else _NOT_TAKEN).search(said) or _ROLES.search(said):
        return frozenset()
    return frozenset(name for name, words in PARAMETERS.items() if words.search(said))


def _words(body: Any, depth: int) -> Iterator[str]:
    """All that a body says in words, also a provider's error inside a router's; nothing of a request that it echoes."""
    if isinstance(body, str):
        yield body[:MAX_SAID]
    elif isinstance(body, list) and depth:
        for item in body[:4]:
            yield from _words(item, depth - 1)
    elif isinstance(body, dict) and depth:
        for key in _SAYING:
            yield from _words(body.get(key), depth - 1)


def _hint(said: str) -> str:
    """Where a server wants something that only its user can know."""
    return " Give what it needs with --extra-body." if _WANTS_MORE.search(said) else ""


def quotation(body: Any) -> str:
    """What may be quoted of an error's body: its message, scrubbed."""
    return scrub(_message(body))


def scrub(text: str, limit: int = 200) -> str:
    """`text` as one line without addresses, paths and keys, shortened."""
    return " ".join(_SECRETS.sub("…", text[: 4 * limit]).split())[:limit].strip()


def _number(text: str) -> float | None:
    """A number as HTTP writes it; one that is absurdly long is infinite."""
    return float(text) if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text.strip()) else None


def _message(body: Any) -> str:
    """The message in a JSON body: OpenAI and vLLM nest it, others have it at the top, FastAPI has a list of them."""
    found = body if isinstance(body, dict) else ""
    while isinstance(found, dict):
        found = next((found[key] for key in ("error", "message", "detail") if found.get(key)), "")
    if isinstance(found, list):
        said = []
        for fault in _faults(body)[:3]:
            # The field that the fault is about goes before the words.
            fields = [part for part in _parts(fault) if part != "body"]
            if isinstance(fault.get("msg"), str):
                said.append(f"{fields[-1]}: {fault['msg']}" if fields else fault["msg"])
        found = "; ".join(said)
    return storable(found, MAX_SAID) if isinstance(found, str) else ""


def _faults(body: Any) -> list[dict[str, Any]]:
    """FastAPI's and pydantic's list of what is wrong, wherever the body holds it."""
    found = body if isinstance(body, dict) else None
    while isinstance(found, dict):
        found = next((found[key] for key in ("error", "message", "detail") if found.get(key)), None)
    return [fault for fault in found if isinstance(fault, dict)] if isinstance(found, list) else []


def _parts(fault: dict[str, Any]) -> list[str]:
    parts = fault.get("loc")
    return [part for part in parts if isinstance(part, str)] if isinstance(parts, list) else []


_UNREADABLE = "The server sent something that is no answer. Check that the base URL is an OpenAI-compatible API."

# The first match decides; statuses are handled above.
_KINDS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], type[ServerError], str], ...] = (
    (ReplyTooLarge, BadServerResponse, "The server's reply is larger than any answer. Check the base URL."),
    (httpx2.DecodingError, BadServerResponse, _UNREADABLE),
    (
        (openai.APITimeoutError, httpx2.TimeoutException, TimeoutError),
        ModelUnavailable,
        "The server sent nothing in time. See whether it is busy or stuck; allow more time for slow servers.",
    ),
    (
        httpx2.ConnectError,
        ModelUnavailable,
        "Nothing answers at the server's address: is it still loading? Large models need minutes. Check that it runs "
        "and that the base URL is right.",
    ),
    (
        (openai.APIConnectionError, httpx2.HTTPError),
        ModelUnavailable,
        "The connection to the server failed or broke. Check that it runs and that the base URL is right.",
    ),
    (openai.APIResponseValidationError, BadServerResponse, _UNREADABLE),
    (
        (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError),
        BadServerResponse,
        "The server ended the reply without an answer.",
    ),
    (openai.OpenAIError, BadServerResponse, _UNREADABLE),
    (
        (httpx2.InvalidURL, httpx2.StreamError, httpx2.CookieConflict, openai.InvalidWebhookSignatureError),
        BadServerResponse,
        _UNREADABLE,
    ),
)
