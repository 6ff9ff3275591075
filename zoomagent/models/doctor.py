"""Find out what a model and its server really do, by drawn probes whose answers are known.

    python -m zoomagent.models.doctor http://localhost:8000/v1 [--json]        (also: zoomagent doctor --model …)

The model is asked in the words of `prompts.py`, as a run asks it. Answers are checked, not status codes: some servers
say 200 and ignore half of the request. For everything that does not work, the table says what follows for zoomagent.
About 30 short calls. "unclear" means that the model answered, but not well enough to tell; then the profile's own value
stays. The last line can be exported to use what was measured: nothing stands in it that is only accepted by the server
and was not shown to help.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

import typer

from zoomagent.errors import ContextTooLong, ModelBlind, ServerError, SettingInvalid, ZoomAgentError
from zoomagent.files import check_place, check_writable, write_whole
from zoomagent.geometry import Space
from zoomagent.models.base import Message, Model, Pixels, Text, ToolCall
from zoomagent.models.loading import identify, load_model, profile_fields, use_profile
from zoomagent.models.metering import metered
from zoomagent.models.probes import (
    CLEAR_IOU,
    TONE,
    TONES,
    BoxProbe,
    ask,
    box_probes,
    decide_space,
    fit_space,
    full_probe,
    names_only,
    one_square,
    shrink,
    square_probes,
    tone,
    tone_view,
)
from zoomagent.models.words.parsing import parse_boxes
from zoomagent.prompts import HEAR, HEARD, SEE, SPECTROGRAM, ground_prompt, macro_prompt
from zoomagent.text import printable

Verdict = Literal["yes", "no", "unclear"]

COLOUR = macro_prompt("What colour is the square?")
SECOND = macro_prompt("There are two pictures. What colour is the square in the second picture?")
SEEN = SEE + "red square"
CALL = "Call the tool pick with the colour of the square."
WORD = "Write one random word."
TOOL = {
    "type": "function",
    "function": {
        "name": "pick",
        "description": "Pick a colour.",
        "parameters": {
            "type": "object",
            "properties": {"colour": {"type": "string"}},
            "required": ["colour"],
        },
    },
}
ROUNDING = 0.08
"""A box may be this much smaller than what was drawn before the view counts as made smaller (ours)."""
NOISE = 0.05
"""Nats by which the likelihood of one reply to one prompt differs between two calls (ours): batches round otherwise."""
SAME = 0.5
"""Given and generated likelihoods of one text may differ by this much in total: servers compute in half precision."""


@dataclass(frozen=True)
class Check:
    """One question about the model: what was found, and what follows when it does not work."""

    works: Verdict
    found: str
    instead: str = ""
    measured: dict[str, Any] = field(default_factory=dict)
    name: str = ""


Probe = Callable[[Model], Awaitable[Check]]


@dataclass(frozen=True)
class Report:
    """All checks of one model. `measured` are profile fields, fit for `ZOOMAGENT_PROFILE`."""

    model: str
    family: str
    checks: tuple[Check, ...]
    measured: dict[str, Any]

    def works(self, name: str) -> Verdict:
        return next(check.works for check in self.checks if check.name == name)

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=2)


async def examine(model: Model, more: Mapping[str, Probe] | None = None) -> Report:
    """Run every check, one after the other, and `more` of them. Raises when the model does not answer at all."""
    try:
        checks = [replace(await sees(model), name="sees pictures")]
    except ModelBlind as error:
        blind = Check("no", error.public, "Nothing else was tried.", name="sees pictures")
        return Report(model.name, model.profile.family, (blind,), {})
    for name, check in {**CHECKS, **(more or {})}.items():
        try:
            done = await check(model)
        except ServerError as error:  # what the server refuses is a finding, too
            done = Check("no", error.public, "The run does without, or ends with this code.")
        checks.append(replace(done, name=name))
    measured: dict[str, Any] = {}
    for done in checks:
        measured |= done.measured
    return Report(model.name, model.profile.family, tuple(checks), measured)


async def sees(model: Model) -> Check:
    """Colours of single squares. Where they are not named, whether its replies follow the picture at all: to the other
    picture, and to none. A model of a narrow world sees what it cannot name; one that is blind says the same to all."""
    colours = ("red", "blue")
    replies = [
        (await model.generate(ask(one_square(model.profile, colour), COLOUR), max_tokens=16))[0] for colour in colours
    ]
    right = [names_only(reply.text, colour) for reply, colour in zip(replies, colours, strict=True)]
    found = f"{sum(right)} of {len(right)} colours named"
    if all(right):
        return Check("yes", found)
    [without] = await model.generate(ask(COLOUR), max_tokens=16)
    said = ", ".join(
        f"{reply.text[:30]!r} to {what}" for reply, what in zip((*replies, without), (*colours, "none"), strict=True)
    )
    one, other = replies
    differ = one.text != other.text
    if not differ and one.tokens and other.tokens:
        # The same words may be more likely to one picture than to the other.
        likely = [sum(token.logprob for token in tokens) for tokens in (one.tokens, other.tokens)]
        differ = abs(likely[0] - likely[1]) > NOISE
    if not differ:
        instead = "It takes pictures and does not look at them. Serve a model that sees (zoomagent models names some)."
        return Check("no", f"{found}; its reply does not depend on the picture: {said}", instead)
    instead = (
        "It sees, but does not know such pictures: what follows here says little. Ask about pictures that it knows."
    )
    return Check("unclear", f"{found}; its reply follows the picture: {said}", instead)


async def boxes(model: Model) -> Check:
    """Squares to locate; the space in which the answers fall on them. Square views come first, which every model knows;
    oblong ones only where they must tell shares of the view from those of a padded square."""
    probes = square_probes(model.profile)
    answers = await _locate_all(model, probes)
    fits = fit_space(answers)
    space = decide_space(fits, apart=False) if len(answers) == len(probes) else None
    if space in (None, "unit", "square"):
        oblong = box_probes(model.profile)
        probes, answers = [*probes, *oblong], [*answers, *await _locate_all(model, oblong)]
        fits = fit_space([(probe, box) for probe, box in answers if probe in oblong])
        space = decide_space(fits) if len(answers) >= 2 * len(probes) / 3 else None
    shown = ", ".join(f"{name} {value:.2f}" for name, value in fits.items())
    if space is None and len(answers) >= 2 * len(probes) / 3 and shrink(answers) is not None:
        space = "pixels"
    found = f"{space or 'unclear'} ({len(answers)} of {len(probes)} boxes read; median overlap {shown})"
    if space == "pixels":
        # Whether pixels are those of the largest view that the profile allows, or of one that the server made of it.
        probe = full_probe(model.profile)
        factor = shrink(await _locate_all(model, [probe]))
        if factor is None or factor >= 1 - ROUNDING:
            return Check("yes", found, measured={"space": "pixels"})
        cell = model.profile.multiple**2
        most = max(cell, int(probe.size.pixels * (factor * (1 - ROUNDING / 4)) ** 2) // cell * cell)
        limits = {"max_pixels": most} | ({"min_pixels": most} if most < model.profile.min_pixels else {})
        said = f"{found}; a view of {probe.size.width}x{probe.size.height} is shown {factor:.2f} times as wide"
        return Check("yes", f"{said}: the server allows about {most} pixels", measured={"space": "pixels", **limits})
    if space is None:
        instead = f"Boxes are read as the profile says ({model.profile.space}); without any, the whole picture decides."
        return Check("unclear" if answers else "no", found, instead)
    return await _at_full_size(model, space, found)


async def _at_full_size(model: Model, space: Space, found: str) -> Check:
    """Whether boxes are right on the largest view too, which is what a run asks on. The probes before it are small, so
    that pixels and thousandths differ."""
    probe = full_probe(model.profile)
    if probe.size.pixels <= square_probes(model.profile)[0].size.pixels:
        return Check("yes", found, measured={"space": space})
    answers = await _locate_all(model, [probe])
    fits = fit_space(answers)[space]
    found = f"{found}; {fits:.2f} on a view of {probe.size.width}x{probe.size.height}"
    if fits >= CLEAR_IOU:
        return Check("yes", found, measured={"space": space})
    instead = "Boxes are less good on the largest view: try a smaller max_pixels in a profile."
    return Check("unclear", found, instead, {"space": space})


async def _locate_all(model: Model, probes: Sequence[BoxProbe]) -> list[tuple[BoxProbe, list[float]]]:
    """The first box of each reply that holds one."""
    answers: list[tuple[BoxProbe, list[float]]] = []
    for probe in probes:
        words = ground_prompt(f"{probe.colour} square", model.profile.space)
        [reply] = await model.generate(ask(probe.view, words), max_tokens=96)
        read = parse_boxes(reply.text) or parse_boxes(reply.text, y_first=True)
        answers += [(probe, box) for box in read[:1]]
    return answers


async def several_images(model: Model) -> Check:
    """Two views in one message, in both orders."""
    red, blue = (one_square(model.profile, colour) for colour in ("red", "blue"))
    right = [
        await _names(model, ask(*pair, SECOND), name) for pair, name in (((red, blue), "blue"), ((blue, red), "red"))
    ]
    instead = "When the crop beside the whole is refused, the answer from the whole stands."
    return Check(_verdict(right), f"{sum(right)} of 2 second pictures named", instead)


async def reply_likelihoods(model: Model) -> Check:
    """Do replies come with log-probabilities that could be real?"""
    [reply] = await model.generate(ask(one_square(model.profile, "red"), SEEN), max_tokens=8)
    instead = "Confidence is agreement over several samples, and says so."
    if reply.tokens is None:
        return Check("no", "none given", instead, {"likelihood_of_reply": False})
    real = any(token.logprob < 0 for token in reply.tokens)
    mean = sum(token.logprob for token in reply.tokens) / max(1, len(reply.tokens))
    found = f"{len(reply.tokens)} tokens, mean {mean:.2f}"
    return Check("yes" if real else "unclear", found, instead, {"likelihood_of_reply": True})


async def given_likelihoods(model: Model) -> Check:
    """Are given texts scored, and does the score of its own reply agree with what it said of that reply?"""
    told = ask(one_square(model.profile, "red"), SEEN)
    [reply] = await model.generate(told, max_tokens=8)
    with metered(None) as meter:
        likelihoods = await model.score(told, [reply.text or "Yes", "a long answer that fits nothing"])
    instead = "Answers are weighed by their own replies' likelihoods, else by agreement; Yes and No by the first token."
    if likelihoods is None:
        return Check("no", "none given", instead, {"likelihood_of_given": False})
    own, other = likelihoods
    gap = abs(own.logprob - sum(token.logprob for token in reply.tokens)) if reply.tokens else 0.0
    agrees = gap <= SAME and own.mean > other.mean
    found = f"{reply.text!r} {own.mean:.2f}, nonsense {other.mean:.2f}, differs from its reply's by {gap:.2f}"
    if meter.requests:
        found += f"; {meter.requests} requests and {meter.usage.prompt_tokens} prompt tokens for two texts"
    return Check("yes" if agrees else "unclear", found, instead, {"likelihood_of_given": True} if agrees else {})


async def samples(model: Model) -> Check:
    """Four samples at a high temperature: are they all the same?"""
    replies = await model.generate(ask(WORD), n=4, temperature=1.5, max_tokens=8)
    different = len({reply.text for reply in replies})
    instead = "Agreement over copies is always full: do not rely on it as confidence."
    return Check("yes" if different > 1 else "no", f"{different} different of 4", instead)


async def samples_at_once(model: Model) -> Check:
    """Whether `n` replies come from one call; what is missing is asked for one by one, so none is missing here."""
    from zoomagent.models.server.openai_server import OpenAIModel

    await model.generate(ask(WORD), n=2, temperature=1.0, max_tokens=4)
    ignored = isinstance(model, OpenAIModel) and model.ignores_n
    return Check("no" if ignored else "yes", "n ignored" if ignored else "2 of 2", "The model is called n times.")


async def tools(model: Model) -> Check:
    """A tool call with the right argument."""
    [reply] = await model.generate(ask(one_square(model.profile, "green"), CALL), tools=[TOOL], max_tokens=96)
    instead = "Boxes are asked for in words."
    if not reply.tool_calls:
        return Check("no", f"none; it said {reply.text[:40]!r}", instead)
    call = reply.tool_calls[0]
    right = call.name == "pick" and names_only(call.arguments, "green")
    dialect = model.profile.tool_dialect
    found = f"{call.name} {call.arguments[:60]}, dialect {dialect}"
    return Check("yes" if right else "unclear", found, instead, {"tool_dialect": dialect})


async def tool_images(model: Model) -> Check:
    """A view inside a tool's result, with the profile told that this is allowed."""
    usual = model.profile
    instead = "Views of tool results go into the next user message."
    model.profile = replace(usual, images_in_tool_messages=True)
    try:
        right = []
        for colour in ("yellow", "blue"):
            turns = [
                *ask("Look at the picture with the tool pick. " + COLOUR),
                Message("assistant", (), (ToolCall("call_0", "pick", '{"colour": "any"}'),)),
                Message("tool", (Text("Here it is."), one_square(usual, colour)), tool_call_id="call_0"),
            ]
            right.append(await _names(model, turns, colour))
    finally:
        model.profile = usual
    # That it is accepted does not show that it helps: nano's answers get worse by it. So it is not measured.
    return Check(_verdict(right), f"{sum(right)} of 2 colours named", instead)


