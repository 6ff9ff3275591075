"""The doctor against servers of known abilities: it must find what is there, by the answers, and say so."""

import asyncio
import base64
import io
import json
import random
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import typer
from fake_model import FakeModel
from fake_server import FakeServer, Guise, Seen, completion, error, images_of, serve, token_logprobs
from PIL import Image, ImageChops
from rich.console import Console

from zoomagent.errors import ModelUnavailable
from zoomagent.geometry import Box, Size, Space, View, box_to_model, whole
from zoomagent.models.doctor import Report, doctor, examine, render
from zoomagent.models.probes import COLOURS, SPACES, box_probes, decide_space, fit_space, overlap
from zoomagent.models.profiles import LLAVA_1_5, NANO, QWEN2_5_VL, QWEN3_VL, UNKNOWN, environment_overrides, override
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.retrying import RetryPolicy
from zoomagent.prompts import GROUND, HEAR, SPECTROGRAM, macro_prompt

PROFILES = [QWEN2_5_VL, QWEN3_VL, NANO, LLAVA_1_5, UNKNOWN]


def place_of(image: Image.Image, colour: str) -> tuple[int, int, int, int] | None:
    flat = Image.new("RGB", image.size, COLOURS[colour])
    return ImageChops.difference(image.convert("RGB"), flat).convert("L").point(lambda v: 255 * (v == 0)).getbbox()


def colour_of(image: Image.Image) -> str:
    return next(colour for colour in COLOURS if place_of(image, colour))


def seeing(space: Space, noise: float = 0.0) -> Callable[[Seen], str]:
    """A brain that finds the squares and writes boxes in `space`, off by up to `noise` of the view."""
    source = random.Random(1)

    def answer(seen: Seen) -> str:
        if GROUND in seen.text:
            return written_box(seen)
        if "random word" in seen.text:
            return f"word{source.random():.6f}"
        if "Call the tool" in seen.text:
            call = {"name": "pick", "arguments": {"colour": colour_of(seen.images[0])}}
            offered = seen.tools or "# Tools" in seen.text
            return f"<tool_call>{json.dumps(call)}</tool_call>" if offered else "I have no tools"
        if not seen.images:
            return "Cannot tell"
        return "Yes" if "Yes or No" in seen.text else f"It is {colour_of(seen.images[-1]).title()}."

    def written_box(seen: Seen) -> str:
        colour = next(name for name in COLOURS if f"{name} square" in seen.text)
        found = place_of(seen.images[-1], colour)
        assert found
        size = Size(*seen.images[-1].size)
        numbers = box_to_model(Box(*found), space, View("v", whole(size), size))
        edges = box_to_model(whole(size), space, View("v", whole(size), size))
        scale = noise * (edges[2] - edges[0])
        return str([round(x + source.uniform(-scale, scale), 3) for x in numbers])

    return answer


def examined(brain: Callable[[Seen], str], guise: Guise | None = None, **options: Any) -> tuple[Report, FakeServer]:
    server = FakeServer(brain, guise)
    model = OpenAIModel(
        "http://fake/v1", server.guise.name, transport=server.transport(), retries=RetryPolicy(attempts=1), **options
    )
    return asyncio.run(examine(model)), server


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.family)
@pytest.mark.parametrize("space", SPACES)
def test_the_probes_tell_the_spaces_apart(profile: Any, space: Space) -> None:
    probes = box_probes(profile)
    views = [View("v", whole(probe.size), probe.size) for probe in probes]
    answers = [(probe, box_to_model(probe.box, space, view)) for probe, view in zip(probes, views, strict=True)]
    assert decide_space(fit_space(answers)) == space
    assert all(overlap(probe, numbers, space) == pytest.approx(1) for probe, numbers in answers)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_the_coordinate_space_is_measured(space: Space, noise: float) -> None:
    report, _ = examined(seeing(space, noise))
    assert report.measured["space"] == space and report.works("locates: coordinate space") == "yes"


