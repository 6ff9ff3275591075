"""`zoomagent read`: every line of text in a picture, with its place. No model, server, key or GPU is needed.

Left out: the reading itself (`zoomagent/tools/reading.py`) and the saved page (`zoomagent/page/text_page.py`).
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoomagent.cli.extras import need
from zoomagent.cli.options import Format, Json, MaxBytes, MaxPixels, Page
from zoomagent.media.limits import OWN_BYTES, OWN_PIXELS

if TYPE_CHECKING:
    from zoomagent.media import Picture
    from zoomagent.tools.lines import Line
    from zoomagent.tools.reader import ReaderModels
    from zoomagent.tools.reading import PictureText

app = typer.Typer(help="Read all text in a picture.", rich_markup_mode=None)

NOTHING_FOUND = 1


@app.command()
def read(
    picture: Annotated[str, typer.Argument(help="The picture: a file, - for stdin, or a URL whose host is allowed.")],
    *,
    find: Annotated[
        str | None, typer.Option(help="Only lines that hold this; between slashes, /[0-9]{4}/, a regular expression.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Write text.json, text.txt, lines.png and page.html into this folder, or FOLDER-2 where it is in use."
        ),
    ] = None,
    format: Format = None,
    as_json: Json = False,
    max_views: Annotated[
        int | None, typer.Option(min=1, help="Views that may be looked at.  [320: all that 100 megapixels can need]")
    ] = None,
    rec_model: Annotated[
        Path | None, typer.Option(help="Another model that spells lines, as ONNX; the packaged: Latin and Chinese.")
    ] = None,
    letters: Annotated[Path | None, typer.Option(help="The letters of --rec-model, a line each.")] = None,
    det_model: Annotated[Path | None, typer.Option(help="Another model that finds lines, as ONNX.")] = None,
    threads: Annotated[int, typer.Option(min=0, help="Threads of the models; 0: one for each core.")] = 0,
    allow_host: Annotated[list[str] | None, typer.Option(help="A host that PICTURE may come from; repeat.")] = None,
    page: Page = None,
    max_bytes: MaxBytes = OWN_BYTES,
    max_pixels: MaxPixels = OWN_PIXELS,
) -> None:
    """Read all text in a picture, however large: lines, boxes in original pixels, scores. Needs no model.

    Example: zoomagent read scan.jpg --find "invoice"
    """
    need("ocr")
    from zoomagent import UrlRules, open_picture
    from zoomagent.media.limits import own_limits
    from zoomagent.page.text_page import save_text
    from zoomagent.tools.reader import ReaderModels
    from zoomagent.tools.reading import check_wanted

    models = ReaderModels(det_model, rec_model, letters, threads)
    if find is not None:
        # A pattern that cannot be is told before a minute of reading.
        check_wanted(find)
    folder = None if save is None else _free(save)
    rules = UrlRules(tuple(allow_host)) if allow_host else None
    if picture == "-" and sys.stdin.isatty():
        raise typer.BadParameter("- reads a picture from standard input: cat scan.jpg | zoomagent read -")
    source = sys.stdin.buffer.read(max_bytes + 1) if picture == "-" else picture
    with open_picture(source, limits=own_limits(max_bytes, max_pixels), allow_urls=rules, page=page) as opened:
        text = _read(opened, models, max_views)
        lines = text.lines if find is None else text.find(find)
        saved = None if folder is None else save_text(text, lines, opened, folder)
    if as_json or format == "json" or (format is None and not sys.stdout.isatty()):
        content = {**text.as_json(), "lines": [line.as_json() for line in lines]}
        typer.echo(json.dumps(content, indent=2 if sys.stdout.isatty() else None))
    else:
        _print_lines(lines)
    _say(text, saved)
    raise typer.Exit(NOTHING_FOUND if find is not None and not lines else 0)


def _read(picture: "Picture", models: "ReaderModels", max_views: int | None) -> "PictureText":
    """The text, while a person at the terminal sees how far it is."""
    from zoomagent.tools.reading import MAX_VIEWS, Progress, read_text

    most = max_views or MAX_VIEWS
    if not sys.stderr.isatty():
        return read_text(picture, models=models, max_views=most)
    from rich.console import Console

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    with console.status("reading …") as status:

        def show(step: Progress) -> None:
            scale = f"1:{step.shrink:g}" if step.shrink >= 1 else f"{1 / step.shrink:g}:1"
            status.update(f"at {scale}: view {step.done} of {step.planned}, {step.lines} lines")

        return read_text(picture, models=models, max_views=most, progress=show)


def _free(save: Path) -> Path:
    """Where the text is saved, looked for before anything is spent."""
    from zoomagent.cli.terminal import complain
    from zoomagent.files import free_folder
    from zoomagent.page.text_page import NAMES

    folder = free_folder(save, NAMES)
    if folder != save:
        complain(f"{save.name} holds a text already, so this one goes into {folder.name}.")
    return folder


def _print_lines(lines: "tuple[Line, ...]") -> None:
    """The words, and for a person at the terminal their score and box. Text in pictures is a stranger's."""
    from zoomagent.text import printable

    if not sys.stdout.isatty():
        for line in lines:
            typer.echo(printable(line.text))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("score", "left, top, right, bottom"):
        table.add_column(name, style="dim", no_wrap=True, justify="right")
    table.add_column("text", overflow="fold")
    for line in lines:
        table.add_row(f"{line.score:.2f}", ", ".join(map(str, line.box.as_list())), Text(printable(line.text)))
    Console(markup=False, highlight=False, emoji=False).print(table)


def _say(text: "PictureText", page: Path | None) -> None:
    """What else there is to know, beside what is piped."""
    from zoomagent.cli.terminal import complain

    if not text.complete:
        complain(f"not all was looked at: {text.views} views were used up. Allow more with --max-views.")
    if page is not None and sys.stdout.isatty():
        typer.echo(f"page  {page}")
