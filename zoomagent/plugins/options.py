"""Options of the command line that several commands share: each one's words and bounds once.

`--extra-body` is read here, so that every command refuses the same things. Left out: options of one command, and the
defaults that a settings file gives (`zoomagent/settings.py`).
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from zoomagent.media.limits import PARTS_CEILING
from zoomagent.strategy import Rule, Strategy

MAX_TOKENS = 128
"""Length of one reply unless it is told otherwise; the same as `zoomagent.graphs.context.Context`'s own."""
CALLS, DEPTH, SECONDS, GATE_DEFAULT = 32, 4, 120.0, 0.97
"""What a run may spend, and when it looks no closer, unless it is told otherwise; the same as the library's own."""


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"{text!r} is no JSON ({error}); write an object like {EXAMPLE}") from None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{text!r} is no JSON object; write one like {EXAMPLE}")
    return value


EXAMPLE = '{"enable_thinking": false}'
MODEL_WORDS = "nano, a folder with weights, hf:NAME of the hub, or a server's base URL (#NAME picks its model)"
Model = Annotated[str, typer.Option(help=f"{MODEL_WORDS}; default also from ZOOMAGENT_MODEL.")]
HowTo = Annotated[Strategy, typer.Option(help="How to look closer; auto takes the cheapest way that works.")]
Weighing = Annotated[Rule, typer.Option(help="How macro's and micro's answer are weighed.")]
TargetError = Annotated[
    float | None,
    typer.Option(min=0.001, max=0.999, help="Share of given answers that may be wrong; else: Cannot tell."),
]
Gate = Annotated[float, typer.Option(min=0.001, max=1, help="Confidence from which auto looks no closer.")]
ArbiterFile = Annotated[
    Path | None, typer.Option("--arbiter", help="A file of zoomagent train calibrate, for this very model.")
]
ProfileFile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        help="A file of zoomagent doctor --save-profile, or a checkpoint's folder: what the model takes.",
    ),
]
MaxCalls = Annotated[int, typer.Option(min=1, help="Model calls a question may cost.")]
MaxDepth = Annotated[int, typer.Option(min=0, help="How often a zoom may go into a zoom.")]
Deadline = Annotated[float, typer.Option(min=0.001, help="Seconds a question may take.")]
Proof = Annotated[bool, typer.Option("--proof/--no-proof", help="Measure whether the crops mattered.")]
Check = Annotated[bool, typer.Option("--check/--no-check", help="Measure whether the thing is in its crop.")]
Ocr = Annotated[bool, typer.Option("--ocr", help="Read crops letter by letter too (extra ocr).")]
MaxTokens = Annotated[int, typer.Option(min=1, help="Length of one reply; a model that thinks gets more by itself.")]
ExtraBody = Annotated[
    Any, typer.Option(parser=_object, metavar="JSON", help=f"What the model's server needs besides, as {EXAMPLE}.")
]
Format = Annotated[
    Literal["text", "json"] | None, typer.Option(help="How it is printed.  [text; json where it is piped]")
]
Json = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
MaxBytes = Annotated[int, typer.Option(min=1, help="Largest picture file that is opened.")]
MaxPixels = Annotated[
    int,
    typer.Option(min=1, max=PARTS_CEILING, help="Largest picture opened; above 178,956,970: TIFF in tiles."),
]
Page = Annotated[int | None, typer.Option(min=1, help="Which page of a PDF or TIFF, counted from 1.")]