def limited(max_pixels: int) -> Callable[[Seen], str]:
    """A brain behind a server that makes views smaller than it was sent, as `--mm-processor-kwargs` has it."""

    brain = seeing("pixels")

    def answer(seen: Seen) -> str:
        if not seen.images:
            return brain(seen)
        view = seen.images[-1]
        factor = min(1.0, (max_pixels / (view.width * view.height)) ** 0.5)
        wide, high = (max(28, int(side * factor) // 28 * 28) for side in view.size)
        small = view.resize((wide, high), Image.Resampling.NEAREST) if factor < 1 else view
        return brain(replace(seen, images=[small]))

    return answer


@pytest.mark.parametrize("max_pixels", [100352, 200704, 401408, 602112])
def test_a_servers_own_limit_of_pixels_is_measured(max_pixels: int) -> None:
    report, _ = examined(limited(max_pixels), profile=QWEN2_5_VL)
    assert report.measured["space"] == "pixels" and report.works("locates: coordinate space") == "yes"
    assert 0.8 * max_pixels <= report.measured["max_pixels"] <= max_pixels
    profile = override(QWEN2_5_VL, report.measured)
    size = profile.fit(Size(4000, 3000))
    assert size.pixels <= max_pixels


def test_a_server_that_leaves_views_as_they_are_has_no_limit_of_its_own() -> None:
    for noise in (0.0, 0.03):
        report, _ = examined(seeing("pixels", noise), profile=QWEN2_5_VL)
        assert "max_pixels" not in report.measured


def test_everything_a_good_server_does_is_found() -> None:
    server = Counts(seeing("thousand"))
    server.most = 1 << 30
    model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport(), retries=RetryPolicy(1))
    report = asyncio.run(examine(model))
    assert {check.name: check.works for check in report.checks if check.works != "yes"} == {
        "reads spectrograms": "no",
        "hears sounds": "no",
    }
    assert report.measured == {
        "space": "thousand",
        "likelihood_of_reply": True,
        "likelihood_of_given": True,
        "tool_dialect": "openai",
    }
    assert len(server.requests) <= 33


def test_a_model_that_reads_spectrograms_is_told_from_one_that_says_yes_to_all() -> None:
    brain = seeing("thousand")

    def reading(seen: Seen) -> str:
        if SPECTROGRAM not in seen.text:
            return brain(seen)
        notes = np.asarray(seen.images[-1].convert("L"), int)
        columns = [column for column in notes.T if column.max() > 200]
        rises = int(columns[2].argmax()) - int(columns[-3].argmax()) > notes.shape[0] / 8
        return "Yes" if rises == seen.text.rstrip().endswith("rising sweep") else "No"

    report, _ = examined(reading)
    assert report.works("reads spectrograms") == "yes" and report.measured["sound"] == "spectrogram"
    assert override(UNKNOWN, report.measured).sound == "spectrogram"
    assert report.works("hears sounds") == "no"
    report, _ = examined(brain)
    assert report.works("reads spectrograms") == "no" and "sound" not in report.measured


def test_a_model_that_hears_is_found_by_what_it_is_sent() -> None:
    """It goes by the samples alone: the picture beside them shows nothing."""
    brain = seeing("thousand")

    class Ears(FakeServer):
        def hear(self, seen: Seen) -> str:
            parts = [part for turn in self.requests[-1]["messages"] for part in turn["content"] if HEAR in seen.text]
            audio = [part["input_audio"]["data"] for part in parts if part["type"] == "input_audio"]
            if not audio:
                return brain(seen)
            assert seen.images[-1].convert("L").getextrema() == (127, 127)
            samples = np.frombuffer(base64.b64decode(audio[0])[44:], "<i2").astype(float)
            loud = samples[np.abs(samples) > 0]
            turns = [int((np.diff(np.sign(part)) != 0).sum()) for part in np.array_split(loud, 4)]
            return "Yes" if (turns[-1] > 2 * turns[0]) == seen.text.rstrip().endswith("rising sweep") else "No"

    server = Ears(brain)
    server.brain = server.hear
    model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport(), retries=RetryPolicy(attempts=1))
    report = asyncio.run(examine(model))
    assert report.works("hears sounds") == "yes" and report.measured["sound"] == "audio"


def test_a_server_that_says_200_and_ignores_half_is_seen_through() -> None:
    """As `transformers serve` does: log-probabilities and n ignored, unknown fields refused."""
    guise = Guise(logprobs=False, given=False, n=False, refuses_unknown=True, tools="ignored")
    report, _ = examined(seeing("pixels"), guise)
    works = {check.name: check.works for check in report.checks}
    assert works["likelihood of its replies"] == works["likelihood of given text"] == "no"
    assert works["several samples in one call"] == works["tool calls"] == "no"
    assert works["sees pictures"] == "yes" and report.measured["space"] == "pixels"
    assert report.measured["likelihood_of_given"] is False


