"""Hostile replies for `hostile.py`: bodies of a model's server, words that hold calls, boxes and answers, arguments of
tools, and addresses of pictures. Nothing is asked of anybody here; whole runs are in `hostile_runs.py`."""

import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import orjson
from fake_server import choice, completion, token_logprobs
from hostile_case import ODD, Case, spoiled, times, written

from zoomagent.errors import FetchRefused, ServerError, ToolError
from zoomagent.media.fetching.url_rules import UrlRules, check_url, is_public
from zoomagent.models.base import Reply
from zoomagent.models.server.completion import (
    first_token_likelihoods,
    given_likelihood,
    read_json,
    read_listed,
    read_names,
    read_replies,
)
from zoomagent.models.words.calls import find_calls
from zoomagent.models.words.dialects import read_calls
from zoomagent.models.words.parsing import parse_boxes
from zoomagent.models.words.unwrapping import dialogue_turn, ends_in_thought, listed, unwrapped
from zoomagent.plugins.offers.offers import OFFERS, read_offer

REPLIES, WORDS, ARGUMENTS, ADDRESSES = 30_000, 12_000, 8_000, 6_000
LONGEST = 0.05
"""Processor seconds that a reader may take for a text of 64 kB."""
MOST_TEXT = 64 * 1024

WHOLE = completion(
    [choice(0, "Yes", token_logprobs("Yes")), choice(1, None, calls=[{"name": "z", "arguments": {"a": 1}}])]
)
WHOLE |= {
    "prompt_logprobs": [None, {"1": {"logprob": -1.0, "decoded_token": "Yes"}}],
    "data": [{"id": "m", "root": "m"}],
}


def reply_cases(scale: float) -> Iterator[Case]:
    """A body is read, or is a ServerError; and what comes of it can be written as JSON."""
    for number in times(REPLIES, scale):
        rng = random.Random(f"reply {number}")
        yield Case(f"reply {number}", partial(_read, written(spoiled(WHOLE, rng), rng)))


def _read(body: bytes) -> str:
    readers: tuple[Callable[[dict[str, Any]], Any], ...] = (
        lambda found: read_replies(found, 7),
        lambda found: given_likelihood(found, "Yes"),
        lambda found: read_replies(found, 0) and first_token_likelihoods(found, ["Yes", "No"]),  # as a score does
        read_names,
        read_listed,
    )
    for reader in readers:
        try:
            found = reader(read_json(body))
        except ServerError as error:
            found = {"text": str(error), "code": error.code}
        orjson.dumps(found, default=str)
        for reply in found if isinstance(found, list) else []:
            if isinstance(reply, Reply) and not all(-100 <= token.logprob <= 0 for token in reply.tokens or ()):
                return "a likelihood that is none"
    return ""


PARTS = (
    *("<think>", "</think>", "<answer>", "</answer>", "\\boxed{", "}", "**", "```", "```json\n", "`", "<|", "|>"),
    *("<tool_call>", "</tool_call>", '{"name":', '"arguments":', "{", "[", "]", '"', "\\", "(", ")", ",", ":", "\n"),
    *(
        "<function=",
        "<parameter=",
        "</function>",
        "[TOOL_CALLS]",
        "<grounding>",
        "</grounding>",
        "<|box_start|>",
        "<box>",
    ),
    *(
        "[1, 2, 3, 4]",
        "(12,34),(56,78)",
        "1 2 3 4",
        "<loc0001>",
        "bbox_2d",
        '{"bbox":[1,2,3,4]}',
        "x1=",
        "NaN",
        "1e999",
    ),
    *(
        "The answer is ",
        "答案是",
        "La réponse est ",
        "Yes",
        "No",
        "A.",
        "- ",
        "1,234,567",
        "\u202e",
        "\ud800",
        "é",
        "\0",
    ),
    *(
        "9" * 400,
        "-",
        ".",
        "zoom(",
        "print(",
        "<tool_call>zoom\n<arg_key>a</arg_key>",
        "call:zoom{",
        "<invoke name=",
        " ",
    ),
)


