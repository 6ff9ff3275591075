"""What a client may ask the OpenAI-compatible endpoint, checked strictly; nothing unknown is taken, nothing is guessed.

    asked = read_request(body)            # the question, its picture and settings; RequestRefused names the field

The last turn is asked: its text, and its one picture, clip or sound, or the latest of an earlier turn. What the system
and earlier turns said is told with the question, as words; `zoomagent.alone` leaves it out. Parameters that only steer
sampling, and what clients send by default though nothing here heeds it (stop, a response_format of JSON), have no
effect and are listed as `unused`; what a reply without it would break (n, tools, logprobs, a JSON schema) is refused.
Left out: pictures in earlier turns beside the latest, which nobody asks about.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError

from zoomagent.bounds import within
from zoomagent.errors import InputRefused, ModelNotFound
from zoomagent.graphs.checking import MAX_OPTIONS, MAX_QUESTION
from zoomagent.graphs.regions import MAX_REGIONS, as_words
from zoomagent.strategy import Rule, Strategy

NAME = "zoomagent"
MODELS = (NAME, *(f"{NAME}-{strategy}" for strategy in get_args(Strategy)))
"""The agent as it is set, and with each strategy, so that a harness can compare them by model name alone."""
MAX_MESSAGES, MAX_PARTS = 256, 64
MAX_VALUES = 20_000
"""Values of a request (ours): a message of a picture and a text has a dozen."""
UNUSED = (
    "temperature", "top_p", "seed", "max_tokens", "max_completion_tokens", "frequency_penalty", "presence_penalty",
    "user", "metadata", "store", "service_tier", "reasoning_effort", "parallel_tool_calls", "stop", "verbosity",
    "prompt_cache_key", "safety_identifier",
)  # fmt: skip


class RequestRefused(InputRefused):
    """A request that fits no model of this file. `param` names the field, as `messages[0].content`."""

    code = "invalid_request"

    def __init__(self, message: str, param: str | None) -> None:
        super().__init__(message)
        self.param = param


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=())


# Messages


class TextPart(Strict):
    type: Literal["text"]
    text: str


class ImageUrl(Strict):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


def _as_object(value: Any) -> Any:
    """Many clients give the address alone."""
    return {"url": value} if isinstance(value, str) else value


class ImagePart(Strict):
    type: Literal["image_url"]
    image_url: Annotated[ImageUrl, BeforeValidator(_as_object)]


class VideoPart(Strict):
    """A clip, as vLLM and others take it."""

    type: Literal["video_url"]
    video_url: Annotated[ImageUrl, BeforeValidator(_as_object)]


class Audio(Strict):
    data: str
    format: Literal["wav", "mp3", "flac", "ogg"]


class AudioPart(Strict):
    """A sound, as OpenAI writes it: base64, and what it says it is; its first bytes decide."""

    type: Literal["input_audio"]
    input_audio: Audio


def _without_null(content: Any) -> Any:
    """Null says nothing, as an empty text does."""
    return "" if content is None else content


def _kind_of(content: Any) -> str:
    return "parts" if isinstance(content, list) else "words"


Words = Annotated[str, Tag("words")]
Part = Annotated[TextPart | ImagePart | VideoPart | AudioPart, Field(discriminator="type")]
Parts = Annotated[list[Part], Field(fail_fast=True, min_length=1, max_length=MAX_PARTS), Tag("parts")]
TextParts = Annotated[list[TextPart], Field(fail_fast=True, min_length=1, max_length=MAX_PARTS), Tag("parts")]
Nothing = Annotated[list[Any], Field(max_length=0)] | None


class SystemMessage(Strict):
    role: Literal["system", "developer"]
    content: Annotated[Words | TextParts, Discriminator(_kind_of), BeforeValidator(_without_null)]
    name: str | None = None


class UserMessage(Strict):
    role: Literal["user"]
    content: Annotated[Words | Parts, Discriminator(_kind_of), BeforeValidator(_without_null)]
    name: str | None = None


class AssistantMessage(Strict):
    """What this endpoint said before, as clients send it back; calls of tools cannot have been among it."""

    role: Literal["assistant"]
    content: Annotated[Words | TextParts, Discriminator(_kind_of), BeforeValidator(_without_null)] = ""
    name: str | None = None
    reasoning_content: str | None = None
    zoomagent: dict[str, Any] | None = None
    refusal: str | None = None
    annotations: Nothing = None
    tool_calls: Nothing = None
    function_call: None = None
    audio: None = None


Message = Annotated[SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")]


# The request


class StreamOptions(Strict):
    include_usage: bool | None = None


class ResponseFormat(Strict):
    """JSON is not written, and that is noted; a schema is refused, as its reader would break."""

    type: Literal["text", "json_object"]


FourNumbers = Annotated[list[int], Field(min_length=4, max_length=4)]


class Extension(Strict):
    """What is ours, under `zoomagent`. `regions` are boxes in original pixels, `{0}` in the question is the first;
    `seconds` bounds the run, within what the server allows."""

    options: Annotated[list[str], Field(min_length=1, max_length=MAX_OPTIONS)] | None = None
    regions: Annotated[list[FourNumbers], Field(min_length=1, max_length=MAX_REGIONS)] | None = None
    strategy: Strategy | None = None
    rule: Rule | None = None
    target_error: Annotated[float, Field(gt=0, lt=1)] | None = None
    gate: Annotated[float, Field(gt=0, le=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    alone: bool | None = None


class ChatRequest(Strict):
    """The body of POST /v1/chat/completions."""

    model: str
    messages: Annotated[list[Message], Field(fail_fast=True, min_length=1, max_length=MAX_MESSAGES)]
    zoomagent: Extension = Extension()
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    verbosity: str | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    tools: Nothing = None
    tool_choice: Literal["none", "auto"] | None = None
    response_format: ResponseFormat | None = None
    modalities: Annotated[list[Literal["text"]], Field(fail_fast=True, max_length=16)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: int | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    reasoning_effort: str | None = None
    parallel_tool_calls: bool | None = None


@dataclass(frozen=True)
class CheckedRequest:
    """A checked request. `settings` are fields of the agent's context; `seconds` is a bound that it may lower."""

    model: str
    image: str
    question: str
    options: tuple[str, ...] = ()
    regions: tuple[tuple[int, ...], ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    stream: bool = False
    usage_in_stream: bool = False
    unused: tuple[str, ...] = ()


def read_request(body: bytes) -> CheckedRequest:
    """The question in a request's body. Raises RequestRefused, and ModelNotFound for a name that is not served."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RequestRefused("The body is not JSON.", None) from None
    if not within(given, MAX_VALUES):
        raise RequestRefused(f"The body has more than {MAX_VALUES} values. Send fewer.", None)
    try:
        request = ChatRequest.model_validate(given)
    except ValidationError as error:
        raise _refusal(error, given) from None
    return _read_turns(request)


def _read_turns(request: ChatRequest) -> CheckedRequest:
    extension = request.zoomagent
    # System first, then the user, the assistant at most once between two of the user's turns, the user last.
    before = "system"
    for i, message in enumerate(request.messages):
        role = "system" if message.role == "developer" else message.role
        if role == "system" and before != "system":
            raise RequestRefused("System messages come first.", f"messages[{i}].role")
        if role == "assistant" and before != "user":
            raise RequestRefused("An assistant's message follows a user's.", f"messages[{i}].role")
        before = role
    if before != "user":
        raise RequestRefused(
            "The last message is the user's: it is what is asked.", f"messages[{len(request.messages) - 1}]"
        )
    # Where the last turn begins: all of the user's messages since someone else's.
    last = 1 + max((i for i, message in enumerate(request.messages) if message.role != "user"), default=-1)
    image = _image(request.messages, last)
    question = _question(request.messages, last, bool(extension.alone), len(extension.regions or ()))
    if request.model not in MODELS:
        raise ModelNotFound(f"There is no such model here. There are: {', '.join(MODELS)}.")
    named = request.model.removeprefix(NAME).removeprefix("-") or None
    if named and extension.strategy and named != extension.strategy:
        raise RequestRefused("The model's name says another strategy. Say it once.", "zoomagent.strategy")
    settings: dict[str, Any] = {"strategy": extension.strategy or named, "rule": extension.rule}
    settings |= {"target_error": extension.target_error, "gate": extension.gate}
    streams = request.stream_options
    # What was given and has no effect. An empty stop and a response_format of text change nothing anyway.
    unused = tuple(name for name in UNUSED if getattr(request, name) not in (None, [], ""))
    if request.response_format is not None and request.response_format.type == "json_object":
        unused = (*unused, "response_format")
    return CheckedRequest(
        model=request.model,
        image=image,
        question=question,
        options=tuple(extension.options or ()),
        regions=tuple(tuple(region) for region in extension.regions or ()),
        settings={name: value for name, value in settings.items() if value is not None},
        seconds=extension.seconds,
        stream=bool(request.stream),
        usage_in_stream=bool(streams and streams.include_usage),
        unused=unused,
    )


# Turns


def _image(messages: Sequence[Message], last: int) -> str:
    asked = _images(messages[last:])
    if len(asked) > 1:
        text = (
            f"One picture or clip or sound is asked about at a time; the last turn has {len(asked)}. "
            "Ask about each by itself."
        )
        raise RequestRefused(text, "messages")
    shown = asked or _images(messages[:last])
    if not shown:
        text = "No picture is given. Put an image_url, video_url or input_audio part into the last message."
        raise RequestRefused(text, "messages")
    return shown[-1]


def _images(messages: Sequence[Message]) -> list[str]:
    parts = [part for message in messages if isinstance(message.content, list) for part in message.content]
    return [_url_of(part) for part in parts if not isinstance(part, TextPart)]


def _url_of(part: ImagePart | VideoPart | AudioPart) -> str:
    if isinstance(part, AudioPart):
        return f"data:audio/{part.input_audio.format};base64,{part.input_audio.data}"
    return part.image_url.url if isinstance(part, ImagePart) else part.video_url.url


def _question(messages: Sequence[Message], last: int, alone: bool, regions: int) -> str:
    """The last turn's words and, before them, what was said earlier: the oldest turns go where it gets too long. What
    they called regions, beyond those given now, is quoted."""
    asked = "\n".join(filter(None, map(_words, messages[last:])))
    if not asked.strip():
        raise RequestRefused("No question is given. Put a text part into the last message.", "messages")
    if alone:
        return asked
    earlier = [as_words(_words(message), regions) for message in messages[:last]]
    system = [words for words, m in zip(earlier, messages, strict=False) if m.role in ("system", "developer")]
    spoken = zip(messages[len(system) : last], earlier[len(system) :], strict=True)
    turns = [f"{message.role.capitalize()}: {words}" for message, words in spoken]
    while turns and sum(map(len, (*system, *turns, asked))) > MAX_QUESTION:
        turns = turns[2:]
    while turns and len(_join_turns(system, turns, asked)) > MAX_QUESTION:
        turns = turns[2:]
    return _join_turns(system, turns, asked)


def _join_turns(system: Sequence[str], turns: Sequence[str], asked: str) -> str:
    earlier = "\n".join(["Earlier in this conversation:", *turns]) if turns else ""
    return "\n\n".join(filter(None, [*system, earlier, asked]))


def _words(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content if isinstance(part, TextPart))


# What is wrong with a request


def _refusal(error: ValidationError, given: Any) -> RequestRefused:
    """The first thing that is wrong, with its field's name; no value is repeated."""
    found = error.errors(include_url=False, include_input=False)[0]
    # Where in `given` a place of pydantic's is; names of union members, which are no keys, are left out.
    place = found["loc"]
    path, here = "", given
    for i, step in enumerate(place):
        if isinstance(here, list) and isinstance(step, int):
            path, here = f"{path}[{step}]", here[step]
        elif isinstance(here, dict) and isinstance(step, str) and (step in here or i == len(place) - 1):
            path, here = f"{path}.{step[:80]}", here.get(step)
    param = path.removeprefix(".")
    if found["type"] in ("union_tag_invalid", "union_tag_not_found"):
        param += f".{found['ctx']['discriminator']}".replace("'", "")
        return RequestRefused(f"{param}: {_CHOICES[param.rsplit('.', 1)[-1]]}", param)
    unsupported = found["type"] == "too_long" and found["ctx"]["max_length"] == 0
    said = _SAID["none_required"] if unsupported else _SAID.get(found["type"], f"{found['msg']}.")
    return RequestRefused(f"{param or 'body'}: {said}", param or None)


_CHOICES = {
    "role": "system, developer, user and assistant speak here; results of tools are not taken, nothing calls them.",
    "type": "a part is text, an image_url, a video_url or an input_audio.",
}
_SAID = {
    "extra_forbidden": "This parameter is not known here. Leave it out.",
    "none_required": "This is not supported here. Leave it out.",
}
