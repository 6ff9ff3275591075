"""What a run is given besides its question: settings, which are JSON and shown in Studio, and the open
picture and model.

`Context` alone is enough for `langgraph dev`: the picture and the model named there are opened once and kept. Whoever
reaches such a server writes the context, so it may only name what the operator named in the environment before.
`ZoomAgent` passes a `Live` context, which brings them along. Wrong values are refused when the run starts,
not when they are used.
"""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from langgraph.runtime import Runtime
from pydantic import BaseModel, ConfigDict, Field, InstanceOf, field_validator

from zoomagent.errors import InputRefused, SettingInvalid
from zoomagent.graphs.checking import bad_question, check_question, check_state
from zoomagent.graphs.state import State
from zoomagent.media import open_picture
from zoomagent.media.patience import opened_in_time
from zoomagent.models.base import Model
from zoomagent.models.loading import identify, load_model
from zoomagent.strategy import CALLS, DEPTH, GATE, MAX_TOKENS, SECONDS, Rule, Strategy
from zoomagent.text import storable
from zoomagent.tools.viewing import ViewStore


class Budget(BaseModel):
    """What a run may spend. When one ends the run answers with what it has, and says so. None is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: Annotated[int, Field(ge=1, description="Calls of the model.")] = CALLS
    visual_tokens: Annotated[int | None, Field(ge=1, description="Visual tokens, each time shown.")] = None
    seconds: Annotated[float | None, Field(gt=0, description="Wall-clock seconds inside the run.")] = SECONDS
    depth: Annotated[
        int, Field(ge=0, description="How often a zoom may go into a zoom; 0 looks at the whole only.")
    ] = DEPTH


class Context(BaseModel):
    """The settings of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str, Field(description="nano, a folder with weights, or the base URL of a server.")] = "nano"
    strategy: Strategy = "auto"
    rule: Rule = "learned"
    proof: Annotated[bool, Field(description="Measure whether the crops mattered, with one more call.")] = True
    check: Annotated[bool, Field(description="Measure whether the thing asked for can be seen in its crop.")] = True
    ocr: Annotated[bool, Field(description="Read crops letter by letter too (extra `ocr`).")] = False
    confirm: Annotated[bool, Field(description="Wait for a person to confirm or redraw boxes before zooming.")] = False
    target_error: Annotated[
        float | None, Field(gt=0, lt=1, description="Share of given answers that may be wrong; else: Cannot tell.")
    ] = None
    gate: Annotated[float, Field(gt=0, le=1, description="Confidence from which `auto` looks no closer.")] = GATE
    arbiter: Annotated[str | None, Field(description="A file of `zoomagent train calibrate`; None: the model's.")] = (
        None
    )
    budget: Budget = Budget()
    margin: Annotated[
        float | None, Field(ge=0, le=4, description="Crop margin as a share of the square's side; None: the model's.")
    ] = None
    margin_pixels: Annotated[int, Field(ge=0, description="Crop margin in original pixels; DualFocus uses 25.")] = 0
    max_view_pixels: Annotated[int | None, Field(ge=1, description="Limit for every view; None: the model's.")] = None
    max_tokens: Annotated[int, Field(ge=1, description="Length of one reply.")] = MAX_TOKENS
    extra_body: Annotated[
        dict[str, Any], Field(description='What the model\'s server needs besides: {"enable_thinking": false}.')
    ] = {}
    profile: Annotated[
        dict[str, Any], Field(description="What the model takes, where it was measured: fields of its profile.")
    ] = {}
    tags: Annotated[
        Literal["off", "auto", "own"],
        Field(
            description="Name what the picture shows, and tell the later questions. `own`: by a tagger of Python's.",
            exclude_if=lambda value: value == "off",
        ),
    ] = "off"
    samples: Annotated[int, Field(ge=1, description="Samples to vote when the model gives no likelihoods.")] = 5

    @field_validator("extra_body", "profile")
    @classmethod
    def _can_be_sent_and_kept(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, RecursionError) as error:
            raise ValueError("not writable as JSON") from error
        return value


@dataclass(frozen=True)
class Bench:
    """The open picture with its views, and the model."""

    views: ViewStore
    model: Model


