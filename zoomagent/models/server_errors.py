"""The one place where the SDK's and the HTTP library's errors become ours.

Retryable are 429, 5xx, timeouts and broken connections; every other 4xx is final. Messages are our own
words. Of what the server said only its message field is quoted, as one short line, without addresses, paths
and keys; never other fields, headers, or a body that is no JSON.
`tests/test_models_faults.py` checks that no error class of the SDK is forgotten.
"""

import json
import re
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import httpx2
import openai

from zoomagent.errors import (
    BadServerResponse,
    ContextTooLong,
    ModelNotFound,
    ModelUnavailable,
    RateLimited,
    ServerError,
    Unauthorized,
)
from zoomagent.models.keys import HOW
from zoomagent.text import storable

BAD_REQUEST = "bad_request"

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


class ReplyTooLarge(httpx2.DecodingError):
    """A response body above our limit."""


def translate(error: Exception, about_key: str = HOW) -> ServerError:
    """Our error for one of theirs. `about_key` is what to do when the key was refused."""
    if isinstance(error, openai.APIStatusError):
        return from_status(error.status_code, _body(error), about_key)
    if isinstance(error, openai.APIConnectionError) and isinstance(error.__cause__, httpx2.DecodingError):
        error = error.__cause__
    for kinds, ours, message in _KINDS:
        if isinstance(error, kinds):
            return ours(message)
    raise error


def from_status(status: int, body: Any, about_key: str = HOW) -> ServerError:
    """Our error for an HTTP status and the body that came with it: JSON, or text that is none."""
    said = quotation(body)
    quoted = f" It said: {said}" if said else ""
    if status == 429:
        return RateLimited("The server has too much to do (429). Try again later or send fewer calls at once.")
    if status >= 500:
        return ModelUnavailable(f"The server failed ({status}). Try again; if it stays, read the server's log.")
    if status in (401, 403):
        return Unauthorized(f"The server refused access ({status}). {about_key}")
    if status == 404:
        return ModelNotFound(f"The server does not know this model or path (404).{quoted}")
    if status == 413 or _TOO_LONG.search(body[:MAX_SAID] if isinstance(body, str) else _message(body)):
        return ContextTooLong(f"The conversation does not fit ({status}). Send fewer or smaller views.{quoted}")
    if status >= 400:
        return ServerError(f"The server refused the request ({status}).{quoted}", code=BAD_REQUEST)
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
    return seconds if seconds is not None else _until(value)


def quotation(body: Any) -> str:
    """What may be quoted of an error's body: its message, scrubbed."""
    return scrub(_message(body))


def scrub(text: str, limit: int = 200) -> str:
    """`text` as one line without addresses, paths and keys, shortened."""
    return " ".join(_SECRETS.sub("…", text[: 4 * limit]).split())[:limit].strip()


def _number(text: str) -> float | None:
    """A number as HTTP writes it; one that is absurdly long is infinite."""
    return float(text) if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text.strip()) else None


def _until(date: str) -> float | None:
    """Seconds until an HTTP date; None for what is no date."""
    try:
        return max(0.0, parsedate_to_datetime(date[:100]).timestamp() - time())
    except (ValueError, OverflowError, LookupError, TypeError):
        return None


def _body(error: openai.APIStatusError) -> Any:
    """The body as it was sent: the SDK's own view of it does not tell JSON from text."""
    try:
        return json.loads(error.response.text)
    except (ValueError, RecursionError, httpx2.StreamError):
        return error.body if isinstance(error.body, str) else ""


def _message(body: Any) -> str:
    """The message in a JSON body: OpenAI and vLLM nest it, others have it at the top, FastAPI has a list of them."""
    found = body if isinstance(body, dict) else ""
    while isinstance(found, dict):
        found = next((found[key] for key in ("error", "message", "detail") if found.get(key)), "")
    if isinstance(found, list):
        said = [fault.get("msg") for fault in found[:3] if isinstance(fault, dict)]
        found = "; ".join(text for text in said if isinstance(text, str))
    return storable(found, MAX_SAID) if isinstance(found, str) else ""


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
