"""A Qwen-VL checkpoint in this process: the packaged nano model, and small models on a laptop.

    model = InProcessModel("path/to/Qwen3-VL-2B-Instruct")
    replies = await model.generate([Message("user", (Pixels(key, image), Text("What colour is it?")))])

Prompts are rendered by the checkpoint's own chat template; image placeholders are expanded to the view's
grid here, so torchvision is not needed. A view runs through the vision tower once and is then remembered
(`vision_cache.py`); a prompt that was just answered is not read again to score continuations of it. Calls
run one after another on one thread. Left out: video frames as video (send them as images), batching over
questions (serve the model for that), streaming.

`python -m zoomagent.bench.vision_cache MODEL` measures what remembering views saves.
"""

import asyncio
import copy
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, TypeVar

import torch
from transformers import DynamicCache

from zoomagent.errors import ContextTooLong, ModelUnavailable
from zoomagent.models.base import Likelihood, Message, Pixels, Reply, Text, Token, Usage
from zoomagent.models.chat import arrange
from zoomagent.models.checkpoint import Checkpoint, load_checkpoint
from zoomagent.models.hermes import parse_calls
from zoomagent.models.vision_cache import Key, ViewFeatures, VisionCache

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Prompt:
    """Token ids with every image placeholder expanded, and the features that fill them."""

    ids: torch.Tensor
    views: tuple[ViewFeatures, ...]
    keys: tuple[Key, ...]

    @property
    def visual_tokens(self) -> int:
        return sum(len(view.tokens) for view in self.views)


@dataclass(frozen=True, eq=False)
class Prefix:
    """A prompt the text model has read: its key-value cache, the logits after it, and the next position."""

    prompt: Prompt
    cache: DynamicCache
    logits: torch.Tensor
    position: int

    def holds(self, prompt: Prompt) -> bool:
        return self.prompt.keys == prompt.keys and torch.equal(self.prompt.ids, prompt.ids)


