"""What a run returns: the answer, how sure, why, resting on which regions, at what price, step by step.

All of it is plain data and survives JSON: `Answer.model_validate_json(answer.model_dump_json()) == answer`. Its fields
are those of `run_record.py`. Left out: pixels; `save` renders them again from the picture (`page/saving.py`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from zoomagent.run_record import (
    Candidate,
    Check,
    Corners,
    Cost,
    Evidence,
    Looked,
    Outcome,
    Perspective,
    PictureInfo,
    Region,
    RunRecord,
    Search,
    Source,
    Step,
)

if TYPE_CHECKING:
    from zoomagent.confidence.selection import Weighed
    from zoomagent.graphs.state import CandidateRecord, State
    from zoomagent.tools.viewing import ViewRecord


class Answer(RunRecord):
    """One answered, or not answered, question; see RunRecord for its fields."""

    _source: Source = PrivateAttr(default_factory=Source)

    def from_picture(self, source: Source) -> "Answer":
        """Remember where the picture can be opened again, for `save`."""
        self._source = source
        return self

    def save(self, folder: str | Path, image: Any = None) -> Path:
        """Write answer.json, macro.png, crop-1.png … and page.html into `folder`; returns the page's path.

        `image` is needed for an answer that was read back from JSON; it must be the picture that was asked
        about."""
        from zoomagent.page.saving import save

        return save(self, Path(folder), self._source if image is None else Source(image))


def from_state(state: "State", *, model: str, strategy: str, seconds: float = 0.0) -> Answer:
    """The answer that a finished run's state holds."""
    verdict, outcome = state.get("verdict"), state["outcome"]
    evidence, compared = _evidence(state), _compared(state)
    return Answer(
        question=state["question"],
        options=tuple(state.get("options", [])),
        text=verdict["text"] if verdict else "",
        confidence=verdict["confidence"] if verdict else None,
        confidence_from=verdict["confidence_from"] if verdict else None,
        withheld=verdict.get("withheld") if verdict else None,
        outcome=Outcome.model_validate(outcome),
        perspective=verdict["perspective"] if verdict else None,
        reasons=((verdict["reason"],) if verdict else ()) + tuple(outcome["reasons"]),
        boxes=tuple(item.box for item in evidence if item.chosen and item.perspective == "micro") + _counted(state),
        evidence=evidence,
        cost=_cost(state, seconds),
        steps=steps_from(state),
        checks=tuple(Check.model_validate(check) for check in state.get("checks", [])),
        views=_looked(state),
        regions=tuple(Region.model_validate(region) for region in state.get("regions", [])),
        searched=Search.model_validate(state["searched"]) if "searched" in state else None,
        macro=_candidate(state, "macro"),
        micro=_candidate(state, "micro"),
        compared_by=compared.how if compared else None,
        picture=PictureInfo.model_validate(state["picture"]) if "picture" in state else None,
        model=model,
        strategy=strategy,
        features=_features(state),
    )


def _counted(state: "State") -> tuple[Corners, ...]:
    """Where the things are that were counted, for an answer that rests on the count."""
    if "searched" not in state or state.get("verdict", {}).get("perspective") != "micro":
        return ()
    return tuple(_corners(box) for target in state.get("targets", []) for box in target.get("found", []))


def _features(state: "State") -> dict[str, Any] | None:
    """What a calibration can learn from, where the whole was looked at."""
    from zoomagent.confidence.features import to_dict
    from zoomagent.graphs.judging import features_of

    return to_dict(features_of(state)) if "macro" in state and "picture" in state else None


