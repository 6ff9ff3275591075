"""From two answers to one: between the state's records and the rules of zoomagent/confidence.

Two different answers are measured in one context, the micro dialogue, whose last turn asks for a word or
phrase even where options were given (DualFocus scores option texts, not letters). A model that can not score
given text is voted on by samples, unless the micro reply's own likelihood, or what a check saw, settles it. Left out:
the rules themselves (`selection.py`).
"""

from zoomagent.confidence import replies, selection
from zoomagent.confidence.learned import MATTERS as MATTERS
from zoomagent.confidence.likelihood import diluted, of_tokens, usable
from zoomagent.confidence.selection import Candidate, Choice, Weighed
from zoomagent.graphs.absence import unearned
from zoomagent.graphs.asking import Desk, ask, score
from zoomagent.graphs.state import (
    CandidateRecord,
    LikelihoodRecord,
    OutcomeRecord,
    State,
    TurnRecord,
    Update,
    VerdictRecord,
    WeighingRecord,
    dialogue,
)
from zoomagent.models.base import Likelihood, Reply
from zoomagent.models.words.unwrapping import is_call
from zoomagent.prompts import MARKED, SEARCHED, micro_prompt, several_prompt
from zoomagent.strategy import Strategy


def read(reply: str, state: State, strategy: Strategy) -> replies.Answered:
    """The answer in a reply, by the strategy's rule."""
    rule = replies.read_published if strategy == "dualfocus-published" else replies.read
    return rule(reply, state.get("options", []))


def candidate_record(reply: Reply, state: State, strategy: Strategy, views: list[str]) -> CandidateRecord:
    """A reply as the state keeps it."""
    answer = read(reply.text, state, strategy)
    return CandidateRecord(
        text=answer.text,
        reply=reply.text,
        letter=answer.letter,
        valid=answer.valid,
        likelihood=likelihood_record(of_tokens(reply.tokens)),
        views=views,
    )


def likelihood_record(likelihood: Likelihood | None) -> LikelihoodRecord | None:
    if likelihood is None:
        return None
    return LikelihoodRecord(logprob=likelihood.logprob, tokens=likelihood.tokens)


def both(state: State) -> tuple[Candidate, Candidate] | None:
    """Macro's and micro's answer, when there are two."""
    if "macro" not in state or "micro" not in state:
        return None
    return candidate(state["macro"]), candidate(state["micro"])


def undecided(state: State) -> bool:
    """Whether there are two valid answers that differ."""
    pair = both(state)
    return pair is not None and selection.needs_weighing(*pair)


async def measured(desk: Desk) -> Update:
    """Weigh macro's and micro's answer in the micro dialogue: by likelihood, else by votes where nothing that is known
    already decides."""
    texts = [desk.state["macro"]["text"], desk.state["micro"]["text"]]
    likelihoods, update = await score(desk, _scoring_turns(desk.state), texts)
    words = [usable(likelihood) for likelihood in likelihoods or []]
    if len(words) == 2 and words[0] is not None and words[1] is not None:
        return {**update, "weighing": _by_words(desk, words[0], words[1])}
    macro, micro = candidate(desk.state["macro"]), candidate(desk.state["micro"])
    if selection.bound(macro, micro) or selection.only_the_crop_tells(macro, micro, seen_of(desk.state)):
        return update
    return await _by_votes(desk)


def concluded(state: State, strategy: Strategy, target_error: float | None = None) -> Update:
    """Choose, and say how the run ended. Nothing is answered under a `target_error`: no confidence here is
    calibrated."""
    choice = _choice(state, strategy)
    verdict = verdict_of(state, choice)
    why = unearned(state, verdict["text"], verdict["perspective"])
    if why:
        reason = f"{verdict['reason']} {why}"
        verdict = VerdictRecord(**{**verdict, "confidence": None, "confidence_from": None, "reason": reason})
    if target_error is not None and verdict["text"] != replies.CANNOT_TELL:
        reason = f"{UNPROMISED} {verdict['reason']}"
        withheld = {"text": replies.CANNOT_TELL, "withheld": verdict["text"], "reason": reason}
        verdict = VerdictRecord(**{**verdict, **withheld})  # type: ignore[typeddict-item]
    return Update(verdict=verdict, outcome=outcome_of(state, state[choice.perspective]))


UNPROMISED = (
    "Not answered: an error rate was asked for, and this strategy compares likelihoods that are not calibrated, by "
    "which none can be promised; auto, search and tools can."
)


def verdict_of(state: State, choice: Choice) -> VerdictRecord:
    """A choice as the state keeps it."""
    return VerdictRecord(
        perspective=choice.perspective,
        text=state[choice.perspective]["text"],
        confidence=choice.confidence,
        confidence_from=choice.source,
        reason=choice.reason,
    )


def _choice(state: State, strategy: Strategy) -> Choice:
    pair = both(state)
    if strategy == "micro" and "micro" in state:
        return selection.take("micro", candidate(state["micro"]), "The answer with the crop was asked for.")
    if strategy == "macro":
        return selection.take("macro", candidate(state["macro"]), "Only the whole picture was asked about.")
    if pair is None:
        reason = "No closer look came about, so the answer from the whole picture stands."
        return selection.take("macro", candidate(state["macro"]), reason)
    return selection.choose(*pair, weighed(state))


