"""What a run returns: the answer, how sure, why, resting on which regions, at what price, step by step.

All of it is plain data and survives JSON: `Answer.model_validate_json(answer.model_dump_json()) == answer`. Its fields
are those of `run_record.py`. Left out: pixels; `save` renders them again from the picture (`page/saving.py`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from zoomagent.run_record import Candidate, Cost, Evidence, Perspective, RunRecord, Source, Step

if TYPE_CHECKING:
    from zoomagent.graphs.state import CallRecord, State


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
    """The answer that a finished run's state holds. What the state keeps as it is in an answer (steps, checks, regions,
    the outcome, the picture) is read as that; the rest is put together here."""
    from zoomagent.confidence.features import to_dict
    from zoomagent.graphs.judging import features_of
    from zoomagent.graphs.weighing import weighing_of

    verdict, outcome = state.get("verdict"), state["outcome"]
    steps = steps_from(state)
    compared = "weighing" in state or any(step.name == "weigh" for step in steps)
    weighing = weighing_of(state) if compared else None
    evidence = evidence_in(state)
    elsewhere = {view["id"] for view in state.get("views", []) if "sheet" in view}
    boxes: list[Any] = [
        item.box for item in evidence if item.chosen and item.perspective == "micro" and item.view not in elsewhere
    ]
    if "searched" in state and verdict and verdict["perspective"] == "micro":
        # An answer that rests on a count rests on everything that was counted.
        boxes += [box for target in state.get("targets", []) for box in target.get("found", [])]
    boxes += [box for phrase in grounded_in(state) for box in phrase["boxes"]]
    # Views with marks or blanked ones show nothing that others do not.
    views = [v for v in state.get("views", []) if not v.get("blank") and not v.get("marks") and "sheet" not in v]
    looks = [
        {"view": v["id"], "source": v["source"], "box": v["box"], "size": v["size"], "depth": v["depth"]} for v in views
    ]
    return Answer.model_validate(
        {
            "question": state["question"],
            "options": state.get("options", []),
            "about": state.get("about", []),
            "text": verdict["text"] if verdict else "",
            "confidence": verdict["confidence"] if verdict else None,
            "confidence_from": verdict["confidence_from"] if verdict else None,
            "withheld": verdict.get("withheld") if verdict else None,
            "outcome": outcome,
            "perspective": verdict["perspective"] if verdict else None,
            "reasons": [*([verdict["reason"]] if verdict else []), *outcome["reasons"]],
            "boxes": boxes,
            "evidence": evidence,
            "cost": cost_of(state.get("calls", []), max(seconds, sum(step.seconds for step in steps))),
            "steps": steps,
            "checks": state.get("checks", []),
            "views": looks,
            "regions": state.get("regions", []),
            "searched": state.get("searched"),
            "moments": moments_in(state),
            "grounded": grounded_in(state),
            "tags": [{name: tag[name] for name in ("label", "score", "view")} for tag in state.get("tags", [])],
            "macro": candidate_in(state, "macro", weighing.macro if weighing else None),
            "micro": candidate_in(state, "micro", weighing.micro if weighing else None),
            "compared_by": weighing.how if weighing else None,
            "picture": state.get("picture"),
            "model": model,
            "strategy": strategy,
            # What a calibration can learn from, where the whole was looked at.
            "features": to_dict(features_of(state)) if "macro" in state and "picture" in state else None,
        }
    )


def cost_of(calls: Sequence["CallRecord"], seconds: float) -> Cost:
    """What the model was asked for, call by call, in `seconds` of the run."""
    return Cost(
        model_calls=len(calls),
        visual_tokens=sum(call["visual_tokens"] for call in calls),
        prompt_tokens=sum(call["prompt_tokens"] for call in calls),
        completion_tokens=sum(call["completion_tokens"] for call in calls),
        seconds=seconds,
        seconds_in_model=sum(call["seconds"] for call in calls),
    )


def moments_in(state: "State") -> list[dict[str, Any]]:
    """When things were found in a clip, in the order of time."""
    names = ("phrase", "at", "seen", "bounded")
    found = sorted(state.get("moments", []), key=lambda one: one["moment"][0])
    return [
        {"start": one["moment"][0], "end": one["moment"][1]}
        | {name: value for name, value in one.items() if name in names}
        for one in found
    ]


def steps_from(update: Mapping[str, Any]) -> tuple[Step, ...]:
    """The steps in a state or in a node's update."""
    return tuple(Step.model_validate(record) for record in update.get("steps", []))


