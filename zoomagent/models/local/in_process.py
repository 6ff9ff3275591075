"""A Qwen-VL checkpoint in this process: the packaged nano model, and small models on a laptop.

    model = InProcessModel("path/to/Qwen3-VL-2B-Instruct")
    replies = await model.generate([Message("user", (Pixels(key, image), Text("What colour is it?")))])

Prompts are rendered by the checkpoint's own chat template; image placeholders are expanded to the view's
grid here, so torchvision is not needed. A view runs through the vision tower once and is then remembered
(`vision_cache.py`); a prompt that was just answered is not read again to score continuations of it. Calls
run one after another on one thread; `generate_each` answers many conversations of one shape in one pass. Left out:
video frames as video (send them as images), batching calls that come at the same time (serve the model for that),
streaming.

`python benchmarks/vision_cache.py MODEL` measures what remembering views saves.
"""

import asyncio
import copy
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import torch
from PIL import Image
from transformers import DynamicCache

from zoomagent.errors import ContextTooLong, ModelNotFound, ModelUnavailable, SettingInvalid
from zoomagent.geometry import Size
from zoomagent.models.base import THINKING_ROOM, Likelihood, Message, Pixels, Reply, Text, Token, Usage
from zoomagent.models.local.checkpoint import Checkpoint, load_checkpoint, readable
from zoomagent.models.local.vision_cache import Key, ViewFeatures, VisionCache
from zoomagent.models.local.weights import weights_hash
from zoomagent.models.profiles import NANO
from zoomagent.models.words.chat import arrange
from zoomagent.models.words.hermes import parse_calls
from zoomagent.models.words.unwrapping import dialogue_turn, without_thoughts
from zoomagent.strategy import MAX_TOKENS, Task

T = TypeVar("T")
BATCH = 32
"""Conversations, or views, that go through the model at once (ours)."""

