"""From two answers to one: between the state's records and the rules of zoomagent/confidence.

Two different answers are measured in one context, the micro dialogue, whose last turn asks for a word or
phrase even where options were given (DualFocus scores option texts, not letters). A model that cannot score
given text is voted on by samples, unless the micro reply's own likelihood, or what a check saw, settles it. Left out:
the rules themselves (`selection.py`).
"""

from zoomagent.confidence import replies, selection
from zoomagent.confidence.learned import MATTERS as MATTERS
from zoomagent.confidence.likelihood import diluted, of_tokens, usable
from zoomagent.confidence.selection import Candidate, Choice, Comparison
from zoomagent.graphs.asking import Exchange, NodeRun, ask, score
from zoomagent.graphs.sentences import why_unearned
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
from zoomagent.models.base import Likelihood
from zoomagent.models.words.unwrapping import is_call
from zoomagent.prompts import MARKED, SEARCHED, micro_prompt, several_prompt
from zoomagent.strategy import Strategy

UNPROMISED = (
    "Not answered: an error rate was asked for, and this strategy compares likelihoods that are not calibrated, by "
    "which none can be promised; auto, search and tools can."
)


# Between records and values


def read_answer(run: NodeRun, reply: str) -> replies.ReadAnswer:
    """The answer in a reply, by the strategy's rule."""
    rule = replies.read_published if run.context.strategy == "dualfocus-published" else replies.read
    return rule(reply, run.state.get("options", []))


def candidate_record(run: NodeRun, exchange: Exchange) -> CandidateRecord:
    """A reply as the state keeps it."""
    answer = read_answer(run, exchange.reply.text)
    return CandidateRecord(
        text=answer.text,
        reply=exchange.reply.text,
        letter=answer.letter,
        valid=answer.valid,
        likelihood=likelihood_record(of_tokens(exchange.reply.tokens)),
        views=exchange.views,
    )


def candidate_of(record: CandidateRecord) -> Candidate:
    """A kept answer as the rules see it."""
    answer = replies.ReadAnswer(record["text"], record["valid"], record["letter"])
    return Candidate(answer, likelihood_of(record["likelihood"]))


def likelihood_record(likelihood: Likelihood | None) -> LikelihoodRecord | None:
    """A likelihood as the state keeps it."""
    return None if likelihood is None else LikelihoodRecord(logprob=likelihood.logprob, tokens=likelihood.tokens)


def likelihood_of(record: LikelihoodRecord | None) -> Likelihood | None:
    """A kept likelihood as the rules see it."""
    return None if record is None else Likelihood(record["logprob"], record["tokens"])


def both_answers(state: State) -> tuple[Candidate, Candidate] | None:
    """Macro's and micro's answer, when there are two."""
    if "macro" not in state or "micro" not in state:
        return None
    return candidate_of(state["macro"]), candidate_of(state["micro"])


def weighing_of(state: State) -> Comparison | None:
    """Both answers by one yardstick, as far as they were measured; where they were not, what the micro answer leaves
    for the macro answer: that yardstick costs no call."""
    if "weighing" not in state:
        pair = both_answers(state)
        return selection.bound(*pair) if pair and selection.needs_weighing(*pair) else None
    record = state["weighing"]
    words = [Likelihood(word["logprob"], word["tokens"]) for word in record["words"] or []]
    pair_of_words = (words[0], words[1]) if len(words) == 2 else None
    return Comparison(record["how"], record["macro"], record["micro"], pair_of_words, record["asked"])


def verdict_record(state: State, choice: Choice) -> VerdictRecord:
    """A choice as the state keeps it. An answer that claims more than was seen has no confidence, and the reason says
    why."""
    record = state[choice.perspective]
    why = why_unearned(state, record["text"], choice.perspective)
    return VerdictRecord(
        perspective=choice.perspective,
        text=record["text"],
        confidence=None if why else choice.confidence,
        confidence_from=None if why else choice.source,
        reason=f"{choice.reason} {why}".strip() if why else choice.reason,
    )


def withhold(verdict: VerdictRecord, why: str) -> VerdictRecord:
    """The verdict whose answer is not given."""
    reason = f"{why} {verdict['reason']}"
    return {**verdict, "text": replies.CANNOT_TELL, "withheld": verdict["text"], "reason": reason}


# What is known of the two answers


def needs_weighing(state: State) -> bool:
    """Whether there are two valid answers that differ."""
    pair = both_answers(state)
    return pair is not None and selection.needs_weighing(*pair)


def is_no_answer(record: CandidateRecord) -> bool:
    """Whether an answer is none: "Cannot tell", or none of the options."""
    return replies.abstains(record["text"]) or not record["valid"]


