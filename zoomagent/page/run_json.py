"""A run as the page gets it: JSON with every word that is shown. The words are `words`' and `tree`'s, which
the saved page uses too. Boxes are `[left, top, right, bottom]` in pixels of the upright original. No HTML."""

from typing import Any

from zoomagent.media import Picture
from zoomagent.page.tree import Node, fate_words, tree, unlooked, walk
from zoomagent.page.words import (
    SIDE_OF_STEP,
    checks,
    circumstances,
    confidence_kind,
    costs,
    mattered_words,
    no_confidence,
    outcome_words,
    percent,
    sides,
)
from zoomagent.plugins.offers.public import public_model
from zoomagent.run_record import Evidence, Looked, Outcome, PictureInfo, RunRecord, Step


def told_step(step: Step, perspective: str | None = None) -> dict[str, Any]:
    """A step, and to which of the two answers it belongs."""
    side = SIDE_OF_STEP.get(step.name) or (perspective if step.name == "arbitrate" else None)
    return {**step.model_dump(mode="json"), "side": side or ""}


def told(answer: RunRecord, name: str) -> dict[str, Any]:
    """All of a finished run that is called `name`."""
    root = tree(answer)
    return {
        "id": name,
        **answer.model_dump(mode="json", include=_AS_IT_IS),
        "model": public_model(answer.model),
        "answered": answer.answered,
        "outcome": answer.outcome.kind,
        "code": answer.outcome.code,
        "outcome_words": outcome_words(answer),
        "sure": percent(answer.confidence) if answer.confidence is not None else None,
        "kind": confidence_kind(answer),
        "no_confidence": no_confidence(answer),
        "sides": [_side(side) for side in sides(answer)],
        "checks": checks(answer),
        "steps": [told_step(step, answer.perspective) for step in answer.steps],
        "tree": _node(root) if root else None,
        "boxes_of_views": {looked.view: list(looked.box) for looked in answer.views},
        "unlooked": unlooked(answer),
        "costs": costs(answer),
        "circumstances": circumstances(answer.model_copy(update={"model": public_model(answer.model)})),
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


class Growing:
    """The tree of views of a run that goes on: the same tree as at its end, by the views shown so far. What came of
    them is told by the steps; the tree knows it at the end."""

    def __init__(self, picture: Picture) -> None:
        size = picture.size
        info = PictureInfo(id=picture.id, width=size.width, height=size.height, notes=tuple(picture.notes))
        self._so_far = RunRecord(question="", outcome=Outcome(kind="answered"), picture=info)

    def told(self, looked: Looked) -> dict[str, Any] | None:
        """The view's node, and the box of the one above it; None for a view that is one too many to be shown."""
        self._so_far = self._so_far.model_copy(update={"views": (*self._so_far.views, looked)})
        root = tree(self._so_far)
        assert root is not None, "there is a picture"
        above = {child.number: node for node in walk(root) for child in node.children}
        node = next((node for node in walk(root) if node.box == looked.box), None)
        if node is None:
            return None
        under = list(above[node.number].box) if node.number in above else None
        return {"id": looked.view, "under": under, "node": {**_node(node), "children": []}}


_AS_IT_IS = {
    "question",
    "options",
    "text",
    "confidence",
    "withheld",
    "perspective",
    "reasons",
    "boxes",
    "picture",
    "strategy",
    "cost",
}


def _side(side: dict[str, Any]) -> dict[str, Any]:
    candidate = side["c"]
    return {**side, "c": {"text": candidate.text, "reply": candidate.reply}}


def _node(node: Node) -> dict[str, Any]:
    return {
        "number": node.number,
        "title": node.title,
        "box": list(node.box),
        "size": list(_shown(node)),
        "sizes": ", ".join(f"{width} × {height}" for width, height in node.sizes),
        "crop": node.crop,
        "regions": [
            {
                "words": f"{region.phrase}: {fate_words(region, node)}",
                "here": region.here,
                "sure": percent(region.here) if region.here is not None else "",
            }
            for region in node.regions
        ],
        "evidence": _evidence(node.evidence) if node.evidence else None,
        "skipped": node.skipped,
        "children": [_node(child) for child in node.children],
    }


def _shown(node: Node) -> tuple[int, int]:
    if node.evidence:
        return node.evidence.size
    return node.sizes[0] if node.sizes else (node.box[2] - node.box[0], node.box[3] - node.box[1])


def _evidence(item: Evidence) -> dict[str, Any]:
    return {
        "phrase": item.phrase,
        "text": item.text,
        "seen": percent(item.seen) if item.seen is not None else None,
        "mattered": mattered_words(item) if item.delta is not None else None,
        "target": list(item.target) if item.target else None,
        "chosen": item.chosen,
    }
