"""ZoomAgent: ask a question about a picture, get an answer that was earned.

    from zoomagent import ZoomAgent

    with ZoomAgent() as agent:                                     # the packaged nano model
        answer = agent.ask("photo.jpg", "What is written on the red sign?")
        answer.save("out")

    ZoomAgent("http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct", strategy="dualfocus")

Every run returns an Answer whose outcome says how it ended; only misuse of this class raises. With a
`checkpointer`, a run named by `thread_id` that was killed goes on where it was when it is asked again, and a
finished one returns its answer. Left out: the state machine itself (zoomagent/graphs).
"""

import asyncio
import copy
import functools
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from langgraph.checkpoint.base import BaseCheckpointSaver

from zoomagent.answer import Answer, from_state
from zoomagent.background import Background
from zoomagent.clips import answer_of, ask_clip, what_was_read
from zoomagent.errors import InputRefused, RunError, SettingInvalid
from zoomagent.geometry import Box
from zoomagent.graphs.checking import MAX_OPTION, MAX_OPTIONS, MAX_QUESTION, bad_question, check_question, plain_words
from zoomagent.graphs.context import Bench, Budget, Context, Live
from zoomagent.graphs.endings import outcome_of_error
from zoomagent.graphs.regions import check_regions, items_of
from zoomagent.graphs.state import Question
from zoomagent.media import Picture, Recording, open_media
from zoomagent.media.paths import file_name
from zoomagent.media.patience import opened_in_time
from zoomagent.models.base import Model
from zoomagent.models.loading import identify, load_model, profile_fields, reach, silence_of, use_profile
from zoomagent.models.naming import name_of
from zoomagent.models.profiles import UNKNOWN
from zoomagent.prompts import DESCRIBE, PLAIN_DESCRIPTION
from zoomagent.run_record import Made, Outcome, Source, Step
from zoomagent.running import run
from zoomagent.store import ActiveThreads, CheckpointFile, store_errors, thread_name
from zoomagent.strategy import DESCRIPTION_CALLS, GATE, MAX_TOKENS, Rule, Strategy
from zoomagent.text import storable
from zoomagent.tools.taggers import open_tagger
from zoomagent.tools.tagging import Tagger
from zoomagent.tools.viewing import ViewStore

UNKNOWN_FAMILY = (
    "The model's family is not known by its name, so boxes and sizes are read as most models write them. "
    "Measure it: zoomagent doctor."
)

Regions = Sequence[Box | Sequence[int]]
"""Boxes in pixels of the upright original; `{0}` in a question's words is the first."""

Item = tuple[Any, str] | tuple[Any, str, Sequence[str]] | tuple[Any, str, Sequence[str], Regions]
"""A picture, a question and, where given, its options and regions."""

T = TypeVar("T")

log = logging.getLogger(__name__)

read_version = functools.cache(version)


@dataclass
class SharedModel:
    """The model, once it is there, and whether it was loaded here. Agents made of one another share it."""

    model: Model | None
    ours: bool