def steps_from(update: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps in a state or in a node's update."""
    return tuple(Step.model_validate(record) for record in update.get("steps", []))


def _candidate(state: "State", side: Perspective) -> Candidate | None:
    if side not in state:
        return None
    record: CandidateRecord = state[side]
    likelihood = record["likelihood"]
    measured = _compared(state)
    return Candidate(
        text=record["text"],
        reply=record["reply"],
        letter=record["letter"],
        valid=record["valid"],
        logprob=likelihood["logprob"] if likelihood else None,
        tokens=likelihood["tokens"] if likelihood else None,
        probability=_probability(record),
        weight=None if measured is None else measured.macro if side == "macro" else measured.micro,
    )


def _compared(state: "State") -> "Weighed | None":
    """How the two answers were compared, when they had to be."""
    from zoomagent.graphs.weighing import weighing_of

    asked_to = any(step["name"] == "weigh" for step in state.get("steps", []))
    return weighing_of(state) if "weighing" in state or asked_to else None


def _probability(record: "CandidateRecord") -> float | None:
    from zoomagent.confidence.likelihood import probability
    from zoomagent.models.base import Likelihood

    likelihood = record["likelihood"]
    if likelihood is None:
        return None
    return probability(Likelihood(likelihood["logprob"], likelihood["tokens"]))


def _looked(state: "State") -> tuple[Looked, ...]:
    shown = [view for view in state.get("views", []) if not view.get("blank") and not view.get("marks")]
    return tuple(
        Looked(
            view=view["id"],
            source=view["source"],
            box=_corners(view["box"]),
            size=(view["size"][0], view["size"][1]),
            depth=view["depth"],
        )
        for view in shown
    )


def _corners(box: Sequence[int]) -> Corners:
    left, top, right, bottom = box
    return left, top, right, bottom


def _evidence(state: "State") -> tuple[Evidence, ...]:
    views = {view["id"]: view for view in state.get("views", [])}
    items = []
    if "macro" in state:
        items.append(_seen(state, "macro", views[state["macro"]["views"][0]]))
    if "crop" in state:
        items.append(_seen(state, "micro", views[state["crop"]], target=state.get("target")))
    if "closer" in state:
        items += [_closer(state, view) for name in _crops(state) if (view := views[name])]
    return tuple(items)


def _crops(state: "State") -> list[str]:
    """The close views that the micro answer was read from: neither the whole picture nor the whole with marks."""
    whole, views = state["macro"]["views"][0], {view["id"]: view for view in state["views"]}
    shown = dict.fromkeys(state["micro"]["views"])
    return [view for view in shown if views[view]["box"] != views[whole]["box"]]


def _closer(state: "State", view: "ViewRecord") -> Evidence:
    """A crop of the zoom graph, with what was found in it and measured."""
    target = next((t for t in state.get("targets", []) if t["crop"] == view["id"]), None)
    found = {"target": target["box"], "phrase": target["phrase"], "seen": target["seen"]} if target else {}
    look = next((look for look in state.get("tool_looks", []) if look["shows"] == view["id"]), None)
    if look:
        found = {"target": look["target"], "phrase": look["phrase"] or None}
    from zoomagent.graphs.weighing import MATTERS

    if "proof" in state and state.get("proven") == state["closer"]:
        delta = state["proof"]["shown"] - state["proof"]["blanked"]
        found |= {"delta": delta, "mattered": delta >= MATTERS, "at_least": state["proof"].get("bound", False)}
    return _seen(state, "micro", view, **found)


def _seen(state: "State", side: Perspective, view: "ViewRecord", **found: Any) -> Evidence:
    record = state.get(side)
    verdict = state.get("verdict")
    return Evidence.model_validate(
        {
            "perspective": side,
            "view": view["id"],
            "box": view["box"],
            "size": view["size"],
            "depth": view["depth"],
            "text": record["text"] if record else None,
            "probability": _probability(record) if record else None,
            "chosen": bool(verdict and verdict["perspective"] == side),
            **found,
        }
    )


def _cost(state: "State", seconds: float) -> Cost:
    calls = state.get("calls", [])
    return Cost(
        model_calls=len(calls),
        visual_tokens=sum(call["visual_tokens"] for call in calls),
        prompt_tokens=sum(call["prompt_tokens"] for call in calls),
        completion_tokens=sum(call["completion_tokens"] for call in calls),
        seconds=max(seconds, sum(step["seconds"] for step in state.get("steps", []))),
        seconds_in_model=sum(call["seconds"] for call in calls),
    )
