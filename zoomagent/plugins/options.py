"""Options of the command line that several commands share: each one's words once.

`--extra-body` is read here, so that every command refuses the same things. Left out: options of one command.
"""

import json
from typing import Annotated, Any

import typer

from zoomagent.media.limits import PARTS_CEILING

MAX_TOKENS = 128
"""Length of one reply unless it is told otherwise; the same as `zoomagent.graphs.context.Context`'s own."""


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise typer.BadParameter(f"{text!r} is no JSON ({error}); write an object like {EXAMPLE}") from None
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{text!r} is no JSON object; write one like {EXAMPLE}")
    return value


EXAMPLE = '{"enable_thinking": false}'
MaxTokens = Annotated[int, typer.Option(min=1, help="Length of one reply; a model that thinks gets more by itself.")]
ExtraBody = Annotated[
    Any, typer.Option(parser=_object, metavar="JSON", help=f"What the model's server needs besides, as {EXAMPLE}.")
]
MaxBytes = Annotated[int, typer.Option(min=1, help="Largest picture file that is opened.")]
MaxPixels = Annotated[
    int,
    typer.Option(min=1, max=PARTS_CEILING, help="Largest picture opened; above 178,956,970: TIFF in tiles."),
]
Page = Annotated[int | None, typer.Option(min=1, help="Which page of a PDF or TIFF, counted from 1.")]
