"""A run as the served page gets it: its HTML, which is the saved page's too, and what the page's script needs to move
in it: steps, boxes, the tree. Boxes are `[left, top, right, bottom]` in pixels of the upright original. A box's `key`
is its corners as text; in frames of a clip, behind the name that the server has them under (`names.py`)."""

from typing import Any

from zoomagent.page.names import file_name, shown_name
from zoomagent.page.run_html import fetched, run_html, step_html, view_html
from zoomagent.page.tree import Node, first_steps, key_of, places_of_views, tree, walk
from zoomagent.page.words import (
    circumstances,
    confidence_kind,
    costs,
    no_confidence,
    outcome_words,
    percent,
    side_of,
    times,
)
from zoomagent.plugins.offers.public import public_model
from zoomagent.run_record import Looked, LookedSheet, Outcome, PictureInfo, RunRecord, Step


def told_step(step: Step, perspective: str | None = None) -> dict[str, Any]:
    """A step, and to which of the two answers it belongs."""
    return {**step.model_dump(mode="json"), "side": side_of(step, perspective)}


def run_json(answer: RunRecord, name: str) -> dict[str, Any]:
    """All of a finished run that is called `name`."""
    answer = answer.model_copy(update={"model": public_model(answer.model)})
    root = tree(answer)
    return {
        "id": name,
        **answer.model_dump(mode="json", include=_AS_IT_IS),
        "answered": answer.answered,
        "outcome": answer.outcome.kind,
        "code": answer.outcome.code,
        "outcome_words": outcome_words(answer),
        "sure": percent(answer.confidence) if answer.confidence is not None else None,
        "kind": confidence_kind(answer),
        "no_confidence": no_confidence(answer),
        "steps": [told_step(step, answer.perspective) for step in answer.steps],
        "tree": _node(root) if root else None,
        "asked": file_name(answer.picture) if answer.picture else None,
        "shown": shown_name(answer.picture) if answer.picture else None,
        "keys_of_views": {view: key_of(place) for view, place in places_of_views(answer).items()},
        "times": times(answer),
        "costs": costs(answer),
        "circumstances": circumstances(answer),
        "html": run_html(answer, fetched(answer)),
    }


def told_short(answer: RunRecord, name: str) -> dict[str, Any]:
    """A run in the list of saved ones."""
    return {
        "id": name,
        "question": answer.question,
        "text": answer.text or answer.outcome.kind,
        "strategy": answer.strategy,
        "model": public_model(answer.model),
        "sure": percent(answer.confidence) if answer.confidence is not None else None,
        "picture": answer.picture.id if answer.picture else None,
        "name": answer.picture.name if answer.picture else "",
    }


class GrowingTree:
    """The tree of views of a run that goes on: the same tree as at its end, by the views shown so far. What came of
    them is told by the steps; the tree knows it at the end."""

    def __init__(self, picture: PictureInfo) -> None:
        """`picture` is what is asked about: of a clip, the sheet of all of it."""
        self._so_far = RunRecord(question="", outcome=Outcome(kind="answered"), picture=picture)
        self._shots = fetched(self._so_far)

    def view(self, looked: Looked) -> dict[str, Any] | None:
        """The view's node, and the key of the one above it; None for a view that is one too many to be shown."""
        if isinstance(looked, LookedSheet):
            update: dict[str, Any] = {"frames": (*self._so_far.frames, looked)}
        else:
            update = {"views": (*self._so_far.views, looked)}
        self._so_far = self._so_far.model_copy(update=update)
        root, place = tree(self._so_far), places_of_views(self._so_far)[looked.view]
        assert root is not None, "there is a picture"
        above = {child.number: node for node in walk(root) for child in node.children}
        node = next((node for node in walk(root) if node.place == place), None)
        if node is None:
            return None
        under = key_of(above[node.number].place) if node.number in above else None
        html = view_html(node, first_steps(self._so_far), self._shots)
        return {"id": looked.view, "under": under, "node": {**_node(node), "children": []}, "html": html}

    def step(self, step: Step) -> dict[str, Any]:
        """A step, and the views of which it now tells something. In which of a clip's frames its boxes lie is known at
        the end."""
        if self._so_far.picture and self._so_far.picture.sheet:
            step = step.model_copy(update={"boxes": ()})
        self._so_far = self._so_far.model_copy(update={"steps": (*self._so_far.steps, step)})
        root, steps = tree(self._so_far), first_steps(self._so_far)
        assert root is not None, "there is a picture"
        newest = (len(self._so_far.steps), step)
        views = [view_html(node, steps, self._shots) for node in walk(root) if steps.get(node.place) == newest]
        return {"step": told_step(step), "html": step_html(step), "views": views}


_AS_IT_IS = {
    "question",
    "options",
    "about",
    "text",
    "confidence",
    "withheld",
    "perspective",
    "reasons",
    "boxes",
    "picture",
    "strategy",
    "cost",
    "model",
}


def _node(node: Node) -> dict[str, Any]:
    return {
        "number": node.number,
        "title": node.title,
        "box": list(node.box),
        "key": key_of(node.place),
        "children": [_node(child) for child in node.children],
    }
