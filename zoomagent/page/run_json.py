"""A run as the served page gets it: its HTML, which is the saved page's too, and what the page's script needs to move
in it: steps, boxes, the tree. Boxes are `[left, top, right, bottom]` in pixels of the upright original."""

from typing import Any

from zoomagent.media import Picture
from zoomagent.page.run_html import FETCHED, run_html, step_html, view_html
from zoomagent.page.tree import Node, first_steps, tree, walk
from zoomagent.page.words import (
    circumstances,
    confidence_kind,
    costs,
    no_confidence,
    outcome_words,
    percent,
    side_of,
)
from zoomagent.plugins.offers.public import public_model
from zoomagent.run_record import Looked, Outcome, PictureInfo, RunRecord, Step


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
        "boxes_of_views": {looked.view: list(looked.box) for looked in answer.views},
        "costs": costs(answer),
        "circumstances": circumstances(answer),
        "html": run_html(answer, FETCHED),
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

    def __init__(self, picture: Picture) -> None:
        size = picture.size
        info = PictureInfo(id=picture.id, width=size.width, height=size.height, notes=tuple(picture.notes))
        self._so_far = RunRecord(question="", outcome=Outcome(kind="answered"), picture=info)

    def view(self, looked: Looked) -> dict[str, Any] | None:
        """The view's node, and the box of the one above it; None for a view that is one too many to be shown."""
        self._so_far = self._so_far.model_copy(update={"views": (*self._so_far.views, looked)})
        root = tree(self._so_far)
        assert root is not None, "there is a picture"
        above = {child.number: node for node in walk(root) for child in node.children}
        node = next((node for node in walk(root) if node.box == looked.box), None)
        if node is None:
            return None
        under = list(above[node.number].box) if node.number in above else None
        html = view_html(node, first_steps(self._so_far))
        return {"id": looked.view, "under": under, "node": {**_node(node), "children": []}, "html": html}

    def step(self, step: Step) -> dict[str, Any]:
        """A step, and the views of which it now tells something."""
        self._so_far = self._so_far.model_copy(update={"steps": (*self._so_far.steps, step)})
        root, steps = tree(self._so_far), first_steps(self._so_far)
        assert root is not None, "there is a picture"
        newest = (len(self._so_far.steps), step)
        views = [view_html(node, steps) for node in walk(root) if steps.get(node.box) == newest]
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
        "children": [_node(child) for child in node.children],
    }