class ZoomAgent:
    """Asks one model about pictures. May be shared by threads and event loops; close it, or use `with`."""

    def __init__(
        self,
        model: str | Model = "nano",
        *,
        strategy: Strategy = "auto",
        rule: Rule = "learned",
        proof: bool = True,
        check: bool = True,
        ocr: bool = False,
        target_error: float | None = None,
        gate: float = GATE,
        arbiter: str | Path | None = None,
        budget: Budget | None = None,
        checkpointer: str | Path | BaseCheckpointSaver[Any] | None = None,
        margin: float | None = None,
        margin_pixels: int = 0,
        max_view_pixels: int | None = None,
        max_tokens: int = MAX_TOKENS,
        extra_body: Mapping[str, Any] | None = None,
        profile: Mapping[str, Any] | str | Path | None = None,
        samples: int = 5,
        connections: int = 16,
        opener: Callable[[Any], Picture | Recording] = open_media,
        tags: str | Tagger = "off",
    ) -> None:
        """`model`: "nano", a folder, "hf:" and a hub name, a base URL (`#name` picks the model), or a Model.

        `strategy` and `rule` are described in zoomagent/strategy.py. `proof` measures with one more call whether the
        crops mattered, `check` whether the thing asked for is visible in them, `ocr` reads them letter by letter too.
        `target_error` is the share of given answers that may be wrong: what is not sure enough is "Cannot tell". `gate`
        is the confidence from which `auto` looks no closer, `arbiter` a file of `zoomagent train calibrate`.

        `margin` is the share of the located square's side that is added around it (None: the model's own),
        `margin_pixels` the same in original pixels; `max_view_pixels` bounds every rendered view; `samples` are drawn
        to vote where a model gives no likelihoods; `max_tokens` is the length of a reply (a model that thinks gets more
        by itself), `extra_body` what its server needs besides (`{"enable_thinking": False}`); `profile` is what a model
        that is loaded here takes: a file of `zoomagent doctor --save-profile`, a checkpoint's folder, a family's name,
        or fields; `tags` names what the picture and its parts show and tells the later questions: "auto" asks the
        model, a folder holds a SigLIP 2 (`open_tagger`), a Tagger is called instead; a server gets at most
        `connections` calls at a time; `opener` turns what `ask` is given into a Picture, a Video or a Sound. Raises
        pydantic.ValidationError (a ValueError) for values that cannot be."""
        if profile is not None and not isinstance(model, str):
            raise SettingInvalid("A Model that is passed in has its own profile. Set it there: model.profile = …")
        self.context = Context(
            model=model if isinstance(model, str) else model.name,
            strategy=strategy,
            rule=rule,
            proof=proof,
            check=check,
            ocr=ocr,
            target_error=target_error,
            gate=gate,
            arbiter=None if arbiter is None else str(arbiter),
            budget=budget or Budget(),
            margin=margin,
            margin_pixels=margin_pixels,
            max_view_pixels=max_view_pixels,
            max_tokens=max_tokens,
            extra_body=dict(extra_body or {}),
            profile=profile_fields(profile),
            samples=samples,
            tags=tags if tags in ("off", "auto") else "own",  # type: ignore[arg-type]
        )
        self._tagger = tags if callable(tags) else open_tagger(tags) if self.context.tags == "own" else None
        self._held = SharedModel(None, ours=True) if isinstance(model, str) else SharedModel(model, ours=False)
        self._opener = opener
        self._connections = connections
        self._store = CheckpointFile(checkpointer) if isinstance(checkpointer, str | Path) else checkpointer
        self._background = Background()
        self._loading = asyncio.Lock()
        self._active = ActiveThreads()

    def using(self, **settings: Any) -> "ZoomAgent":
        """This agent with other settings (fields of `Context`: strategy, rule, budget …), for one question or many.

        It shares the model, the event loop and the store, so it costs nothing: close one of the two.
        Raises pydantic.ValidationError (a ValueError) for values that cannot be."""
        other = copy.copy(self)
        other.context = Context(**{**dict(self.context), **settings})
        return other

    @property
    def model_name(self) -> str:
        """The model's name; before it is loaded, the one it was asked for by, without address or folder."""
        named = self._held.model.name if self._held.model else ""
        return named or name_of(self.context.model)

    async def aload(self) -> None:
        """Load the model now, not with the first question. Raises RunError where it cannot be loaded."""
        await self._background.arun(self._load())

    async def areach(self) -> str:
        """See whether the model's server is there: why it is not, or "". Raises RunError where the model cannot be
        loaded."""

        async def reached() -> str:
            return await reach(await self._load())

        return await self._background.arun(reached())

    @property
    def silence(self) -> str:
        """Why the model's server did not answer last; "" where it did, was not asked yet, or is this process."""
        return silence_of(self._held.model) if self._held.model else ""

    # Asking

    def ask(
        self,
        image: Any,
        question: str,
        options: Sequence[str] = (),
        *,
        regions: Regions = (),
        thread_id: str | None = None,
    ) -> Answer:
        """The answer to one question about `image`.

        `image` is a path, bytes, a file object, a `data:` URL, a Pillow image, an array (height, width[, channels])
        or an open Picture; or a video or sound: a path, bytes, a `data:` URL, an open Video or Sound (extra `video`).
        An http(s) URL needs an `opener` that allows its host. With `options` the answer is one of them. `regions` are
        boxes in original pixels that the question is about: "What is written in {0}?" names the first. `thread_id`
        names the run in the checkpointer: asked again, it goes on or returns what it ended with.
        Boxes of the answer are original pixels. What goes wrong with picture, model or server is the answer's outcome;
        raises ValueError only for a `thread_id` without a checkpointer or of a wrong form."""
        return self._background.run(self._ask(image, question, options, regions, thread_id))

    async def aask(
        self,
        image: Any,
        question: str,
        options: Sequence[str] = (),
        *,
        regions: Regions = (),
        thread_id: str | None = None,
    ) -> Answer:
        """`ask` from a running event loop. Cancelling it cancels the run."""
        return await self._background.arun(self._ask(image, question, options, regions, thread_id))

    def stream(
        self,
        image: Any,
        question: str,
        options: Sequence[str] = (),
        *,
        regions: Regions = (),
        thread_id: str | None = None,
    ) -> Iterator[Step | Answer]:
        """The steps of the run as they happen, then its answer."""
        return self._background.iterate(self._run(image, question, options, regions, thread_id))

    def astream(
        self,
        image: Any,
        question: str,
        options: Sequence[str] = (),
        *,
        regions: Regions = (),
        thread_id: str | None = None,
    ) -> AsyncGenerator[Step | Answer, None]:
        """`stream` from a running event loop. Closing it ends the run, and returns when it has ended."""
        return self._background.aiterate(self._run(image, question, options, regions, thread_id))

    def batch(self, items: Iterable[Item], *, concurrency: int = 8) -> list[Answer]:
        """The answers to many questions, in order, `concurrency` at a time. One that fails does not stop the
        rest."""
        return self._background.run(self._batch(list(items), concurrency))

    async def abatch(self, items: Iterable[Item], *, concurrency: int = 8) -> list[Answer]:
        """`batch` from a running event loop."""
        return await self._background.arun(self._batch(list(items), concurrency))

    # Describing

    def describe(
        self, image: Any, *, grounded: bool = True, calls: int = DESCRIPTION_CALLS, thread_id: str | None = None
    ) -> Answer:
        """A description of `image` as the text of an answer. Its phrases carry boxes (`answer.grounded`), each of which
        was cut out and looked at; `grounded=False` asks for the words alone. It costs at most `calls` calls; raises
        pydantic.ValidationError (a ValueError) for a number that cannot be."""
        return self._background.run(self._describe(image, grounded, calls, thread_id))

    async def adescribe(
        self, image: Any, *, grounded: bool = True, calls: int = DESCRIPTION_CALLS, thread_id: str | None = None
    ) -> Answer:
        """`describe` from a running event loop."""
        return await self._background.arun(self._describe(image, grounded, calls, thread_id))

    # Single tools

    async def awork(self, image: Any, work: Callable[[Bench], Awaitable[T]]) -> T:
        """What `work` gives, done on the open picture with the model, in the loop that both belong to; for single tools
        beside whole runs. `image` as in `ask`. Raises RunError where the picture or the model cannot be used."""

        async def done() -> T:
            async with AsyncExitStack() as stack:
                return await work(await self._bench(stack, image))

        return await self._background.arun(done())

    # Closing

    def close(self) -> None:
        """Give back the model, where it was loaded here, and the event loop."""
        if self._held.ours and self._held.model is not None:
            self._background.run(self._held.model.aclose())
            self._held.model = None
        self._background.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Running

    async def _batch(self, items: Sequence[Item], concurrency: int) -> list[Answer]:
        if not isinstance(concurrency, int) or concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency!r}.")
        free = asyncio.Semaphore(concurrency)

        async def one(item: Item) -> Answer:
            async with free:
                parts = items_of(item, 4)
                if parts is None or len(parts) < 2:
                    text = "An item is (picture, question), with options as third, regions as fourth."
                    return self._refusal("", (), None, bad_question(text))
                image, question, *more = parts
                given, regions = [*more, (), ()][:2]
                try:
                    return await self._ask(image, question, given, regions, None)
                # Not narrower: a bug that one question meets must not lose the answers of the others.
                except Exception as error:
                    log.exception("a bug in one question of a batch")
                    text = f"A bug of zoomagent's ({type(error).__name__}). The log has all of it; please report it."
                    return self._refusal(question, given, None, RunError(text, code="bug"))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
        return [task.result() for task in tasks]

    async def _describe(self, image: Any, grounded: bool, calls: int, thread: str | None) -> Answer:
        if not grounded:
            return await self._ask(image, PLAIN_DESCRIPTION, (), (), thread)
        budget = Budget(**{**dict(self.context.budget), "calls": calls})
        return await self.using(budget=budget)._ask(image, DESCRIBE, (), (), thread, describe=True)

    async def _ask(
        self,
        image: Any,
        question: str,
        options: Sequence[str] | None,
        regions: Regions,
        thread: str | None,
        describe: bool = False,
    ) -> Answer:
        answer = None
        async for item in self._run(image, question, options, regions, thread, describe):
            if isinstance(item, Answer):
                answer = item
        if answer is None:
            raise RuntimeError("a run ended without its answer")
        return answer

    async def _run(
        self,
        image: Any,
        question: str,
        options: Sequence[str] | None,
        regions: Regions,
        thread: str | None,
        describe: bool = False,
    ) -> AsyncIterator[Step | Answer]:
        """Steps, then the answer. Whatever can go wrong in a run ends here as its outcome."""
        began = time.monotonic()
        question, options = plain_words(question, () if options is None else options)
        thread = thread_name(thread, is_kept=self._store is not None)
        try:
            check_question(question, options, regions)
            given = [box.as_list() for box in check_regions(regions, question)]
            async with AsyncExitStack() as stack:
                stack.enter_context(self._active.only_run(thread))
                stack.enter_context(store_errors())
                media = await self._opened(stack, image)
                if isinstance(media, Recording):
                    if given or describe:
                        text = "Regions and descriptions are of pictures. Ask about a video or sound without them."
                        raise InputRefused(text, code="unsupported_image")
                    items = self._run_on_clip(stack, media, question, options, thread or "", began)
                else:
                    start = Question(image="", question=question, options=list(options), settings={})
                    if given:
                        start["about"] = given
                    if describe:
                        start["describe"] = "grounded"
                    items = self._run_on_picture(stack, media, start, thread or "", began)
                async for item in items:
                    if isinstance(item, Answer):
                        picture = item.picture and item.picture.model_copy(update={"name": file_name(image)})
                        more = {"thread_id": thread, "picture": picture, "made": self.made()}
                        item = item.model_copy(update=more).from_picture(Source(image, self._opener))
                    yield item
        except RunError as error:
            yield self._refusal(question, options, thread, error)

    async def _run_on_clip(
        self, stack: AsyncExitStack, clip: Recording, question: str, options: Sequence[str], thread: str, began: float
    ) -> AsyncIterator[Step | Answer]:
        """The picture of its answer is the sheet of frames that it was read from, or that shows when."""
        saver = await self._saver(stack)
        model = await self._load(self._seconds_left(began))
        settings = self.context.model_dump(mode="json")

        def bench(sheet: Picture) -> Bench:
            return Bench(ViewStore(sheet, model.profile, max_pixels=self.context.max_view_pixels), model)

        async for item in ask_clip(clip, question, options, self.context, bench, saver, thread, settings, began):
            if isinstance(item, Step):
                yield item
            else:
                answer = answer_of(item, self.model_name, self.context.strategy, time.monotonic() - began)
                reasons = (*answer.reasons, *what_was_read(clip, model.profile)) if answer.answered else answer.reasons
                yield answer.model_copy(update={"reasons": reasons})

    async def _run_on_picture(
        self, stack: AsyncExitStack, picture: Picture, start: Question, thread: str, began: float
    ) -> AsyncIterator[Step | Answer]:
        bench = await self._bench(stack, picture)
        start |= {"image": bench.views.picture.id, "settings": self.context.model_dump(mode="json")}
        live = Live(**dict(self.context), bench=bench, spent=time.monotonic() - began, tagger=self._tagger)
        saver = await self._saver(stack)
        async for item in run(start, live, saver, thread):
            if isinstance(item, Step):
                yield item
                continue
            seconds = time.monotonic() - began
            answer = from_state(item, model=self.model_name, strategy=self.context.strategy, seconds=seconds)
            # Which dialect a server takes is no knowledge of how its model takes pictures.
            if replace(bench.model.profile, tool_dialect=UNKNOWN.tool_dialect) == UNKNOWN:
                answer = answer.model_copy(update={"reasons": (*answer.reasons, UNKNOWN_FAMILY)})
            yield answer

    async def _opened(self, stack: AsyncExitStack, image: Any) -> Picture | Recording:
        """The picture or clip, open. One that is passed in stays open."""
        if isinstance(image, Picture | Recording):
            return image
        media = await opened_in_time(self._opener, image, self.context.budget.seconds)
        stack.callback(media.close)
        return media

    async def _bench(self, stack: AsyncExitStack, image: Any) -> Bench:
        """The open picture and the model."""
        began = time.monotonic()
        picture = await self._opened(stack, image)
        if isinstance(picture, Recording):
            raise InputRefused(
                "Single tools take pictures. Ask a question about a video or sound.", code="unsupported_image"
            )
        model = await self._load(self._seconds_left(began))
        return Bench(ViewStore(picture, model.profile, max_pixels=self.context.max_view_pixels), model)

    def _seconds_left(self, began: float) -> float | None:
        seconds = self.context.budget.seconds
        return None if seconds is None else seconds - (time.monotonic() - began)

    async def _saver(self, stack: AsyncExitStack) -> BaseCheckpointSaver[Any] | None:
        if isinstance(self._store, CheckpointFile):
            return await stack.enter_async_context(self._store.opened())
        return self._store

    async def _load(self, seconds: float | None = None) -> Model:
        """The model, loaded with the first question, which has `seconds` left for what its server says of it."""
        async with self._loading:
            if self._held.model is None:
                extra: dict[str, Any] = {"extra_body": self.context.extra_body} if self.context.extra_body else {}
                self._held.model = await asyncio.to_thread(
                    load_model, self.context.model, connections=self._connections, **extra
                )
                await identify(self._held.model, seconds)
                use_profile(self._held.model, self.context.profile)
            return self._held.model

    def made(self) -> Made:
        """What makes answers now: version, moment, and the settings without what may be a secret or a place."""
        settings = self.context.model_dump(mode="json", exclude={"model", "extra_body", "arbiter"})
        settings["profile"].pop("extra_body", None)
        if self.context.arbiter is not None:
            settings["arbiter"] = Path(self.context.arbiter).name
        return Made(
            version=read_version("zoomagent"), at=datetime.now(UTC).isoformat(timespec="seconds"), settings=settings
        )

    def _refusal(self, question: str, options: Sequence[str], thread: str | None, error: RunError) -> Answer:
        """The answer of a run that could not start."""
        outcome = Outcome.model_validate(outcome_of_error(error))
        question, options = plain_words(question, options)
        given = options if isinstance(options, list | tuple) else ()
        # What is no text is named by its kind: its own words may be anything, or raise.
        shown = [one if isinstance(one, str) else f"({type(one).__name__})" for one in (question, *given[:MAX_OPTIONS])]
        return Answer(
            question=storable(shown[0])[:MAX_QUESTION],
            options=tuple(storable(option)[:MAX_OPTION] for option in shown[1:]),
            outcome=outcome,
            reasons=outcome.reasons,
            model=self.model_name,
            strategy=self.context.strategy,
            thread_id=thread,
            made=self.made(),
        )
