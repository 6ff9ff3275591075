"""The one place where the SDK's and the HTTP library's errors become ours.

Retryable are 429, 5xx, timeouts and broken connections; every other 4xx is final. Messages are our own
words; what the server said is quoted only after addresses, paths and keys are removed.
`tests/test_models_faults.py` checks that no error class of the SDK is forgotten.
"""

import re
from email.utils import parsedate_to_datetime
from time import time

import httpx2
import openai

from zoomagent.errors import (
    BadServerResponse,
    ContextTooLong,
    ModelNotFound,
    ModelUnavailable,
    RateLimited,
    ServerError,
)

BAD_REQUEST = "bad_request"

# vLLM, SGLang, llama.cpp, TGI, OpenAI; "at most N image(s)" is vLLM's limit_mm_per_prompt.
_TOO_LONG = re.compile(
    r"context[ _](?:length|window|size)|context_length_exceeded|exceed_context_size|maximum model length|"
    r"max_model_len|too many tokens|prompt is too long|longer than the (?:maximum )?model|input is too long|"
    r"at most \d+ image|too many images|image (?:is )?too (?:big|large)|"
    r"exceeds the maximum (?:image|number of)",
    re.IGNORECASE,
)
_SECRETS = re.compile(
    r"\w+://\S+|0x[0-9a-fA-F]{6,}|\b(?:sk|hf|gsk|xai|key)[-_]\S{6,}|Bearer \S+|"
    r"(?<![\w.])/(?:[\w.@-]+/)+[\w.@-]*|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?"
)


class ReplyTooLarge(httpx2.DecodingError):
    """A response body above our limit."""


def translate(error: Exception) -> ServerError:
    """Our error for one of theirs."""
    if isinstance(error, openai.APIStatusError):
        return from_status(error.status_code, _said(error))
    if isinstance(error, openai.APIConnectionError) and isinstance(error.__cause__, httpx2.DecodingError):
        error = error.__cause__
    for kinds, ours, message in _KINDS:
        if isinstance(error, kinds):
            return ours(message)
    raise error


def from_status(status: int, said: str) -> ServerError:
    """Our error for an HTTP status and what the server said with it."""
    quoted = f" It said: {said}" if said else ""
    if status == 429:
        return RateLimited("The server has too much to do (429). Try again later or send fewer calls at once.")
    if status >= 500:
        return ModelUnavailable(f"The server failed ({status}). Try again; if it stays, read the server's log.")
    if status in (401, 403):
        return ModelNotFound(f"The server refused the key ({status}). Check the API key and what it may use.")
    if status == 404:
        return ModelNotFound(f"The server does not know this model or path (404).{quoted}")
    if status == 413 or _TOO_LONG.search(said):
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
    milliseconds, value = headers.get("retry-after-ms"), headers.get("retry-after")
    if milliseconds is not None and milliseconds.isdigit():
        return int(milliseconds) / 1000
    return None if value is None else _seconds(value)


def scrub(text: str, limit: int = 200) -> str:
    """`text` without addresses, paths and keys, shortened."""
    return _SECRETS.sub("…", text[: 4 * limit])[:limit].strip()


def _seconds(value: str) -> float | None:
    try:
        return max(0.0, float(value)) if value.strip()[:1].isdigit() else _until(value)
    except ValueError:
        return None


def _until(date: str) -> float:
    return max(0.0, parsedate_to_datetime(date).timestamp() - time())


def _said(error: openai.APIStatusError) -> str:
    """The server's own message: OpenAI and vLLM nest it, others put it at the top, proxies send HTML."""
    body = error.body
    while isinstance(body, dict):
        body = next((body[key] for key in ("error", "message", "detail") if body.get(key)), "")
    return scrub(str(body)) if isinstance(body, str | list) and not str(body).lstrip().startswith("<") else ""


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