class InProcessModel:
    """Satisfies `zoomagent.models.base.Model`. `dtype` is a torch name or "auto"; fp32 is fastest on most
    CPUs."""

    def __init__(
        self,
        source: str,
        *,
        name: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        vision_cache_bytes: int = 256 * 1024 * 1024,
        seed: int = 0,
    ) -> None:
        self.name = name or source.rstrip("/").rsplit("/", 1)[-1]
        self._loaded: Checkpoint = load_checkpoint(source, self.name, device, dtype)
        self.profile = self._loaded.profile
        self.vision = VisionCache(vision_cache_bytes)
        self._device = device
        self._random = torch.Generator(device=device).manual_seed(seed)
        self._last: Prefix | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="zoomagent-model")

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int = 128,
        temperature: float = 0.0,
        n: int = 1,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
    ) -> list[Reply]:
        return await self._alone(
            lambda clock: self._generate(messages, tools, max_tokens, temperature, n, clock), deadline
        )

    async def score(
        self, messages: Sequence[Message], continuations: Sequence[str], *, deadline: float | None = None
    ) -> list[Likelihood] | None:
        if not continuations:
            return []
        return await self._alone(lambda clock: self._score(messages, continuations, clock), deadline)

    def forget(self) -> None:
        """Drop every remembered view and prompt. For fair timing, while no call is under way."""
        self.vision = VisionCache(self.vision.max_bytes)
        self._last = None

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _alone(self, work: "Callable[[Clock], T]", deadline: float | None) -> T:
        """Run `work` on the model's own thread; stop it between tokens when nobody waits any more."""
        clock = Clock(deadline)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work, clock)
        finally:
            clock.stop()

    def _guarded(self, work: "Callable[[Clock], T]", clock: "Clock") -> T:
        try:
            with torch.inference_mode():
                return work(clock)
        except torch.OutOfMemoryError as error:
            raise ContextTooLong("The conversation does not fit into memory. Send fewer or smaller views.") from error

    def _generate(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        max_tokens: int,
        temperature: float,
        n: int,
        clock: "Clock",
    ) -> list[Reply]:
        prefix = self._read(self.encode(messages, tools), max_tokens, clock)
        rows = n if temperature > 0 else 1
        ids, logprobs = self._decode(prefix, rows, max_tokens, temperature, clock)
        replies = [
            self._reply(prefix.prompt, row, probs, bool(tools)) for row, probs in zip(ids, logprobs, strict=True)
        ]
        return replies if temperature > 0 else replies * n

    def _score(self, messages: Sequence[Message], continuations: Sequence[str], clock: "Clock") -> list[Likelihood]:
        given = [self._loaded.tokenizer.encode(text, add_special_tokens=False) for text in continuations]
        if not all(given):
            raise ValueError("A continuation is empty: it has no likelihood. Score non-empty text.")
        prefix = self._read(self.encode(messages, ()), max(map(len, given)), clock)
        logprobs = self._follow(prefix, given)
        return [
            Likelihood(float(row[torch.arange(len(ids)), torch.tensor(ids)].sum()), len(ids))
            for row, ids in zip(logprobs, given, strict=True)
        ]

    def encode(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> Prompt:
        """The conversation as tokens, up to where the assistant speaks next."""
        text = self.profile.tool_dialect in ("mini-o3", "p2r")
        told = arrange(messages, self.profile if text else replace(self.profile, tool_dialect="hermes"), tools)
        pixels = [part for message in told for part in message.parts if isinstance(part, Pixels)]
        views = tuple(self._see(view) for view in pixels)
        text = self._loaded.tokenizer.apply_chat_template(
            [_template_turn(message) for message in told], tokenize=False, add_generation_prompt=True
        )
        waiting = iter(views)
        ids: list[int] = []
        for token in self._loaded.tokenizer.encode(text, add_special_tokens=False):
            ids += [token] * (len(next(waiting).tokens) if token == self._loaded.image_id else 1)
        return Prompt(torch.tensor([ids], device=self._device), views, tuple(map(_key, pixels)))

    def _see(self, view: Pixels) -> ViewFeatures:
        return self.vision.get(_key(view), lambda: self._encode_view(view))

    def _encode_view(self, view: Pixels) -> ViewFeatures:
        model = self._loaded.model
        inputs = self._loaded.image_processor(images=[view.image], return_tensors="pt").to(self._device)
        seen = model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"], return_dict=True)
        deepstack = tuple(layer[0] for layer in seen.get("deepstack_features") or ())
        return ViewFeatures(tuple(inputs["image_grid_thw"][0].tolist()), seen.pooler_output[0], deepstack)

    def _read(self, prompt: Prompt, room: int, clock: "Clock") -> Prefix:
        """Run the prompt through the text model, unless it is the one just read."""
        clock.check()
        length = prompt.ids.shape[1]
        if length + room > self._loaded.max_tokens:
            raise ContextTooLong(
                f"The conversation takes {length} tokens and the reply up to {room}, but the model has room "
                f"for {self._loaded.max_tokens}. Send fewer or smaller views."
            )
        if self._last is None or not self._last.holds(prompt):
            self._last = self._prefill(prompt)
        return self._last

    def _prefill(self, prompt: Prompt) -> Prefix:
        positions = self._positions(prompt)
        cache = DynamicCache(config=self._loaded.model.config.text_config)
        seen = SimpleNamespace(
            pooler_output=tuple(view.tokens for view in prompt.views),
            deepstack_features=[list(layer) for layer in zip(*(view.deepstack for view in prompt.views), strict=True)],
        )
        outputs = self._loaded.model(
            input_ids=prompt.ids,
            position_ids=positions,
            mm_encoder_outputs={"image": seen} if prompt.views else None,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return Prefix(prompt, cache, outputs.logits[0, -1], int(positions.max()) + 1)

    def _positions(self, prompt: Prompt) -> torch.Tensor:
        if not prompt.views:
            return torch.arange(prompt.ids.shape[1], device=self._device).expand(3, 1, -1)
        positions, _ = self._loaded.model.model.get_rope_index(
            prompt.ids,
            mm_token_type_ids=(prompt.ids == self._loaded.image_id).int(),
            image_grid_thw=torch.tensor([view.grid for view in prompt.views], device=self._device),
        )
        return torch.as_tensor(positions)

    def _decode(
        self, prefix: Prefix, rows: int, max_tokens: int, temperature: float, clock: "Clock"
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Token by token, `rows` replies at once; a row that has ended is padded until all have."""
        cache = _copy_for(prefix.cache, rows)
        logits = prefix.logits.expand(rows, -1)
        ids: list[list[int]] = [[] for _ in range(rows)]
        logprobs: list[list[float]] = [[] for _ in range(rows)]
        for step in range(max_tokens):
            clock.check()
            distribution = self._log_softmax(logits)
            chosen = self._choose(distribution, temperature)
            for row, token in enumerate(chosen.tolist()):
                if not ids[row] or ids[row][-1] not in self._loaded.stop_ids:
                    ids[row].append(token)
                    logprobs[row].append(float(distribution[row, token]))
            if all(row[-1] in self._loaded.stop_ids for row in ids):
                break
            logits = self._step(chosen[:, None], cache, prefix.position + step)[:, -1]
        return ids, logprobs

    def _follow(self, prefix: Prefix, given: list[list[int]]) -> torch.Tensor:
        """Log-probabilities [row, place, token] at every place of the given continuations, in one forward
        pass."""
        first = self._log_softmax(prefix.logits).expand(len(given), 1, -1)
        longest = max(map(len, given))
        if longest == 1:
            return first
        padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in given], device=self._device)
        logits = self._step(padded[:, :-1], _copy_for(prefix.cache, len(given)), prefix.position)
        return torch.cat([first, self._log_softmax(logits)], dim=1)

    def _step(self, ids: torch.Tensor, cache: DynamicCache, position: int) -> torch.Tensor:
        rows, length = ids.shape
        positions = torch.arange(position, position + length, device=self._device).expand(3, rows, -1)
        outputs = self._loaded.model(input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True)
        return torch.as_tensor(outputs.logits)

    def _log_softmax(self, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.float().clone()
        logits[..., list(self._loaded.never)] = -torch.inf
        return logits.log_softmax(-1)

    def _choose(self, distribution: torch.Tensor, temperature: float) -> torch.Tensor:
        if temperature <= 0:
            return distribution.argmax(-1)
        weights = (distribution / temperature).softmax(-1)
        return torch.multinomial(weights, 1, generator=self._random)[:, 0]

    def _reply(self, prompt: Prompt, ids: list[int], logprobs: list[float], may_call: bool) -> Reply:
        ended = ids[-1] in self._loaded.stop_ids
        ids = ids[:-1] if ended else ids
        decode = self._loaded.tokenizer.decode
        text = decode(ids)
        text, calls = parse_calls(text) if may_call else (text, ())
        return Reply(
            text=text,
            finish="tool_calls" if calls else "stop" if ended else "length",
            tokens=tuple(Token(decode([token]), value) for token, value in zip(ids, logprobs, strict=False)),
            tool_calls=calls,
            usage=Usage(prompt.ids.shape[1], len(ids), prompt.visual_tokens),
            model=self.name,
        )


class Clock:
    """When a call must end: its deadline, or the moment its caller has gone."""

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline
        self._gone = threading.Event()

    def stop(self) -> None:
        self._gone.set()

    def check(self) -> None:
        if self._gone.is_set():
            raise ModelUnavailable("The call was cancelled.", code="cancelled")
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise ModelUnavailable("The model did not finish before the deadline. Allow more time or fewer tokens.")


def _key(view: Pixels) -> Key:
    """Pixels of one key may be rendered at several sizes, which the model sees differently."""
    return (view.key, *view.image.size)


def _copy_for(cache: DynamicCache, rows: int) -> DynamicCache:
    """The cache again, `rows` times: what follows must not disturb the remembered prompt."""
    copied = copy.deepcopy(cache)
    if rows > 1:
        copied.batch_repeat_interleave(rows)
    return copied


def _template_turn(message: Message) -> dict[str, Any]:
    content = [
        {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"} for part in message.parts
    ]
    return {"role": message.role, "content": content}
