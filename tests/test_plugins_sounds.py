"""A sound is answered on every face as by the agent itself: its moments, and the spectrogram it rests on."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytest.importorskip("av")

from mcp import Client
from mcp_world import agent_of, images, words
from openai_world import served
from sound_files import encoded, tone, wav
from sound_world import SoundWorld
from typer.testing import CliRunner

from zoomagent import ZoomAgent
from zoomagent.batch.answers import AnswerFile
from zoomagent.batch.asking import Agents, Setup
from zoomagent.batch.rows import read_rows
from zoomagent.batch.running import answer_all
from zoomagent.cli.main import app
from zoomagent.clips import READ
from zoomagent.moments import Moment, iou
from zoomagent.plugins.offers.public import PublicAnswer

SOUNDS = Moment(2000, 3000)
WHEN = "When is the alarm?"
MODEL = SoundWorld(SOUNDS, 1000).model


@pytest.fixture(scope="module")
def alarm() -> bytes:
    return wav(tone(10, 2, 3))


@pytest.fixture(scope="module")
def wanted(alarm: bytes) -> tuple[str, tuple[int, int]]:
    """What the agent itself gives."""
    with ZoomAgent(MODEL) as agent:
        answer = agent.ask(alarm, WHEN)
    [span] = answer.moments
    assert iou(Moment(span.start, span.end), SOUNDS) > 0.9
    return answer.text, (span.start, span.end)


def test_over_mcp(alarm: bytes, wanted: tuple[str, tuple[int, int]]) -> None:
    url = f"data:audio/wav;base64,{base64.b64encode(alarm).decode()}"

    async def ask(name: str, arguments: dict[str, Any]) -> Any:
        agent, server = agent_of(MODEL)
        with agent:
            async with Client(server) as client:
                return await client.call_tool(name, arguments)

    result = asyncio.run(ask("answer_about_image", {"image": url, "question": WHEN, "strategy": "auto"}))
    answer = PublicAnswer.model_validate(result.structured_content, strict=False)
    assert not result.is_error and answer.answer == wanted[0] and READ in answer.reasons
    assert [(one.start, one.end, one.phrase) for one in answer.moments] == [(*wanted[1], "alarm")]
    [shown] = images(result)
    assert max(shown.convert("L").tobytes()) > 200, "the spectrogram that the answer rests on"
    refused = asyncio.run(ask("crop", {"image": url, "box": [0.1, 0.1, 0.5, 0.5]}))
    assert refused.is_error and "answer_about_image" in words(refused)


def test_over_the_endpoint_as_openai_writes_it(alarm: bytes, wanted: tuple[str, tuple[int, int]]) -> None:
    audio = {"data": base64.b64encode(alarm).decode(), "format": "wav"}
    part: dict[str, Any] = {"type": "input_audio", "input_audio": audio}
    body = {
        "model": "zoomagent-auto",
        "messages": [{"role": "user", "content": [part, {"type": "text", "text": WHEN}]}],
    }
    with served(MODEL, rule="learned") as address:
        reply = httpx2.post(f"{address}/chat/completions", json=body, timeout=120).json()
        part["input_audio"] = {**audio, "format": "midi"}
        wrong = httpx2.post(f"{address}/chat/completions", json=body, timeout=120)
        part["input_audio"] = {**audio, "data": base64.b64encode(b"RIFF\0\0\0\0WAVE").decode()}
        broken = httpx2.post(f"{address}/chat/completions", json=body, timeout=120)
    assert reply["choices"][0]["message"]["content"] == wanted[0]
    assert [(one["start"], one["end"]) for one in reply["zoomagent"]["moments"]] == [wanted[1]]
    assert wrong.status_code == 400 and "input_audio.format" in wrong.text
    assert broken.status_code == 400 and "corrupt_sound" in broken.text


def test_in_a_batch(
    alarm: bytes, wanted: tuple[str, tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alarm.wav").write_bytes(alarm)
    (tmp_path / "rows.jsonl").write_text(json.dumps({"image": "alarm.wav", "question": WHEN}))

    async def ask_all() -> None:
        with AnswerFile(tmp_path / "out.jsonl", Setup().kept) as file:
            async with Agents(Setup(folder=tmp_path)) as agents:
                await answer_all(read_rows(tmp_path / "rows.jsonl"), agents.ask, file)

    monkeypatch.setattr("zoomagent.agent.load_model", lambda spec, **_: MODEL)
    asyncio.run(ask_all())
    [line] = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert line["answer"] == wanted[0] and line["moments"][0]["start"] == wanted[1][0]


@pytest.mark.parametrize("flag", [[], ["--sound"]])
def test_on_the_command_line_and_of_a_clip_its_own_sound(
    flag: list[str], alarm: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ("clip.mp4" if flag else "alarm.wav")
    file.write_bytes(encoded(tone(10, 2, 3), "mp4", "aac", pictures=50) if flag else alarm)
    monkeypatch.setattr("zoomagent.agent.load_model", lambda spec, **_: MODEL)
    save = ["--save", str(tmp_path / "run"), "--json"]
    result = CliRunner().invoke(app, ["ask", str(file), WHEN, *flag, *save])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    [span] = said["moments"]
    assert iou(Moment(span["start"], span["end"]), SOUNDS) > 0.85 and READ in said["reasons"]
    assert (tmp_path / "run" / "page.html").is_file()


def test_nano_says_that_a_sound_is_not_its_world(alarm: bytes) -> None:
    with ZoomAgent() as agent:
        answer = agent.ask(alarm, WHEN)
    assert answer.outcome.code == "outside_world" and "spectrogram" in answer.reasons[0]
