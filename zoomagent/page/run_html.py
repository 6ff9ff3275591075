"""The HTML of a run, written here for every page: the saved one, the served one, and what is shown like a run.

    run_html(answer, shots)                  # a finished run, as `templates/run.html` says it
    one_page("saved.html", values)           # a file of its own, with `web/run.css` inlined

All text is escaped by the templates; nothing from outside is ever marked as safe. A picture is inlined where a page
must be complete in itself, else it names its view and the page's script fetches it. Left out: words (`words.py`),
pixels (`pictures.py`), what moves (`web/`, `templates/saved.js`).
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from zoomagent.page.names import sheet_name
from zoomagent.page.tree import Node, Place, fate_words, first_steps, key_of, shown_size, tree
from zoomagent.page.words import (
    LONG,
    NOT_SURE,
    checks,
    circumstances,
    confidence_kind,
    costs,
    mattered,
    mattered_words,
    no_confidence,
    outcome_words,
    percent,
    sides,
    step_entry,
    text_pieces,
    timeline,
    times,
)
from zoomagent.run_record import Corners, Evidence, RunRecord, SheetInfo, Step

TEMPLATES = Path(__file__).parent / "templates"
STYLE = Path(__file__).parent / "web" / "run.css"
TINY = 200
"""Pictures that are narrower, in pixels, are shown pixel by pixel, not smoothed."""


@dataclass(frozen=True)
class Shot:
    """The picture of a view in a page: inlined as a `data:` URL, or named by the query it is to be fetched by, behind
    the name of the frames of a clip that it is cut from."""

    width: int
    height: int
    src: str = ""
    look: str = ""

    @property
    def tiny(self) -> bool:
        return self.width < TINY


@dataclass(frozen=True)
class Shots:
    """Where a page gets its pictures: those of the tree, and the crops that were answered from."""

    view: Callable[[Node], Shot]
    crop: Callable[[Evidence], Shot]


def fetched(answer: RunRecord) -> Shots:
    """Pictures that the served page asks its server for."""
    own = answer.picture.sheet if answer.picture else None

    def shot(sheet: SheetInfo | None, box: Corners, size: tuple[int, int]) -> Shot:
        query = f"box={','.join(map(str, box))}&size={size[0]},{size[1]}"
        return Shot(*size, look=query if sheet is None else f"{sheet_name(sheet)}/look?{query}")

    return Shots(
        lambda node: shot(node.sheet, node.box, shown_size(node)),
        lambda item: shot(item.sheet or own, item.box, item.size),
    )


def run_values(answer: RunRecord, shots: Shots | None) -> dict[str, Any]:
    """What `run.html` shows. Without `shots` there are no pictures, and no tree of them."""
    root = tree(answer) if shots else None
    seen = root is not None and bool(root.sizes or root.children)
    crops = []
    for item in answer.evidence:
        if shots and item.perspective == "micro":
            words = mattered_words(item) if item.delta is not None else ""
            key = key_of((item.sheet or (answer.picture.sheet if answer.picture else None), item.box))
            words = words[:1].upper() + words[1:]
            crops.append({"e": item, "key": key, "shot": shots.crop(item), "mattered": words})
    return {
        "a": answer,
        "pieces": text_pieces(answer),
        "outcome_words": outcome_words(answer),
        "not_sure": NOT_SURE,
        "kind": confidence_kind(answer),
        "no_confidence": no_confidence(answer),
        "stage": None,
        "crops": crops,
        "times": times(answer),
        "sides": sides(answer),
        "checks": checks(answer),
        "mattered": mattered(answer),
        "top": _card(root, first_steps(answer), shots) if root and shots and seen else None,
        "unlooked": sum(region.here is None for region in answer.regions),
        "steps": timeline(answer),
        "costs": costs(answer),
        "circumstances": circumstances(answer),
    }


def run_html(answer: RunRecord, shots: Shots | None) -> str:
    """A finished run."""
    return _templates().get_template("run.html").render(run_values(answer, shots))


def begun_html() -> str:
    """A run of which nothing is known yet: a tree without views, a list without steps."""
    pieces = _pieces()
    return str(pieces.views(None) + pieces.steps([]))


def step_html(step: Step) -> str:
    """A step of a run that goes on."""
    return str(_pieces().step(step_entry(step)))


def view_html(node: Node, steps: dict[Place, tuple[int, Step]], shots: Shots) -> str:
    """A view of a run that goes on, without those that were cut from it."""
    return str(_pieces().branch({**_card(node, steps, shots), "inner": [], "children": []}))


def one_page(name: str, values: dict[str, Any], script: str = "") -> str:
    """A page that is one file. Its policy allows its own style and script by hash, and nothing else."""
    style = STYLE.read_text(encoding="utf-8") + (TEMPLATES / "alone.css").read_text(encoding="utf-8")
    inlined = {"style": style, "script": script}
    hashes = {kind: base64.b64encode(hashlib.sha256(text.encode()).digest()) for kind, text in inlined.items()}
    return (
        _templates()
        .get_template(name)
        .render(
            values,
            **{kind: Markup(text) for kind, text in inlined.items()},
            **{f"{kind}_hash": f"sha256-{digest.decode()}" for kind, digest in hashes.items()},
            version=version("zoomagent"),
        )
    )


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.tests["long"] = lambda text: len(text) > LONG
    return environment


def _pieces() -> Any:
    """The macros of `parts.html`, as functions."""
    return _templates().get_template("parts.html").module


def _card(node: Node, steps: dict[Place, tuple[int, Step]], shots: Shots) -> dict[str, Any]:
    """A view with its picture, what was found in it, and the views inside it. Until something is found, what its step
    said stands for it."""
    shot = shots.view(node)
    number, step = steps.get(node.place, (None, None))
    # The boxes of the views inside, in its picture; search regions may reach a little beyond it.
    left, top, right, bottom = node.box
    inner = []
    for child in (child for child in node.children if not child.whole):
        scale = shot.width / (right - left)
        x, y = max(child.box[0], left) - left, max(child.box[1], top) - top
        across, down = min(child.box[2], right) - left - x, min(child.box[3], bottom) - top - y
        size = {"width": max(across * scale, 1), "height": max(down * scale, 1)}
        inner.append({"number": child.number, "crop": child.crop, "x": x * scale, "y": y * scale, **size})
    found = node.regions or (node.evidence and (node.evidence.text or node.evidence.phrase))
    return {
        "node": node,
        "key": key_of(node.place),
        "shot": shot,
        "step": number,
        "sizes": ", ".join(f"{width} × {height}" for width, height in node.sizes),
        "inner": inner,
        "regions": [{**region.model_dump(), "fate": fate_words(region, node)} for region in node.regions],
        "otherwise": "" if found or step is None else step.text,
        "looking": step is None and not found,
        "children": [_card(child, steps, shots) for child in node.children],
    }
