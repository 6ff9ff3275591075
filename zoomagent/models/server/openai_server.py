"""Any OpenAI-compatible server: vLLM and SGLang on a GPU, llama.cpp, `transformers serve`, hosted APIs.

    model = OpenAIModel("http://localhost:8000/v1", "Qwen/Qwen3-VL-8B-Instruct")
    replies = await model.generate([Message("user", (Pixels(key, image), Text("What is written there?")))])

Replies are not streamed: they are short, and a transfer that breaks is asked again as a whole, so partial
text is never scored. What a server refuses by name (log-probabilities, `temperature`, `n`, tools, `max_tokens`) is left
out from then on, and of what it limits (alternatives) as much is asked for as it allows; what it needs besides is
`extra_body`. A model that thinks first gets `THINKING_ROOM` more tokens.
Short continuations (Yes, a digit) are scored by the alternatives of the first token, all in one request. Other text is
scored by vLLM's `prompt_logprobs`, a request each, which reads the whole prompt anew; where that is not given and every
continuation may be one token, by the alternatives too; else not at all. SGLang's own way (`/generate` with
`logprob_start_len`) needs its chat template here and is left out.

Times: `idle` seconds without a byte, `run` seconds for one attempt, `RetryPolicy.total` for a call with its
retries. A server that holds a reply back until it is complete sends its first byte late: raise `idle` for
slow ones. `python -m zoomagent.models.doctor URL` measures what a server really does.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import httpx2

from zoomagent.errors import ContextTooLong, ModelNotFound, ModelUnavailable, ServerError
from zoomagent.files import check_json
from zoomagent.geometry import Size
from zoomagent.models.base import THINKING_ROOM, Likelihood, Message, Pixels, Reply, Text
from zoomagent.models.metering import current_meter
from zoomagent.models.naming import own_name
from zoomagent.models.profiles import UNKNOWN, Profile, override, profile_for
from zoomagent.models.server.completion import (
    first_token_likelihoods,
    given_likelihood,
    read_replies,
)
from zoomagent.models.server.connection import Connection, Read
from zoomagent.models.server.reply_bytes import hide
from zoomagent.models.server.retrying import Breaker, RetryPolicy
from zoomagent.models.server.server_errors import (
    BAD_REQUEST,
    allowed_below,
    refuses_roles,
    refuses_scores,
)
from zoomagent.models.server.wire import to_wire, wire_urls
from zoomagent.models.words.calls import find_calls
from zoomagent.models.words.chat import arrange, neutral
from zoomagent.strategy import MAX_TOKENS, Task

ALTERNATIVES = 20
"""The most `top_logprobs` the API allows."""
IDENTIFY_SECONDS = 5.0
"""What a server has to say which model it serves (ours); without it the model is an unknown one."""

FEWER_ALTERNATIVES = 5
"""What a server is asked for that refuses so many."""

SHORT = 3
"""Characters of continuations that are looked for among the alternatives of the first token first (ours)."""

MISSES = 3
"""Lists of continuations that were never among the alternatives so many times are no longer looked for there (ours)."""

LISTS = 1000
"""Lists of continuations that are remembered (ours)."""

REFUSALS = 2
"""Texts that a server refuses to score without naming a parameter before it counts as one that scores none (ours)."""


log = logging.getLogger(__name__)
T = TypeVar("T")


class OpenAIModel:
    """Satisfies `zoomagent.models.base.Model`. Without `model`, the only one that is served is taken."""

    def __init__(
        self,
        base_url: str,
        model: str = "",
        *,
        api_key: str | None = None,
        profile: Profile | None = None,
        retries: RetryPolicy | None = None,
        concurrency: int = 16,
        idle: float = 60.0,
        run: float = 120.0,
        connect: float = 10.0,
        transport: httpx2.AsyncBaseTransport | None = None,
        breaker: Breaker | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = model
        self.profile = profile or profile_for(model)
        self._profile_given = profile is not None
        self._fields: Mapping[str, Any] = {}
        self._server = Connection(
            base_url, api_key=api_key, retries=retries, concurrency=concurrency, idle=idle, run=run, connect=connect,
            transport=transport, breaker=breaker,
        )  # fmt: skip
        self._urls = wire_urls(self.profile)
        self._extra_body = dict(extra_body or {})
        check_json(self._extra_body, "extra_body")
        self._refused: set[str] = set()
        self._room = 0
        self._alternatives = ALTERNATIVES
        self.ignores_n = False
        self._scores_given: bool | None = None
        self._unexplained = 0
        self._lists: dict[tuple[str, ...], int] = {}

    @property
    def silence(self) -> str:
        """Why the server did not answer last; "" where it did, or was not asked yet."""
        return self._server.silence

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 0.0,
        n: int = 1,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
        task: Task | None = None,
    ) -> list[Reply]:
        deadline = self._server.end(deadline)
        wanted = n
        options = {"max_tokens": max_tokens, "temperature": temperature, "logprobs": True, **self._route(task)}
        n = n if temperature > 0 else 1
        options |= {"n": n} if n > 1 else {}
        try:
            replies = await self._replies(messages, options, tools, deadline)
        except ServerError as error:
            # Some servers have no room for so many at once, and say so without a name for it.
            if error.code != BAD_REQUEST or "n" not in options or "n" in self._refused:
                raise
            single = {name: value for name, value in options.items() if name != "n"}
            replies = await self._replies(messages, single, tools, deadline)
            self._refused.add("n")
        if any(reply.thought for reply in replies) and not self._room:
            self._room = THINKING_ROOM
            if any(reply.cut_in_thought for reply in replies):
                current_meter().require(1)
                replies = await self._replies(messages, options, tools, deadline)
        if temperature <= 0:
            return (replies * wanted)[:wanted]
        missing = n - len(replies)
        self.ignores_n = missing > 0
        options.pop("n", None)
        current_meter().require(missing)
        others = [self._replies(messages, options, tools, deadline) for _ in range(missing)]
        for more in await asyncio.gather(*others):
            replies += more[:1]
        return replies[:n]

    async def score(
        self,
        messages: Sequence[Message],
        continuations: Sequence[str],
        *,
        deadline: float | None = None,
        task: Task | None = None,
    ) -> list[Likelihood] | None:
        if not continuations:
            return []
        if not all(text.strip() for text in continuations):
            raise ValueError("A continuation is empty: it has no likelihood. Score non-empty text.")
        deadline = self._server.end(deadline)
        # A token holds no space but before its word.
        tokens = not any(" " in text or "\n" in text for text in continuations)
        short = tokens and all(len(text) <= SHORT for text in continuations)
        route = self._route(task)
        known = await self._score_first_tokens(messages, continuations, deadline, route) if short else None
        known = known or await self._score_given(messages, continuations, deadline, route)
        return known or (
            await self._score_first_tokens(messages, continuations, deadline, route) if tokens and not short else None
        )

    async def identify(self, seconds: float | None = None) -> None:
        """Find out before the first view is drawn which model this is, where its name does not say: from the only one
        that is served, or from the root that the server lists for it. A server that lists nothing is no error here."""
        if self._profile_given or (self.name and profile_for(self.name, {}) != UNKNOWN):
            return
        until = time.monotonic() + (IDENTIFY_SECONDS if seconds is None else min(seconds, IDENTIFY_SECONDS))
        try:
            listed = await self._server.listed(until, attempts=1)
        except ServerError:
            return
        if not self.name and len(listed) == 1:
            self.name = listed[0]["id"]
        names = [name for item in listed if item["id"] == self.name for name in item.values()]
        known = next((name for name in names if profile_for(name, {}) != UNKNOWN), None)
        # The name of the packaged model's own is its only sign: a root of that name is any folder.
        name = known if known and (known == self.name or known != "nano") else self.name
        self.profile = override(profile_for(name), self._fields)
        self._urls = wire_urls(self.profile)

    def keep_fields(self, fields: Mapping[str, Any]) -> None:
        """Stay with these fields of the profile that was set, whatever name the server tells later."""
        self._fields = {**self._fields, **fields}
        self._urls = wire_urls(self.profile)

    async def reach(self) -> str:
        """See whether the server is there, in a few seconds and once: `silence`."""
        with contextlib.suppress(ServerError):  # a server that lists no models has answered too
            await self._server.listed(time.monotonic() + IDENTIFY_SECONDS, attempts=1)
        return self.silence

    async def served(self, deadline: float | None = None) -> list[str]:
        """The names of the models the server lists."""
        return [item["id"] for item in await self._server.listed(deadline)]

    async def context_length(self, deadline: float | None = None) -> int | None:
        """Tokens of one conversation, where the server lists them (vLLM and SGLang do)."""
        mine = [item for item in await self._server.listed(deadline) if item["id"] == self.name]
        return int(mine[0]["max_model_len"]) if mine and "max_model_len" in mine[0] else None

    async def aclose(self) -> None:
        await self._server.aclose()

    async def _replies(
        self,
        messages: Sequence[Message],
        options: dict[str, Any],
        tools: Sequence[Mapping[str, Any]],
        deadline: float | None,
    ) -> list[Reply]:
        def read(body: dict[str, Any]) -> list[Reply]:
            sizes = [Size(*view.image.size) for view in _views(messages)]
            replies = []
            for reply in read_replies(body, sum(map(self.profile.visual_tokens, sizes))):
                reply = replace(reply, text=hide(reply.text, self._server.key.secret))
                if tools and not reply.tool_calls:
                    # Calls a server left in the text, because it has no parser for them, or not the right one.
                    text, calls = find_calls(reply.text)
                    reply = replace(reply, text=text, tool_calls=calls, finish="tool_calls") if calls else reply
                replies.append(reply)
            return replies

        return await self._complete(messages, options, tools, deadline, read)

    def _route(self, task: Task | None) -> dict[str, str]:
        """The served model of the task, where the profile names one. Servers keep what they have read apart by it."""
        named = self.profile.routes.get(task or "")
        return {"model": named} if named else {}

    async def _score_given(
        self,
        messages: Sequence[Message],
        continuations: Sequence[str],
        deadline: float | None,
        route: Mapping[str, str],
    ) -> list[Likelihood] | None:
        if self._scores_given is False or not self.profile.likelihood_of_given:
            return None
        if self._scores_given is None:
            first = await self._score_for_the_first_time(messages, continuations[0], deadline, route)
            if first is None:
                return None
            given, rest = [first], continuations[1:]
        else:
            given, rest = [], continuations
        current_meter().require(len(rest))
        scored = await asyncio.gather(*(self._score_one(messages, text, deadline, route) for text in rest))
        known = [likelihood for likelihood in (*given, *scored) if likelihood is not None]
        return known if len(known) == len(continuations) else None

    async def _score_for_the_first_time(
        self, messages: Sequence[Message], text: str, deadline: float | None, route: Mapping[str, str]
    ) -> Likelihood | None:
        """Find out whether this server scores given text. Some refuse, some ignore it, and some crash over it with
        images; a crash counts once another call shows that the server is alive. A refusal that names nothing may be of
        this one text."""
        try:
            return await self._score_one(messages, text, deadline, route, attempts=2)
        except ServerError as error:
            if error.code == BAD_REQUEST:
                self._unexplained += 1
                if refuses_scores(error) or self._unexplained >= REFUSALS:
                    self._scores_given = False
                return None
            if error.code != ModelUnavailable.code:
                raise
            await self._complete(messages, {"max_tokens": 1, "temperature": 0.0}, (), deadline, lambda body: None)
            self._scores_given = False
            return None

    async def _score_one(
        self,
        messages: Sequence[Message],
        text: str,
        deadline: float | None,
        route: Mapping[str, str],
        attempts: int | None = None,
    ) -> Likelihood | None:
        """Teacher-forced: the continuation stands as an unfinished assistant message at the prompt's end. None where
        the answer does not spell it, which says nothing about the next text."""
        # 0: of each place only the token that stands there. More of them double the reply.
        extra = {"prompt_logprobs": 0, "add_generation_prompt": False, "continue_final_message": True}
        told = [*messages, Message("assistant", (Text(text),))]
        options = {"max_tokens": 1, "temperature": 0.0, **extra, **route}

        def read(body: dict[str, Any]) -> tuple[bool, Likelihood | None]:
            read_replies(body, 0)  # what holds no reply is an error of the server, and not a text without a likelihood
            return isinstance(body.get("prompt_logprobs"), list), given_likelihood(body, neutral(text))

        scores, likelihood = await self._complete(told, options, (), deadline, read, attempts)
        if self._scores_given is None:
            self._scores_given = scores
        return likelihood

    async def _score_first_tokens(
        self,
        messages: Sequence[Message],
        continuations: Sequence[str],
        deadline: float | None,
        route: Mapping[str, str],
    ) -> list[Likelihood] | None:
        if not self.profile.likelihood_of_reply or self._refused & {"logprobs", "top_logprobs"}:
            return None
        listed = tuple(continuations)
        if self._lists.get(listed, 0) >= MISSES:
            return None

        def read(body: dict[str, Any]) -> list[Likelihood] | None:
            read_replies(body, 0)
            return first_token_likelihoods(body, continuations)

        options = {"max_tokens": 1, "temperature": 0.0, "logprobs": True, "top_logprobs": ALTERNATIVES, **route}
        known = await self._complete(messages, options, (), deadline, read)
        missed = self._lists.get(listed, 0)
        # What was found once is one token each, however unlikely another time.
        self._lists[listed] = -1 if known or missed < 0 else missed + 1
        if len(self._lists) > LISTS:
            del self._lists[next(iter(self._lists))]
        return known

    async def _complete(
        self,
        messages: Sequence[Message],
        options: Mapping[str, Any],
        tools: Sequence[Mapping[str, Any]],
        deadline: float | None,
        read: Read[T],
        attempts: int | None = None,
    ) -> T:
        """What `read` takes from one completion. What the server refuses by name is left out, and the request sent
        again."""
        await self._resolve_name(deadline)

        def probe() -> bytes:
            return self._request([Message("user", (Text("Hi"),))], {"max_tokens": 1}, ())[1]

        views = _views(messages)
        if len(views) > self.profile.max_images:
            raise ContextTooLong(
                f"The conversation holds {len(views)} views, but this model takes {self.profile.max_images}. "
                "Send fewer."
            )
        size = sum(view.image.width * view.image.height for view in views) // 16
        size += sum(len(part.text) for turn in messages for part in turn.parts if isinstance(part, Text))
        size += sum(len(call.arguments) for turn in messages for call in turn.tool_calls)
        while True:
            current_meter().require(1)
            request, sent = await self._server.apart(size, self._request, messages, options, tools)
            try:
                return await self._server.complete(sent, read, probe, deadline, attempts)
            except ModelNotFound as error:
                raise await self._name_served_models(error, options.get("model", self.name), deadline) from error
            except ContextTooLong:
                # Room for thoughts that does not fit is given up before views are made smaller.
                if not self._room or options.get("max_tokens", 0) <= 1:
                    raise
                self._room = self._room // 4 if self._room > THINKING_ROOM // 64 else 0
            except ServerError as error:
                if not self._leave_out(error, request):
                    raise

    def _request(
        self, messages: Sequence[Message], options: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]
    ) -> tuple[dict[str, Any], bytes]:
        """The request, and its bytes."""
        told = arrange(messages, self.profile, tools)
        request: dict[str, Any] = {"model": self.name, "messages": to_wire(told, self._urls), **options}
        if tools and self.profile.tool_dialect == "openai":
            request["tools"] = list(tools)
        if "top_logprobs" in request:
            request["top_logprobs"] = min(request["top_logprobs"], self._alternatives)
        if request["max_tokens"] > 1:
            request["max_tokens"] += self._room
        if "max_tokens" in self._refused:
            request["max_completion_tokens"] = request.pop("max_tokens")
        if "logprobs" in self._refused or not self.profile.likelihood_of_reply:
            request.pop("logprobs", None)
            request.pop("top_logprobs", None)
        if self.profile.hint_id:
            request["logit_bias"] = {str(self.profile.hint_id): -100}
        request |= {**self.profile.extra_body, **self._extra_body}
        sent = {name: value for name, value in request.items() if name not in self._refused}
        return sent, json.dumps(sent).encode()

    def _leave_out(self, error: ServerError, request: Mapping[str, Any]) -> bool:
        """Whether the refusal is of something that was sent and can be left out, which is then remembered."""
        has_results = any(turn["role"] == "tool" for turn in request["messages"])
        if refuses_roles(error) and self.profile.tool_dialect == "openai" and has_results:
            self.profile = replace(self.profile, tool_dialect="hermes")
            return True
        named = error.refused & set(request)
        if not named:
            return False
        if named == {"tools"}:
            self.profile = replace(self.profile, tool_dialect="hermes")
        if named == {"top_logprobs"}:
            asked = request["top_logprobs"]
            fewer = allowed_below(error, asked) or (FEWER_ALTERNATIVES if asked > FEWER_ALTERNATIVES else 0)
            if fewer:
                self._alternatives = fewer
                return True
        self._refused |= named - {"tools"}
        log.info("The server refused %s; going on without.", ", ".join(sorted(named)))
        return True

    async def _resolve_name(self, deadline: float | None) -> None:
        if self.name:
            return
        names = await self.served(deadline)
        if len(names) != 1:
            _tell_operator(names)
            raise ModelNotFound(f"Name a model: the server lists {_list_names(names)}.")
        self.name = names[0]
        if not self._profile_given:
            self.profile = override(profile_for(self.name), self._fields)
            self._urls = wire_urls(self.profile)

    async def _name_served_models(self, error: ModelNotFound, name: str, deadline: float | None) -> ModelNotFound:
        if "404" not in str(error):
            return error
        try:
            names = await self.served(deadline)
        except ServerError:
            return error
        _tell_operator(names)
        return ModelNotFound(f"The server does not serve {own_name(name)!r}. It lists {_list_names(names)}.")


def _views(messages: Sequence[Message]) -> list[Pixels]:
    return [part for message in messages for part in message.parts if isinstance(part, Pixels)]


def _list_names(names: Sequence[str]) -> str:
    told = ", ".join(repr(own_name(name)) for name in names[:10])
    return (told + (f" and {len(names) - 10} more" if len(names) > 10 else "")) or "none"


def _tell_operator(names: Sequence[str]) -> None:
    """A folder that a server calls its model by has to be given in full, and is nothing to tell clients."""
    if any(own_name(name) != name for name in names[:10]):
        log.warning("The server lists %s.", ", ".join(map(repr, names[:10])))