def grounded_in(state: "State") -> list[dict[str, Any]]:
    """The phrases of a description that stand in its words, as far as they were looked at."""
    fates = {"open": "unchecked", "placed": "unchecked"}
    return [
        {
            "phrase": phrase["text"],
            "boxes": phrase["boxes"],
            "place": phrase["place"],
            "seen": phrase["seen"],
            "fate": fates.get(phrase["fate"], phrase["fate"]),
        }
        for phrase in state.get("told", [])
        if phrase["place"]
    ]


def candidate_in(state: "State", side: Perspective, weight: float | None) -> Candidate | None:
    """One of the two answers, with the model's own probability of exactly its words."""
    from zoomagent.confidence.likelihood import probability
    from zoomagent.graphs.weighing import likelihood_of

    if side not in state:
        return None
    record = state[side]
    likelihood = likelihood_of(record["likelihood"])
    return Candidate(
        text=record["text"],
        reply=record["reply"],
        letter=record["letter"],
        valid=record["valid"],
        logprob=likelihood.logprob if likelihood else None,
        tokens=likelihood.tokens if likelihood else None,
        probability=probability(likelihood) if likelihood else None,
        weight=weight,
    )


def evidence_in(state: "State") -> tuple[Evidence, ...]:
    """The views that the two answers were read from, with what was found in each and measured."""
    from zoomagent.graphs.regions import name_of_region
    from zoomagent.graphs.weighing import MATTERS

    views = {view["id"]: view for view in state.get("views", [])}
    rests_on: list[tuple[Perspective, str, dict[str, Any]]] = []
    if "macro" in state:
        rests_on.append(("macro", state["macro"]["views"][0], {}))
    if "crop" in state:
        named = ", ".join(name_of_region(number) for number in range(len(state.get("about", []))))
        rests_on.append(("micro", state["crop"], {"target": state.get("target"), "phrase": named or None}))
    if "closer" in state:
        # The close views only: neither the whole picture nor the whole with marks.
        whole = views[state["macro"]["views"][0]]["box"]
        proof = state.get("proof") if state.get("proven") == state["closer"] else None
        for name in dict.fromkeys(state["micro"]["views"]):
            if views[name]["box"] == whole and "sheet" not in views[name]:
                continue
            found: dict[str, Any] = {}
            target = next((t for t in state.get("targets", []) if t["crop"] == name), None)
            if target:
                found = {"target": target["box"], "phrase": target["phrase"], "seen": target["seen"]}
            look = next((look for look in state.get("tool_looks", []) if look["shows"] == name), None)
            if look:
                found = {"target": look["target"], "phrase": look["phrase"] or None}
            if proof:
                delta = proof["shown"] - proof["blanked"]
                found |= {"delta": delta, "mattered": delta >= MATTERS, "at_least": proof.get("bound", False)}
            rests_on.append(("micro", name, found))
    verdict, items = state.get("verdict"), []
    for side, name, found in rests_on:
        candidate = candidate_in(state, side, None)
        fields = {
            "perspective": side,
            "view": name,
            "box": views[name]["box"],
            "size": views[name]["size"],
            "depth": views[name]["depth"],
            "text": candidate.text if candidate else None,
            "probability": candidate.probability if candidate else None,
            "chosen": bool(verdict and verdict["perspective"] == side),
        }
        items.append(Evidence.model_validate(fields | found))
    return tuple(items)