async def picture_limit(model: Model) -> Check:
    """As many small views as the profile sends at most, in one message."""
    most = model.profile.max_images
    view = one_square(model.profile, "red")
    try:
        await model.generate(ask(*[Pixels(f"{view.key}-{i}", view.image) for i in range(most)], COLOUR), max_tokens=1)
    except ContextTooLong as error:
        instead = f"Set max_images below {most} in a profile, or allow more in the server."
        return Check("no", f"{most} pictures are refused. {error.public}", instead)
    return Check("yes", f"{most} pictures are taken")


async def view_size(model: Model) -> Check:
    """What the largest view really costs, by the server's own count: less than was drawn where it is made smaller."""
    profile, probe = model.profile, full_probe(model.profile)
    counts = []
    for told in (ask(COLOUR), ask(probe.view, COLOUR)):
        [reply] = await model.generate(told, max_tokens=1)
        counts.append(reply.usage.prompt_tokens)
    real, drawn = counts[1] - counts[0], profile.visual_tokens(probe.size)
    found = f"{real} tokens for a view of {probe.size.width}x{probe.size.height}, {drawn} expected"
    if real <= 0:
        return Check("unclear", "the server counts no tokens of pictures", "Visual tokens are computed from sizes.")
    if real >= drawn * (1 - ROUNDING) or profile.grid != "cells":
        return Check("yes", found)
    cell = profile.multiple**2
    # The two tokens around a picture are none of its own.
    measured = {"max_pixels": max(1, real - 2) * cell}
    measured |= {"min_pixels": measured["max_pixels"]} if measured["max_pixels"] < profile.min_pixels else {}
    return Check("no", found, "The server makes views smaller: draw them as it shows them.", measured)