RENDER_SECONDS = 5.0
"""How long a checkpoint's chat template may take for one conversation (ours): usual ones take milliseconds."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """Token ids with every image placeholder expanded, the features that fill them, and the task whose adapter reads
    them (None: the model without adapters)."""

    ids: torch.Tensor
    views: tuple[ViewFeatures, ...]
    keys: tuple[Key, ...]
    task: Task | None = None

    @property
    def visual_tokens(self) -> int:
        return sum(len(view.tokens) for view in self.views)


@dataclass(frozen=True, eq=False)
class Prefix:
    """Prompts of one shape that the text model has read: its key-value cache, the logits [prompt, token] after them,
    and the next position."""

    prompts: tuple[Prompt, ...]
    cache: DynamicCache
    logits: torch.Tensor
    position: int

    def holds(self, prompt: Prompt) -> bool:
        [held, *more] = self.prompts
        return not more and held.task == prompt.task and held.keys == prompt.keys and torch.equal(held.ids, prompt.ids)


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
        self._source = source
        self._device = device
        self._random = torch.Generator(device=device).manual_seed(seed)
        self._last: Prefix | None = None
        with readable(self.name):
            # One short conversation before anybody asks: where the parts of a checkpoint disagree, it ends here. Its
            # words must be in the prompt.
            profile = self.profile
            size = profile.fit(Size(1, 1), max(profile.min_pixels, (profile.min_side + profile.multiple) ** 2))
            view = Pixels("try-out", Image.new("RGB", (size.width, size.height)))
            word = "zoomagent"
            told = [
                Message("user", (view, Text(word))),
                Message("assistant", (Text(word),)),
                Message("user", (Text(word),)),
            ]
            if self._render(told).count(word) < len(told):
                raise ModelNotFound(f"The chat template of {self.name!r} leaves out what is said. Repair it.")
            with torch.inference_mode():
                self._generate(told, (), 2, 0.0, 1, Clock(None))
            self.forget()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="zoomagent-model")

    @cached_property
    def weights(self) -> str:
        """The hash of the weights of a small checkpoint in a folder, by which its arbiter knows it; else ""."""
        return weights_hash(Path(self._source)) if self.profile.family == NANO.family else ""

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
        return await self._alone(
            lambda clock: self._generate(messages, tools, max_tokens, temperature, n, clock, task), deadline
        )

    async def generate_each(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        max_tokens: int = MAX_TOKENS,
        deadline: float | None = None,
        tasks: Sequence[Task | None] = (),
    ) -> list[Reply]:
        """One greedy reply to each conversation. Those whose texts and views are equally long (one question about many
        views of one size) share their passes through the model, at most BATCH at a time; their `tasks` may differ."""
        return await self._alone(lambda clock: self._generate_each(conversations, max_tokens, clock, tasks), deadline)

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

        def work(clock: Clock) -> list[Likelihood]:
            given = [self._loaded.tokenizer.encode(text, add_special_tokens=False) for text in continuations]
            if not all(given):
                raise ValueError("A continuation is empty: it has no likelihood. Score non-empty text.")
            longest = max(map(len, given))
            prefix = self._read(self.encode(messages, (), task), longest, clock)
            # Log-probabilities [row, place, token] at every place of the continuations, in one forward pass.
            logprobs = self._log_softmax(prefix.logits)[:, None].expand(len(given), 1, -1)
            if longest > 1:
                padded = torch.tensor([ids + [0] * (longest - len(ids)) for ids in given], device=self._device)
                cache = _copy_for(prefix.cache, len(given))
                logits = self._step(padded[:, :-1], cache, prefix.position, _tasks(prefix, len(given)))
                logprobs = torch.cat([logprobs, self._log_softmax(logits)], dim=1)
            return [
                Likelihood(float(row[torch.arange(len(ids)), torch.tensor(ids)].sum()), len(ids))
                for row, ids in zip(logprobs, given, strict=True)
            ]

        return await self._alone(work, deadline)

    def forget(self) -> None:
        """Drop every remembered view and prompt. For fair timing, while no call is under way."""
        self.vision = VisionCache(self.vision.max_bytes)
        self._last = None

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _alone(self, work: "Callable[[Clock], T]", deadline: float | None) -> T:
        """Run `work` on the model's own thread; stop it between tokens when nobody waits any more."""
        clock = Clock(deadline)

        def run() -> T:
            try:
                with torch.inference_mode():
                    return work(clock)
            except torch.OutOfMemoryError as error:
                text = "The conversation does not fit into memory. Send fewer or smaller views."
                raise ContextTooLong(text) from error

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        finally:
            clock.stop()

    def _generate(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        max_tokens: int,
        temperature: float,
        n: int,
        clock: "Clock",
        task: Task | None = None,
    ) -> list[Reply]:
        prefix = self._read(self.encode(messages, tools, task), max_tokens, clock)
        rows = n if temperature > 0 else 1
        for room in (0, THINKING_ROOM):
            ids, logprobs = self._decode(prefix, rows, max_tokens + room, temperature, clock)
            replies = [
                self._reply(prefix.prompts[0], row, probs, bool(tools))
                for row, probs in zip(ids, logprobs, strict=True)
            ]
            if not any(reply.cut_in_thought for reply in replies):
                break
            self._fits(prefix.prompts[0], max_tokens + THINKING_ROOM)
        return replies if temperature > 0 else replies * n

    def _generate_each(
        self,
        conversations: Sequence[Sequence[Message]],
        max_tokens: int,
        clock: "Clock",
        tasks: Sequence[Task | None],
    ) -> list[Reply]:
        # Run the views that are not remembered through the vision tower, several at a time.
        views = [part for told in conversations for m in told for part in m.parts if isinstance(part, Pixels)]
        missing = list({_key(view): view for view in views if _key(view) not in self.vision}.values())
        for start in range(0, len(missing), BATCH):
            some = missing[start : start + BATCH]
            for view, features in zip(some, self._encode_views(some), strict=True):
                self.vision.get(_key(view), lambda features=features: features)  # type: ignore[misc]
        each = tasks or [None] * len(conversations)
        prompts = [self.encode(messages, (), task) for messages, task in zip(conversations, each, strict=True)]
        # Prompts share a pass where they are equally long, with views of the same grids.
        groups: dict[Any, list[int]] = {}
        for i, prompt in enumerate(prompts):
            groups.setdefault((prompt.ids.shape[1], tuple(view.grid for view in prompt.views)), []).append(i)
        replies: dict[int, Reply] = {}
        for batch in (group[i : i + BATCH] for group in groups.values() for i in range(0, len(group), BATCH)):
            clock.check()
            self._fits(prompts[batch[0]], max_tokens)
            prefix = self._prefill([prompts[i] for i in batch])
            ids, logprobs = self._decode(prefix, len(batch), max_tokens, 0.0, clock)
            for i, row, probs in zip(batch, ids, logprobs, strict=True):
                replies[i] = self._reply(prompts[i], row, probs, False)
        return [replies[i] for i in range(len(prompts))]

    def encode(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], task: Task | None = None
    ) -> Prompt:
        """The conversation as tokens, up to where the assistant speaks next. A model without routes knows no tasks."""
        text = self.profile.tool_dialect in ("mini-o3", "p2r")
        told = arrange(messages, self.profile if text else replace(self.profile, tool_dialect="hermes"), tools)
        pixels = [part for message in told for part in message.parts if isinstance(part, Pixels)]
        if any(part.wav for part in pixels):
            why = "A model in this process is given no sounds. Serve it, or set sound to spectrogram in its profile."
            raise SettingInvalid(why)
        views = tuple(self._features(view) for view in pixels)
        tokens = self._loaded.tokenizer.encode(self._render(told), add_special_tokens=False)
        if tokens.count(self._loaded.image_id) != len(views):
            raise ModelNotFound(f"The chat template of {self.name!r} does not show every picture once. Repair it.")
        waiting = iter(views)
        ids: list[int] = []
        for token in tokens:
            ids += [token] * (len(next(waiting).tokens) if token == self._loaded.image_id else 1)
        return Prompt(
            torch.tensor([ids], device=self._device),
            views,
            tuple(map(_key, pixels)),
            task if self._loaded.routed else None,
        )

    def _render(self, told: Sequence[Message]) -> str:
        """The conversation by the checkpoint's own template, which comes from outside: it may fail, or never end."""
        turns = [template_turn(message) for message in told]
        with readable(self.name), no_longer_than(RENDER_SECONDS):
            text = self._loaded.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            return str(text)

    def _features(self, view: Pixels) -> ViewFeatures:
        return self.vision.get(_key(view), lambda: self._encode_views([view])[0])

    def _encode_views(self, views: Sequence[Pixels]) -> list[ViewFeatures]:
        model = self._loaded.model
        inputs = self._loaded.image_processor(images=[view.image for view in views], return_tensors="pt")
        inputs = inputs.to(self._device)
        seen = model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"], return_dict=True)
        # A DeepStack layer gives its features per view, or those of all views in one.
        layers = [
            layer if isinstance(layer, list | tuple) else layer.split(list(map(len, seen.pooler_output)))
            for layer in seen.get("deepstack_features") or ()
        ]
        grids = [tuple(grid) for grid in inputs["image_grid_thw"].tolist()]
        return [
            ViewFeatures(grid, tokens, tuple(layer[i] for layer in layers))
            for i, (grid, tokens) in enumerate(zip(grids, seen.pooler_output, strict=True))
        ]

    def _read(self, prompt: Prompt, room: int, clock: "Clock") -> Prefix:
        """Run the prompt through the text model, unless it is the one just read."""
        clock.check()
        self._fits(prompt, room)
        if self._last is None or not self._last.holds(prompt):
            self._last = self._prefill([prompt])
        return self._last

    def _fits(self, prompt: Prompt, room: int) -> None:
        length = prompt.ids.shape[1]
        if length + room > self._loaded.max_tokens:
            raise ContextTooLong(
                f"The conversation takes {length} tokens and the reply up to {room}, but the model has room "
                f"for {self._loaded.max_tokens}. Send fewer or smaller views."
            )

    def _prefill(self, prompts: Sequence[Prompt]) -> Prefix:
        """Read prompts of one shape."""
        ids = torch.cat([prompt.ids for prompt in prompts])
        views = [view for prompt in prompts for view in prompt.views]
        positions = self._positions(ids, views)
        cache = DynamicCache(config=self._loaded.model.config.text_config)
        seen = SimpleNamespace(
            pooler_output=tuple(view.tokens for view in views),
            deepstack_features=[list(layer) for layer in zip(*(view.deepstack for view in views), strict=True)],
        )
        outputs = self._pass(
            [prompt.task for prompt in prompts],
            input_ids=ids,
            position_ids=positions,
            mm_encoder_outputs={"image": seen} if views else None,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return Prefix(tuple(prompts), cache, outputs.logits[:, -1], int(positions.max()) + 1)

    def _positions(self, ids: torch.Tensor, views: Sequence[ViewFeatures]) -> torch.Tensor:
        if not views:
            return torch.arange(ids.shape[1], device=self._device).expand(3, len(ids), -1)
        positions, _ = self._loaded.model.model.get_rope_index(
            ids,
            mm_token_type_ids=(ids == self._loaded.image_id).int(),
            image_grid_thw=torch.tensor([view.grid for view in views], device=self._device),
        )
        return torch.as_tensor(positions)

    def _decode(
        self, prefix: Prefix, rows: int, max_tokens: int, temperature: float, clock: "Clock"
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Token by token, `rows` replies at once, to one prompt or to as many; a row that has ended is padded until all
        have."""
        cache = _copy_for(prefix.cache, rows)
        logits = prefix.logits.expand(rows, -1)
        ids: list[list[int]] = [[] for _ in range(rows)]
        logprobs: list[list[float]] = [[] for _ in range(rows)]
        for step in range(max_tokens):
            clock.check()
            distribution = self._log_softmax(logits)
            if temperature > 0:
                weights = (distribution / temperature).softmax(-1)
                chosen = torch.multinomial(weights, 1, generator=self._random)[:, 0]
            else:
                chosen = distribution.argmax(-1)
            for row, token in enumerate(chosen.tolist()):
                if not ids[row] or ids[row][-1] not in self._loaded.stop_ids:
                    ids[row].append(token)
                    logprobs[row].append(float(distribution[row, token]))
            if all(row[-1] in self._loaded.stop_ids for row in ids):
                break
            logits = self._step(chosen[:, None], cache, prefix.position + step, _tasks(prefix, rows))[:, -1]
        return ids, logprobs

    def _step(
        self, ids: torch.Tensor, cache: DynamicCache, position: int, tasks: Sequence[Task | None]
    ) -> torch.Tensor:
        rows, length = ids.shape
        positions = torch.arange(position, position + length, device=self._device).expand(3, rows, -1)
        outputs = self._pass(tasks, input_ids=ids, position_ids=positions, past_key_values=cache, use_cache=True)
        return torch.as_tensor(outputs.logits)

    def _pass(self, tasks: Sequence[Task | None], **inputs: Any) -> Any:
        """One pass of rows, each through the adapter of its task."""
        routed = self._loaded.routed
        return routed(tasks, **inputs) if routed else self._loaded.model(**inputs)

    def _log_softmax(self, logits: torch.Tensor) -> torch.Tensor:
        logits = logits.float().clone()
        logits[..., list(self._loaded.never)] = -torch.inf
        distribution = logits.log_softmax(-1)
        if distribution.isnan().any():
            raise ModelNotFound(f"The weights of {self.name!r} give no numbers (NaN). Are they damaged?")
        return distribution

    def _reply(self, prompt: Prompt, ids: list[int], logprobs: list[float], may_call: bool) -> Reply:
        ended = ids[-1] in self._loaded.stop_ids
        ids = ids[:-1] if ended else ids
        decode = self._loaded.tokenizer.decode
        whole = decode(ids)
        thought = without_thoughts(whole) != whole
        text = dialogue_turn(whole) if thought else whole
        # The likelihood of an answer is that of its own words: those after the last thought.
        first = next((i for i in range(len(ids), 0, -1) if decode(ids[i:]).strip() == text), 0) if thought else 0
        ids, logprobs = ids[first:], logprobs[first:]
        text, calls = parse_calls(text) if may_call else (text, ())
        return Reply(
            text=text,
            finish="tool_calls" if calls else "stop" if ended else "length",
            tokens=tuple(Token(decode([token]), value) for token, value in zip(ids, logprobs, strict=False)),
            tool_calls=calls,
            usage=Usage(prompt.ids.shape[1], len(ids), prompt.visual_tokens),
            model=self.name,
            thought=thought,
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


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Stop Python code of others on this thread, between two of its lines, when its time is over."""
    end, before = time.monotonic() + seconds, sys.gettrace()

    def looked(frame: Any, event: str, argument: Any) -> Any:
        if time.monotonic() > end:
            raise TimeoutError(f"not done in {seconds:g} seconds")
        return looked

    sys.settrace(looked)
    try:
        yield
    finally:
        sys.settrace(before)


def _key(view: Pixels) -> Key:
    """Pixels of one key may be rendered at several sizes, which the model sees differently."""
    return (view.key, *view.image.size)


def _copy_for(cache: DynamicCache, rows: int) -> DynamicCache:
    """The cache again, `rows` times: what follows must not disturb the remembered prompt."""
    copied = copy.deepcopy(cache)
    held = copied.layers[0].keys.shape[0]
    if rows > held:
        copied.batch_repeat_interleave(rows)
    return copied


def _tasks(prefix: Prefix, rows: int) -> list[Task | None]:
    """The tasks of `rows` rows that follow one prompt, or as many."""
    tasks = [prompt.task for prompt in prefix.prompts]
    return tasks if len(tasks) == rows else tasks * rows


def template_turn(message: Message) -> dict[str, Any]:
    """A message as chat templates take it; pictures are named by their place alone."""
    content = [
        {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"} for part in message.parts
    ]
    return {"role": message.role, "content": content}