def word_cases(scale: float) -> Iterator[Case]:
    """Whatever a model says is read in little time; every third says the same for 64 kB."""
    for number in times(WORDS, scale):
        rng = random.Random(f"words {number}")
        text = "".join(rng.choice(PARTS) for _ in range(rng.randint(1, 40)))
        if number % 3 == 0:
            text = (text * (MOST_TEXT // len(text) + 1))[:MOST_TEXT]
        yield Case(f"words {number}", partial(_heard, text))


def _heard(text: str) -> str:
    readers: dict[str, Callable[[str], Any]] = {
        "unwrapped": unwrapped,
        "spoken": dialogue_turn,
        "listed": listed,
        "ends_in_thought": ends_in_thought,
        "calls": find_calls,
        "mini-o3": lambda text: read_calls("mini-o3", text),
        "p2r": lambda text: read_calls("p2r", text),
        "boxes": parse_boxes,
    }
    for name, reader in readers.items():
        if (took := min(_seconds(reader, text), _seconds(reader, text))) > LONGEST:
            return f"{name} took {took:.3f} s for {text[:60]!r}"
    return ""


def _seconds(reader: Callable[[str], Any], text: str) -> float:
    began = time.thread_time()
    reader(text)
    return time.thread_time() - began


def argument_cases(scale: float) -> Iterator[Case]:
    """Arguments of tools: taken, or a ToolError in words that can be sent."""
    good = {
        "image": "data:image/png;base64,AAAA",
        "question": "q",
        "options": ["a", "b"],
        "box": [0.1, 0.2, 0.5, 0.6],
        "thing": "a car",
    }
    for number in times(ARGUMENTS, scale):
        rng = random.Random(f"arguments {number}")
        offer = rng.choice(OFFERS)
        fields = [name for name in good if name in offer.arguments.model_fields]
        given = spoiled({name: good[name] for name in fields}, rng, 2)
        name = offer.name if rng.random() < 0.95 else str(rng.choice(ODD))
        yield Case(f"arguments {number}", partial(_taken, name, given if isinstance(given, dict) else {}))


def _taken(name: str, given: dict[str, Any]) -> str:
    try:
        read_offer(name, given)
    except ToolError as error:
        orjson.dumps(error.public)
    return ""


def address_cases(scale: float) -> Iterator[Case]:
    """No address leads anywhere but to the host that was allowed, and no private number is public."""
    heads = (
        "http://",
        "https://",
        "HTTP://",
        "ftp://",
        "//",
        "http:/",
        "http:\\\\",
        "file://",
        "https://a@",
        "http://a:b@",
    )
    hosts = (
        *("pictures.example", "PICTURES.example", "pictures.example.", "pictures.example.evil.example", "evil.example"),
        *("127.0.0.1", "2130706433", "0x7f.1", "[::1]", "127.1", "169.254.169.254", "pictures.example\\@evil.example"),
        *("pictures.example@evil.example", "evil.example#@pictures.example", "pictures。example", "xn--a", "", "."),
    )
    tails = (
        "",
        "/",
        ":80/",
        ":443",
        ":22/",
        ":99999/",
        "/a b",
        "/\r\nHost: evil",
        "/%00",
        "/\\..\\",
        "?q",
        "#@evil.example",
        "/é",
    )
    for number in times(ADDRESSES, scale):
        rng = random.Random(f"address {number}")
        if number % 3 == 2:
            private = rng.choice(
                [(10, 0), (127, 0), (192, 168), (169, 254), (172, rng.randrange(16, 32)), (0, 0), (100, 64)]
            )
            four = f"{private[0]}.{private[1]}.{rng.randrange(256)}.{rng.randrange(256)}"
            shown = rng.choice(
                [four, f"::ffff:{four}", f"64:ff9b::{four}", f"2002:{private[0]:02x}{private[1]:02x}::1"]
            )
            shown = rng.choice(
                [shown, shown, f"fe80::{rng.randrange(9)}", f"fc{rng.randrange(16, 99)}::1", "::1", "::", "x"]
            )
            yield Case(f"number {shown}", partial(_private, shown))
        else:
            yield Case(f"address {number}", partial(_led, rng.choice(heads) + rng.choice(hosts) + rng.choice(tails)))


def _private(address: str) -> str:
    return "public" if is_public(address) else ""


def _led(url: str) -> str:
    try:
        target = check_url(url, UrlRules(("pictures.example",)))
    except FetchRefused:
        return ""
    plain = target.host == "pictures.example" and target.url.isascii() and " " not in target.url
    return "" if plain and target.port in (80, 443) else f"{url!r} leads to {target}"


KINDS: dict[str, Callable[[float], Iterator[Case]]] = {
    "replies": reply_cases,
    "words": word_cases,
    "arguments": argument_cases,
    "addresses": address_cases,
}