async def context_length(model: Model) -> Check:
    """The tokens of one conversation, where the server says so."""
    from zoomagent.models.server.openai_server import OpenAIModel

    length = await model.context_length() if isinstance(model, OpenAIModel) else None
    if length is None:
        return Check("unclear", "the server does not say", "What does not fit is shown once more at half the pixels.")
    views = length // max(1, model.profile.visual_tokens(full_probe(model.profile).size))
    return Check("yes", f"{length} tokens: about {views} of the largest views")


async def spectrograms(model: Model) -> Check:
    """Two drawn sounds, a beep and a rising sweep: which of them is named by which spectrogram?"""
    right = []
    for kind in TONES:
        picture = tone_view(model.profile, kind)
        for asked in TONES:
            [reply] = await model.generate(ask(SPECTROGRAM, picture, SEE + asked), max_tokens=8)
            right.append(reply.text.strip().lower().startswith("yes" if asked == kind else "no"))
    found = f"{sum(right)} of {len(right)} questions about drawn tones right"
    instead = "Answers about sounds rest on spectrograms that it was not taught to read, and say so."
    # Who says the same to all is right in half of them.
    works: Verdict = "yes" if all(right) else "unclear" if sum(right) > len(right) / 2 else "no"
    return Check(works, found, instead, {"sound": "spectrogram"} if all(right) else {})