class Live(Context):
    """A context whose picture and model are open already, which took `spent` seconds of the budget."""

    bench: InstanceOf[Bench]
    spent: float = 0.0
    tagger: Callable[..., Any] | None = None


_benches: dict[tuple[object, ...], Bench] = {}
_KEPT = 4


async def bench_of(state: State, runtime: Runtime[Context]) -> Bench:
    """The run's picture and model, which know every view of the state, and no view of another run."""
    context = runtime.context
    if isinstance(context, Live):
        bench = context.bench
    else:
        check_asked(state)
        kept = await _opened(state["image"], context)
        bench = Bench(kept.views.emptied(), kept.model)
    if not all(bench.views.holds(view) for view in state.get("views", [])):
        text = "The state holds views of another picture, or larger ones than can be. Start another thread."
        raise InputRefused(text, code="bad_state")
    bench.views.know(state.get("views", []))
    return bench


def check_asked(state: State) -> None:
    """Whoever reaches a graph server writes its input and the state, with or without what a run needs."""
    for name in ("image", "question"):
        value = state.get(name)
        if not isinstance(value, str) or not value.strip():
            raise bad_question(f"The input has no {name}. Give one, as text.")
    if storable(state["image"], len(state["image"])) != state["image"]:
        raise bad_question("The input's image holds half a character (a lone surrogate). Send valid Unicode.")
    check_question(state["question"], state.get("options", []), state.get("about", []))
    try:
        check_state(state)
    except (ValueError, TypeError, RecursionError) as error:
        text = "The state of this thread is not one that a run leaves. Start another thread."
        raise InputRefused(text, code="bad_state") from error


async def _opened(image: str, context: Context) -> Bench:
    """Without a live context (Studio): open what is named, and keep the last few. A changed file is another one."""
    _check_named("model", context.model, ("nano", *named_in("ZOOMAGENT_MODELS")), "ZOOMAGENT_MODELS")
    if context.arbiter is not None:
        _check_named("arbiter", context.arbiter, named_in("ZOOMAGENT_ARBITERS"), "ZOOMAGENT_ARBITERS")
    if context.profile or context.extra_body:
        # Both decide what a server is sent under the operator's key.
        raise SettingInvalid("This server's models have their profiles. Its operator sets ZOOMAGENT_PROFILE.")
    path = await asyncio.to_thread(_allowed, image)
    stamp = 0 if isinstance(path, str) else await asyncio.to_thread(_changed, path)
    key = (image, stamp, context.model, context.max_view_pixels)
    if key not in _benches:
        picture = await opened_in_time(open_picture, path, context.budget.seconds)
        model = await asyncio.to_thread(load_model, context.model)
        await identify(model, context.budget.seconds)
        while len(_benches) >= _KEPT:
            _benches.pop(next(iter(_benches)))
        _benches[key] = Bench(ViewStore(picture, model.profile, max_pixels=context.max_view_pixels), model)
    return _benches[key]


def named_in(variable: str) -> tuple[str, ...]:
    """What the operator named in an environment variable, names apart by commas."""
    return tuple(name for part in os.environ.get(variable, "").split(",") if (name := part.strip()))


def _check_named(what: str, name: str, allowed: tuple[str, ...], variable: str) -> None:
    """A model's address gets pictures and key, a file is read: so it is letter for letter what the operator named."""
    if name not in allowed:
        raise SettingInvalid(
            f"This server may not use that {what}: its operator did not name it. Ask for one that is named in "
            f"{variable} (apart by commas)."
        )


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # gone since it was looked at
        raise _no_file() from None


def _no_file() -> InputRefused:
    return InputRefused("There is no such picture. Name a file or send a data: URL.", code="not_a_file")


def _allowed(image: str) -> str | Path:
    """Whoever reaches a server may name pictures: data: URLs, and files below one folder, no others."""
    if image[:5].lower() == "data:":
        return image
    root = Path(os.environ.get("ZOOMAGENT_IMAGES", ".")).resolve()
    try:
        path = Path("/") if "\0" in image else (root / image).resolve()
        there = path.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, half a character, links in a circle
        path, there = root, False
    if not path.is_relative_to(root):
        text = "Pictures are opened below the folder ZOOMAGENT_IMAGES (the working folder) only. Send a data: URL."
        raise InputRefused(text, code="path_not_allowed")
    if not there:
        raise _no_file()
    return path