def seen_of(state: State) -> float | None:
    """The least probability by which what was found and cut out can be seen there; None where it was not checked."""
    found = [target for target in state.get("targets", []) if target["fate"] == "located" and target["crop"]]
    return min((target["seen"] for target in found if target["seen"] is not None), default=None)


# Measuring


async def weigh_answers(run: NodeRun) -> Update:
    """Weigh macro's and micro's answer in the micro dialogue: by likelihood, else by votes where nothing that is known
    already decides."""
    state = run.state
    texts = [state["macro"]["text"], state["micro"]["text"]]
    *before, question, _ = dialogue(state, state.get("closer", "micro"))
    # A word or phrase is asked for even where options were given, unless that was asked for already.
    reworded: TurnRecord = question
    if question["role"] == "user" and not question["text"].startswith(SEARCHED):
        prompt = several_prompt if question["text"].startswith(MARKED) else micro_prompt
        reworded = {**question, "text": prompt(state["question"])}
    scored = [usable(likelihood) for likelihood in await score(run, [*before, reworded], texts) or []]
    words = [likelihood for likelihood in scored if likelihood is not None]
    if len(words) == 2:
        box = likelihood_of(state.get("box_likelihood"))
        published = box if run.context.strategy == "dualfocus-published" else None
        ranked = [diluted(published, word) for word in words] if published else words
        weighing = WeighingRecord(
            how="published" if published else "shared",
            macro=ranked[0].mean,
            micro=ranked[1].mean,
            words=[LikelihoodRecord(logprob=word.logprob, tokens=word.tokens) for word in words],
            asked=0,
        )
        return {"weighing": weighing}
    macro, micro = candidate_of(state["macro"]), candidate_of(state["micro"])
    if selection.bound(macro, micro) or selection.only_the_crop_tells(macro, micro, seen_of(state)):
        return {}
    exchange = await ask(run, [*before, question], n=run.context.samples)
    answers = [read_answer(run, reply.text) for reply in exchange.replies]
    for_macro, for_micro = (sum(replies.same(answer, side.answer) for answer in answers) for side in (macro, micro))
    return {"weighing": WeighingRecord(how="votes", macro=for_macro, micro=for_micro, words=None, asked=len(answers))}


# Choosing


def choose_answer(state: State, strategy: Strategy, target_error: float | None = None) -> Update:
    """Choose as DualFocus does, and say how the run ended. Nothing is answered under a `target_error`: no confidence
    here is calibrated."""
    pair = both_answers(state)
    if strategy == "micro" and "micro" in state:
        choice = selection.take("micro", candidate_of(state["micro"]), "The answer with the crop was asked for.")
    elif strategy == "macro":
        choice = selection.take("macro", candidate_of(state["macro"]), "Only the whole picture was asked about.")
    elif pair is None:
        reason = "No closer look came about, so the answer from the whole picture stands."
        choice = selection.take("macro", candidate_of(state["macro"]), reason)
    else:
        choice = selection.choose(*pair, weighing_of(state))
    verdict = verdict_record(state, choice)
    if target_error is not None and verdict["text"] != replies.CANNOT_TELL:
        verdict = withhold(verdict, UNPROMISED)
    return Update(verdict=verdict, outcome=outcome_record(state, state[choice.perspective]))


def outcome_record(state: State, chosen: CandidateRecord) -> OutcomeRecord:
    """How a run that chose this answer ended."""
    own_turns = [turn for turn in state.get("messages", []) if turn["text"] == chosen["reply"]]
    if not chosen["text"]:
        code, text = "no_answer", "The model replied nothing. Ask again, or ask another model."
        if is_call(chosen["reply"]):
            text = "The model wrote a tool call or bare markup where it was to answer. Ask another model."
        elif any(turn.get("cut_in_thought") for turn in own_turns):
            code = "cut_in_thought"
            text = "The reply was cut off while thinking. Raise --max-tokens, or turn thinking off."
        return OutcomeRecord(kind="failed", reasons=[text], code=code, exit_status=69)
    # A box that could not be used is no matter once another way found the thing.
    found = {f"box-{target['id']}" for target in state.get("targets", []) if target["fate"] == "located"}
    problems = [problem for problem in state.get("problems", []) if problem["id"] not in found]
    reasons = [problem["text"] for problem in problems]
    if not chosen["valid"]:
        reasons.append("The reply names none of the options.")
    if any(turn["cut"] for turn in own_turns):
        reasons.append("The reply was cut off. Raise max_tokens (--max-tokens).")
    return OutcomeRecord(
        kind="answered_degraded" if reasons else "answered",
        reasons=reasons,
        code=None,
        exit_status=0,
        codes=[problem["code"] for problem in problems],
    )