async def hearing(model: Model) -> Check:
    """The same two sounds as sounds, behind a picture that shows nothing."""
    from zoomagent.models.server.openai_server import OpenAIModel

    instead = "Of a sound it is shown the spectrogram."
    if not isinstance(model, OpenAIModel):
        return Check("no", "a model in this process is given no sounds", instead)
    right = []
    for kind in TONES:
        for asked in TONES:
            told = ask(
                HEARD, replace(tone_view(model.profile, kind, shown=False), wav=tone(kind).wav(TONE)), HEAR + asked
            )
            [reply] = await model.generate(told, max_tokens=8)
            right.append(reply.text.strip().lower().startswith("yes" if asked == kind else "no"))
    works: Verdict = "yes" if all(right) else "unclear" if sum(right) > len(right) / 2 else "no"
    found = f"{sum(right)} of {len(right)} questions about drawn tones right"
    return Check(works, found, instead, {"sound": "audio"} if all(right) else {})


async def _names(model: Model, told: list[Message], colour: str) -> bool:
    [reply] = await model.generate(told, max_tokens=16)
    return names_only(reply.text, colour)


CHECKS: dict[str, Probe] = {
    "locates: coordinate space": boxes,
    "several pictures at once": several_images,
    "likelihood of its replies": reply_likelihoods,
    "likelihood of given text": given_likelihoods,
    "samples differ": samples,
    "several samples in one call": samples_at_once,
    "tool calls": tools,
    "pictures in tool results": tool_images,
    "pictures in one conversation": picture_limit,
    "views as large as drawn": view_size,
    "context length": context_length,
    "reads spectrograms": spectrograms,
    "hears sounds": hearing,
}


