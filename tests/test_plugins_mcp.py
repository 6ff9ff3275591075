"""The MCP tools by the official client, in memory: what they give, what they refuse, and that a cancelled call ends."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
from fake_model import FakeModel
from mcp import Client
from mcp_types import CallToolResult
from mcp_world import (
    GREY,
    LEAK,
    MARK,
    QUESTION,
    RED,
    Stuck,
    agent_of,
    cancelled_in_time,
    data_url,
    dualfocus_model,
    images,
    picture,
    until,
    words,
)

from zoomagent.media import Picture, open_picture
from zoomagent.media.picture import InMemory
from zoomagent.plugins.mcp import server as module
from zoomagent.plugins.mcp.server import mcp_server
from zoomagent.plugins.offers.inputs import Allowed, picture_opener
from zoomagent.plugins.offers.offers import OFFERS
from zoomagent.plugins.offers.public import MAX_CROP_SIDE, PublicAnswer

RELATIVE = [MARK[0] / 2000, MARK[1] / 1000, MARK[2] / 2000, MARK[3] / 1000]


def called(model: FakeModel, name: str, arguments: dict[str, Any], root: Path | None = None) -> CallToolResult:
    async def ask() -> CallToolResult:
        agent, server = agent_of(model, root)
        with agent:
            async with Client(server) as client:
                return await client.call_tool(name, arguments)

    return asyncio.run(ask())


def test_every_tool_is_told_as_read_only_with_valid_schemas() -> None:
    async def listed() -> list[Any]:
        async with Client(agent_of(FakeModel())[1]) as client:
            return (await client.list_tools()).tools

    tools = asyncio.run(listed())
    assert [tool.name for tool in tools] == [offer.name for offer in OFFERS]
    for tool in tools:
        assert tool.annotations.read_only_hint and tool.annotations.idempotent_hint
        assert not tool.annotations.destructive_hint
        for schema in (tool.input_schema, tool.output_schema):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object" and schema["additionalProperties"] is False


def test_an_answer_comes_with_its_box_in_both_conventions_and_the_crop_it_rests_on() -> None:
    result = called(dualfocus_model(), "answer_about_image", {"image": data_url(), "question": QUESTION})
    answer = PublicAnswer.model_validate(result.structured_content, strict=False)
    assert not result.is_error and answer.answer == "42" and words(result).startswith("42")
    [box] = answer.boxes
    assert box.pixels[0] <= MARK[0] and box.pixels[2] >= MARK[2] and box.pixels[1] <= MARK[1]
    assert [share * side for share, side in zip(box.relative, (2000, 1000) * 2, strict=True)] == list(box.pixels)
    [crop] = images(result)
    middle = crop.convert("RGB").getpixel((crop.width // 2, crop.height // 2))
    assert isinstance(middle, tuple) and all(abs(a - b) < 12 for a, b in zip(middle, RED, strict=True))
    assert max(crop.size) <= MAX_CROP_SIDE


def test_every_step_of_the_run_is_told_as_progress_in_order() -> None:
    told: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async def ask() -> CallToolResult:
        agent, server = agent_of(dualfocus_model())
        with agent:
            async with Client(server) as client:
                asked = {"image": data_url(), "question": QUESTION}
                return await client.call_tool("answer_about_image", asked, progress_callback=note)

    asyncio.run(ask())
    assert [done for done, _ in told] == [float(n + 1) for n in range(len(told))]
    assert [str(message).split(":")[0] for _, message in told][:2] == ["look", "locate"]
    assert str(told[-1][1]).startswith("arbitrate")


def test_a_client_that_never_reads_its_progress_holds_no_turn_and_gets_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    told: list[float] = []

    async def never(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)
        await asyncio.Event().wait()

    async def ask() -> Sequence[CallToolResult]:
        agent, _ = agent_of(FakeModel(respond=lambda call: "42"))
        with agent:
            async with Client(mcp_server(agent, picture_opener(Allowed()), at_once=1)) as client:
                asked = {"image": data_url(), "question": QUESTION, "strategy": "macro"}
                deaf = client.call_tool("answer_about_image", asked, progress_callback=never)
                async with asyncio.timeout(10):
                    return await asyncio.gather(deaf, client.call_tool("answer_about_image", asked))

    assert [words(result)[:2] for result in asyncio.run(ask())] == ["42", "42"]
    assert told == [1.0]


def test_a_question_may_choose_its_strategy_and_options() -> None:
    model = FakeModel()
    model.enqueue(["B"])
    asked = {"image": data_url(), "question": QUESTION, "options": ["7", "42"], "strategy": "macro"}
    told = called(model, "answer_about_image", asked).structured_content
    assert told is not None and told["answer"] == "42" and told["strategy"] == "macro" and len(model.history) == 1


@pytest.mark.parametrize("asked", [{"box": RELATIVE}, {"box": [float(n) for n in MARK], "units": "pixels"}])
def test_a_crop_shows_exactly_its_box_in_either_unit(asked: dict[str, Any]) -> None:
    result = called(FakeModel(), "crop", {"image": data_url(), **asked})
    assert result.structured_content is not None
    assert result.structured_content["box"]["pixels"] == list(MARK)
    [crop] = images(result)
    assert crop.size == (MAX_CROP_SIDE, MAX_CROP_SIDE) == tuple(result.structured_content["size"])
    for corner in ((14, 14), (crop.width - 15, crop.height - 15)):
        pixel = crop.getpixel(corner)
        assert isinstance(pixel, tuple) and all(abs(a - b) < 12 for a, b in zip(pixel, RED, strict=True))


def test_a_zoom_shows_the_surroundings_too() -> None:
    result = called(FakeModel(), "zoom", {"image": data_url(), "box": RELATIVE})
    assert result.structured_content is not None
    assert result.structured_content["box"]["pixels"] == [950, 450, 1250, 750]
    pixel = images(result)[0].getpixel((4, 4))
    assert isinstance(pixel, tuple) and all(abs(a - b) < 12 for a, b in zip(pixel, GREY, strict=True))


def test_verify_gives_the_models_own_probability_for_the_region_asked_about() -> None:
    model = FakeModel()
    model.enqueue_scores([[-0.1, -3.0]])
    told = called(model, "verify", {"image": data_url(), "thing": "a red square", "box": RELATIVE}).structured_content
    assert told is not None and told["visible"] is True and 0.94 < told["probability"] < 0.96
    [view] = model.history[0].views
    assert view.image.getpixel((view.image.width // 2, view.image.height // 2)) == RED
    model.enqueue_scores([None])
    told = called(model, "verify", {"image": data_url(), "thing": "a red square"}).structured_content
    assert told is not None and told["visible"] is None and told["probability"] is None


def test_ground_gives_original_pixels_whatever_the_model_was_shown() -> None:
    model = FakeModel()
    model.enqueue(["[500, 500, 600, 700]", "Cannot tell"])
    told = called(model, "ground", {"image": data_url(), "thing": "the square"}).structured_content
    assert told is not None and told["boxes"][0]["pixels"] == list(MARK)
    told = called(model, "ground", {"image": data_url(), "thing": "the moon"}).structured_content
    assert told is not None and told["boxes"] == []


def test_read_text_reads_what_is_written() -> None:
    pytest.importorskip("rapidocr")
    from PIL import ImageDraw, ImageFont

    image = picture()
    ImageDraw.Draw(image).text((200, 200), "EXIT 12", font=ImageFont.load_default(90), fill="black")
    told = called(FakeModel(), "read_text", {"image": data_url(image)}).structured_content
    assert told is not None
    [line] = told["lines"]
    assert line["text"].replace(" ", "") == "EXIT12" and 150 < line["box"]["pixels"][0] < 250


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("answer_about_image", {"image": "/etc/passwd", "question": "?"}, "path_not_allowed"),
        ("answer_about_image", {"image": "http://127.0.0.1/a.png", "question": "?"}, "url_not_allowed"),
        ("answer_about_image", {"image": data_url(), "question": "  "}, "bad_question"),
        ("answer_about_image", {"image": "data:image/png;base64,AAAA", "question": "?"}, "unsupported_image"),
        ("crop", {"image": "../../etc/passwd", "box": RELATIVE}, "path_not_allowed"),
        ("crop", {"image": "file:///etc/passwd", "box": RELATIVE}, "path_not_allowed"),
        ("crop", {"image": data_url(), "box": [0.5, 0.5, 0.1, 0.1]}, "box_invalid"),
        ("crop", {"image": data_url(), "box": [100, 100, 300, 300]}, "box_invalid"),
        ("crop", {"image": data_url(), "box": [0.1, 0.1, 0.2]}, "tool_args_invalid"),
        ("crop", {"image": data_url(), "box": "all"}, "tool_args_invalid"),
        ("crop", {"image": data_url(), "box": [True, 0, 1, 1]}, "tool_args_invalid"),
        ("crop", {"image": ["a"], "box": RELATIVE}, "tool_args_invalid"),
        ("crop", {"image": data_url(), "box": RELATIVE, "units": "thousand"}, "tool_args_invalid"),
        ("crop", {"image": data_url(), "box": RELATIVE, "command": "ls"}, "tool_args_invalid"),
        ("verify", {"image": data_url()}, "tool_args_invalid"),
        ("verify", {"image": data_url(), "thing": " "}, "tool_args_invalid"),
        ("ground", {"image": data_url(), "thing": "x" * 2001}, "tool_args_invalid"),
        ("answer_about_image", {"image": data_url(), "question": "?", "options": ["x" * 2001, "y"]}, "bad_question"),
        ("answer_about_image", {"image": data_url(), "question": "?", "target_error": 1}, "tool_args_invalid"),
        ("answer_about_image", {"image": data_url(), "question": "?", "strategy": "guess"}, "tool_args_invalid"),
        ("run_shell", {"command": "ls"}, "tool_args_invalid"),
    ],
)
def test_what_can_not_be_is_refused_with_its_code_and_nothing_of_the_server(
    name: str, arguments: dict[str, Any], code: str, tmp_path: Path
) -> None:
    model = FakeModel()
    result = called(model, name, arguments, root=tmp_path)
    assert result.is_error and words(result).startswith(f"{code}: ")
    assert not LEAK.search(words(result)) and model.history == []


def test_a_bug_is_told_as_one_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    def opener(source: Any) -> Any:
        raise ZeroDivisionError("the secret of /home/someone")

    async def ask() -> CallToolResult:
        agent, _ = agent_of(FakeModel())
        with agent:
            async with Client(mcp_server(agent, opener)) as client:
                return await client.call_tool("crop", {"image": "a", "box": RELATIVE})

    result = asyncio.run(ask())
    assert result.is_error and words(result).startswith("bug: ") and not LEAK.search(words(result))
    assert "the secret" in caplog.text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_cancelled_call_cancels_its_run_within_a_second(mode: Literal["auto", "legacy"]) -> None:
    model = Stuck()
    agent, server = agent_of(model)
    with agent:
        asyncio.run(cancelled_in_time(server, mode, model))


def test_the_picture_of_a_cancelled_call_is_open_until_its_run_has_ended() -> None:
    told: list[str] = []

    class Lingering(Stuck):
        async def generate(self, messages: Any, **options: Any) -> Any:
            try:
                return await super().generate(messages, **options)
            finally:
                await asyncio.sleep(0.1)
                told.append("the run ended")

    class Told:
        """The pixels of a picture, which say when they are given back."""

        def __init__(self, pixels: Any) -> None:
            self.regions, self.prepare = pixels.regions, pixels.prepare

        def close(self) -> None:
            told.append("the picture closed")

    def opener(source: Any) -> Picture:
        opened = open_picture(source)
        return Picture(opened.id, opened.size, (), Told(InMemory(picture())))

    async def ask() -> None:
        model = Lingering()
        agent, _ = agent_of(model)
        with agent:
            async with Client(mcp_server(agent, opener)) as client:
                call = asyncio.create_task(
                    client.call_tool("answer_about_image", {"image": data_url(), "question": QUESTION})
                )
                await until(lambda: bool(model.history))
                call.cancel()
                await until(lambda: len(told) == 2)

    asyncio.run(ask())
    assert told == ["the run ended", "the picture closed"]


def test_no_more_calls_run_at_once_than_allowed() -> None:
    running, most, two = 0, 0, asyncio.Event()

    class Slow(FakeModel):
        async def generate(self, messages: Any, **options: Any) -> Any:
            nonlocal running, most
            running, most = running + 1, max(most, running + 1)
            if running == 2:
                two.set()
            async with asyncio.timeout(60):
                await two.wait()
            running -= 1
            return await super().generate(messages, **options)

    async def ask() -> None:
        model = Slow(respond=lambda call: "42")
        agent, _ = agent_of(model)
        with agent:
            async with Client(mcp_server(agent, picture_opener(Allowed()), at_once=2)) as client:
                asked = {"image": data_url(), "question": QUESTION, "strategy": "macro"}
                await asyncio.gather(*(client.call_tool("answer_about_image", asked) for _ in range(6)))

    asyncio.run(ask())
    assert most == 2