def outcome_of(state: State, chosen: CandidateRecord) -> OutcomeRecord:
    """How a run that chose this answer ended."""
    cut = any(turn["cut"] and turn["text"] == chosen["reply"] for turn in state.get("messages", []))
    if not chosen["text"]:
        code, text = _nothing_said(state, chosen)
        return OutcomeRecord(kind="failed", reasons=[text], code=code, exit_status=69)
    # A box that could not be used is no matter once another way found the thing.
    found = {f"box-{target['id']}" for target in state.get("targets", []) if target["fate"] == "located"}
    problems = [problem for problem in state.get("problems", []) if problem["id"] not in found]
    reasons = [problem["text"] for problem in problems]
    if not chosen["valid"]:
        reasons.append("The reply names none of the options.")
    if cut:
        reasons.append("The reply was cut off. Raise max_tokens (--max-tokens).")
    kind = "answered_degraded" if reasons else "answered"
    return OutcomeRecord(
        kind="answered_degraded" if kind == "answered_degraded" else "answered",
        reasons=reasons,
        code=None,
        exit_status=0,
        codes=[problem["code"] for problem in problems],
    )


def _nothing_said(state: State, chosen: CandidateRecord) -> tuple[str, str]:
    """The code and the words for a run that ends without an answer."""
    if is_call(chosen["reply"]):
        return "no_answer", "The model wrote a tool call or bare markup where it was to answer. Ask another model."
    if any(turn.get("cut_in_thought") and turn["text"] == chosen["reply"] for turn in state.get("messages", [])):
        return "cut_in_thought", "The reply was cut off while thinking. Raise --max-tokens, or turn thinking off."
    return "no_answer", "The model replied nothing. Ask again, or ask another model."


def _by_words(desk: Desk, macro: Likelihood, micro: Likelihood) -> WeighingRecord:
    box = _likelihood(desk.state.get("box_likelihood"))
    published = desk.context.strategy == "dualfocus-published" and box is not None
    ranked = (diluted(box, macro), diluted(box, micro)) if published and box else (macro, micro)
    return WeighingRecord(
        how="published" if published else "shared",
        macro=ranked[0].mean,
        micro=ranked[1].mean,
        words=[LikelihoodRecord(logprob=w.logprob, tokens=w.tokens) for w in (macro, micro)],
        asked=0,
    )


async def _by_votes(desk: Desk) -> Update:
    turns = dialogue(desk.state, _closer(desk.state))[:-1]
    asked = await ask(desk, turns, n=desk.context.samples)
    said = [read(reply.text, desk.state, desk.context.strategy) for reply in asked.replies]
    macro, micro = (
        sum(replies.same(answer, candidate(desk.state[side]).answer) for answer in said) for side in ("macro", "micro")
    )
    weighing = WeighingRecord(how="votes", macro=macro, micro=micro, words=None, asked=len(said))
    return {**asked.update, "weighing": weighing}


def _closer(state: State) -> str:
    """The dialogue in which the micro answer stands."""
    return state.get("closer", "micro")


def _scoring_turns(state: State) -> list[TurnRecord]:
    """The micro dialogue up to its last question, which asks for words even where options were given."""
    *before, question, _ = dialogue(state, _closer(state))
    if question["role"] != "user":
        return [*before, question]
    if question["text"].startswith(SEARCHED):
        return [*before, question]
    prompt = several_prompt if question["text"].startswith(MARKED) else micro_prompt
    return [*before, {**question, "text": prompt(state["question"])}]


def abstained(record: CandidateRecord) -> bool:
    """Whether an answer is none: "Cannot tell", or none of the options."""
    return replies.abstains(record["text"]) or not record["valid"]


def weighed(state: State) -> Weighed | None:
    """Both answers by one yardstick, as far as they were measured."""
    record = state.get("weighing")
    if record is None:
        return _bound(state)
    words = [Likelihood(word["logprob"], word["tokens"]) for word in record["words"] or []]
    pair = (words[0], words[1]) if len(words) == 2 else None
    return Weighed(record["how"], record["macro"], record["micro"], pair, record["asked"])


def seen_of(state: State) -> float | None:
    """The least probability by which what was found and cut out can be seen there; None where it was not checked."""
    found = [target for target in state.get("targets", []) if target["fate"] == "located" and target["crop"]]
    return min((target["seen"] for target in found if target["seen"] is not None), default=None)


def _bound(state: State) -> Weighed | None:
    """What the micro answer leaves for the macro answer: the yardstick that costs no call."""
    pair = both(state)
    return selection.bound(*pair) if pair and selection.needs_weighing(*pair) else None


def candidate(record: CandidateRecord) -> Candidate:
    """A kept answer as the rules see it."""
    answer = replies.Answered(record["text"], record["valid"], record["letter"])
    return Candidate(answer, _likelihood(record["likelihood"]))


def _likelihood(record: LikelihoodRecord | None) -> Likelihood | None:
    return None if record is None else Likelihood(record["logprob"], record["tokens"])