def _verdict(right: list[bool]) -> Verdict:
    return "yes" if all(right) else "unclear" if any(right) else "no"


def render(report: Report) -> Any:
    """The report as a rich table. What the model or its server said is no markup, and moves nothing."""
    from rich.table import Table
    from rich.text import Text as Words

    table = Table(title=Words(printable(f"{report.model} (profile {report.family})")), title_justify="left")
    for column in ("", "works", "found", "what follows"):
        table.add_column(column, overflow="fold")
    colours = {"yes": "green", "no": "red", "unclear": "yellow"}
    for check in report.checks:
        shown = "" if check.works == "yes" else check.instead
        works = Words(check.works, style=colours[check.works])
        table.add_row(check.name, works, Words(printable(check.found)), Words(printable(shown)))
    return table


def doctor(
    model: str,
    json_output: bool = False,
    extra_body: Mapping[str, Any] | None = None,
    profile: str | None = None,
    save_profile: Path | None = None,
    more: Mapping[str, Probe] | None = None,
) -> None:
    """Print what `model` can do, and keep it in the file `save_profile`; exits with the error's own status when it does
    not answer. `profile` is what was measured before, `more` are checks beside the usual ones."""
    from rich.console import Console

    fields = profile_fields(profile)
    if save_profile is not None:
        check_writable(save_profile.parent)
        try:
            check_place(save_profile)
        except OSError as error:
            text = f"{save_profile.name!r} can hold no profile ({error.strerror}). Name a file."
            raise SettingInvalid(text) from None

    async def run() -> Report:
        loaded = load_model(model, extra_body=extra_body)
        try:
            if fields:
                await identify(loaded)
                use_profile(loaded, fields)
            return await examine(loaded, more)
        finally:
            await loaded.aclose()

    try:
        report = asyncio.run(run())
    except ZoomAgentError as error:
        print(f"zoomagent: {printable(error.public)}", file=sys.stderr)
        raise typer.Exit(error.exit_status) from error
    if save_profile is not None:
        write_whole(save_profile, (json.dumps({**fields, **report.measured}, indent=2) + "\n").encode())
    if json_output:
        print(report.as_json())
        return
    Console().print(render(report))
    if report.family == "nano":
        print("nano answers about its own synthetic world only; these probes are other pictures. See its model card.")
    if save_profile is not None:
        print(f"Measured values are in {save_profile}. Use them: zoomagent ask … --profile {quote(str(save_profile))}")
    else:
        print("Keep what was measured with --save-profile FILE, or for every model of this shell:")
        print(f"export ZOOMAGENT_PROFILE={quote(json.dumps(report.measured))}")


def main(model: str, json_output: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Measure MODEL: "nano", a checkpoint folder, or a server's base URL."""
    doctor(model, json_output)


if __name__ == "__main__":
    typer.run(main)