def test_a_server_without_a_tool_parser_is_found_to_need_hermes() -> None:
    report, _ = examined(seeing("thousand"), Guise(tools="refused"))
    assert report.works("tool calls") == "yes" and report.measured["tool_dialect"] == "hermes"


def test_one_picture_at_a_time_is_found() -> None:
    report, _ = examined(seeing("thousand"), Guise(max_images=1))
    assert report.works("several pictures at once") == "no" and report.works("tool calls") == "yes"


def test_guesses_are_unclear_not_a_space() -> None:
    report, _ = examined(seeing("thousand", noise=0.9))
    assert report.works("locates: coordinate space") == "unclear" and "space" not in report.measured
    assert report.works("sees pictures") == "yes"


def test_a_blind_model_is_called_blind() -> None:
    report, _ = examined(lambda seen: "I can not see any picture.")
    works = {check.name: check.works for check in report.checks}
    assert works["sees pictures"] == works["locates: coordinate space"] == works["tool calls"] == "no"
    assert report.works("pictures in tool results") == "no"


def test_the_model_is_asked_as_a_run_asks_it() -> None:
    """A model that knows only the words it was trained on is not called blind for the doctor's own."""
    brain = seeing("thousand")

    def trained(seen: Seen) -> str:
        known = macro_prompt("What colour is the square?") in seen.text or GROUND in seen.text
        return brain(seen) if known else "Cannot tell"

    report, _ = examined(trained)
    assert report.works("sees pictures") == report.works("locates: coordinate space") == "yes"


def test_a_model_that_is_poor_at_oblong_views_is_measured_by_square_ones() -> None:
    brain = seeing("thousand")

    def poor(seen: Seen) -> str:
        oblong = seen.images and seen.images[-1].width != seen.images[-1].height
        return "[0, 0, 1000, 1000]" if oblong and GROUND in seen.text else brain(seen)

    report, _ = examined(poor)
    assert report.measured["space"] == "thousand"


def test_what_is_accepted_and_was_not_shown_to_help_is_not_exported() -> None:
    report, _ = examined(seeing("thousand"))
    assert report.works("pictures in tool results") == "yes" and "images_in_tool_messages" not in report.measured


class TextOnly(FakeServer):
    def _refusal(self, request: dict[str, Any]) -> Any:
        return error(400, "Qwen/Qwen3-8B is not a multimodal model") if images_of(request) else None


def test_a_model_that_takes_no_pictures_stands_in_the_table_with_what_to_serve_instead() -> None:
    server = TextOnly()
    model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport(), retries=RetryPolicy(1))
    report = asyncio.run(examine(model))
    [check] = report.checks
    assert (check.name, check.works) == ("sees pictures", "no") and "vision-language model" in check.found
    assert report.measured == {} and len(server.requests) == 1


class Counts(FakeServer):
    """A server that shows its model smaller views than it is sent, and counts their tokens."""

    most = 128 * 128

    def _completion(self, request: dict[str, Any]) -> dict[str, Any]:
        body = super()._completion(request)
        pixels = (min(self.most, image.width * image.height) for image in images_of(request))
        body["usage"]["prompt_tokens"] = 20 + sum(2 + count // 32**2 for count in pixels)
        return body

    def decide(self, path: str, body: bytes) -> Any:
        if path.endswith("/models"):
            return {"data": [{"id": "qwen3-vl", "max_model_len": 4096}]}
        return super().decide(path, body)


def test_the_size_at_which_a_server_shrinks_views_is_found_by_its_count() -> None:
    server = Counts(seeing("thousand"))
    model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport(), retries=RetryPolicy(1))
    report = asyncio.run(examine(model))
    assert report.works("views as large as drawn") == "no"
    assert report.measured["max_pixels"] == report.measured["min_pixels"] == 128 * 128
    found = {check.name: check.found for check in report.checks}
    assert found["context length"].startswith("4096 tokens")
    assert "requests and" in found["likelihood of given text"]


def test_how_many_pictures_fit_is_found() -> None:
    report, _ = examined(seeing("thousand"), Guise(max_images=2))
    assert report.works("pictures in one conversation") == "no"
    report, _ = examined(seeing("thousand"), Guise(max_images=8))
    assert report.works("pictures in one conversation") == "yes"


def test_a_dead_server_is_an_error_not_a_report() -> None:
    with pytest.raises(ModelUnavailable):
        asyncio.run(examine(FakeModel(respond=lambda call: ModelUnavailable("down"))))


def test_the_table_the_json_and_the_profile_line_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = examined(seeing("unit"), Guise(logprobs=False, given=False))
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(render(report))
    shown = console.export_text()
    assert all(check.name.split()[0] in shown for check in report.checks) and "agreement over several" in " ".join(
        shown.split()
    )
    parsed = json.loads(report.as_json())
    assert [check["name"] for check in parsed["checks"]] == [check.name for check in report.checks]
    monkeypatch.setenv("ZOOMAGENT_PROFILE", json.dumps(parsed["measured"]))
    assert environment_overrides() == report.measured


def test_a_profile_is_left_as_it_was() -> None:
    server = FakeServer(seeing("thousand"))
    model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport())
    before = model.profile
    asyncio.run(examine(model))
    assert model.profile == before


PAYLOADS = (
    "\x1b]0;PWNED\x07\x1b[2J",
    "[link=http://evil]click[/link]",
    "[/nope]",
    "\u202egnp.exe",
    "\x9b31m",
    "[bold red]",
    "\r\n\u2028",
    ":skull:",
)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_a_model_says_neither_moves_nor_marks_what_the_doctor_prints(payload: str) -> None:
    """In its replies, in the names and arguments of its calls, in its own name, and in its server's errors."""
    call = {"id": "c", "function": {"name": payload, "arguments": json.dumps({"colour": payload})}}
    told = {"content": payload, "tool_calls": [call]}
    body = completion([{"message": told, "logprobs": token_logprobs(payload)}], model=payload)
    for answers in ([body] * 40, [body] * 3 + [error(400, f"refused {payload}")] * 40):
        server = FakeServer()
        server.enqueue(answers)
        model = OpenAIModel(
            "http://fake/v1", f"m{payload}", transport=server.transport(), retries=RetryPolicy(attempts=1)
        )
        printed = io.StringIO()
        console = Console(file=printed, width=400, force_terminal=True, color_system=None)
        console.print(render(asyncio.run(examine(model))))
        text = printed.getvalue()
        assert not [c for c in text if unicodedata.category(c)[0] == "C" and c != "\n"], text
        assert payload.strip("\r\n\u2028") in text or not payload.isprintable()


def test_an_error_of_the_server_ends_the_doctor_in_one_clean_line(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        server = FakeServer()
        server.enqueue([error(400, "no \x1b[2J [/nope] \u202e")] * 9)
        async with serve(server) as url:
            with pytest.raises(typer.Exit) as left:
                await asyncio.to_thread(doctor, f"{url}#qwen3-vl")
            assert left.value.exit_code == 69

    asyncio.run(scenario())
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("zoomagent: bad_request") and line.isprintable() and "\\x1b" in line


def test_a_model_of_a_narrow_world_is_told_from_one_that_does_not_look() -> None:
    """Both name no colour. One follows the picture in words of its own, the other says the same to every picture."""
    brain = seeing("thousand")

    def narrow(seen: Seen) -> str:
        words = {"red": "a stop sign", "blue": "a pool", "green": "a lawn", "yellow": "a lemon"}
        said = brain(seen)
        return next((word for colour, word in words.items() if colour in said.lower()), said)

    def sleeping(seen: Seen) -> str:
        return "Yes" if "Yes or No" in seen.text else "a nice picture"

    report, _ = examined(narrow)
    check = report.checks[0]
    assert check.works == "unclear" and "a pool" in check.found and "does not know such pictures" in check.instead
    report, _ = examined(sleeping)
    check = report.checks[0]
    assert check.works == "no" and "does not depend on the picture" in check.found


def test_boxes_are_measured_on_the_largest_view_too() -> None:
    brain = seeing("thousand")

    def tired(seen: Seen) -> str:
        large = seen.images and seen.images[-1].width * seen.images[-1].height > 700 * 700
        return "[0, 0, 200, 200]" if large and GROUND in seen.text else brain(seen)

    report, _ = examined(tired)
    check = next(check for check in report.checks if check.name == "locates: coordinate space")
    assert check.works == "unclear" and "largest view" in check.instead and report.measured["space"] == "thousand"
    report, _ = examined(brain)
    assert report.works("locates: coordinate space") == "yes"
