"""A clip is answered on every face as by the agent itself: its moments, and the frames that the answer rests on."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytest.importorskip("av")

from clip_world import SIDE, ClipWorld
from mcp import Client
from mcp_world import QUESTION, agent_of, images, words
from openai_world import served
from PIL import Image
from video_files import clip

from zoomagent import ZoomAgent
from zoomagent.batch.answers import AnswerFile
from zoomagent.batch.asking import Agents, Setup
from zoomagent.batch.rows import read_rows
from zoomagent.batch.running import answer_all
from zoomagent.data.world.render import render
from zoomagent.moments import Moment, iou
from zoomagent.plugins.offers.public import PublicAnswer

SHOWN = Moment(20_000, 26_000)
WHEN = "When is the red circle there?"


@pytest.fixture(scope="module")
def film() -> bytes:
    """The clip of ClipWorld as a file of five frames a second."""
    drawn = ClipWorld(SHOWN).clip
    return clip(300, rate=5, gop=10, draw=lambda number: Image.fromarray(render(drawn.at(number * 200), SIDE, SIDE)))


@pytest.fixture
def url(film: bytes) -> str:
    return f"data:video/mp4;base64,{base64.b64encode(film).decode()}"


@pytest.fixture(scope="module")
def wanted(film: bytes) -> dict[str, Any]:
    """What the agent itself gives."""
    with ZoomAgent(ClipWorld(SHOWN).model, strategy="auto") as agent:
        answer = agent.ask(film, WHEN)
    assert answer.answered and answer.picture is not None and answer.picture.sheet is not None
    [span] = answer.moments
    assert iou(Moment(span.start, span.end), SHOWN) > 0.95
    return {"text": answer.text, "moment": (span.start, span.end), "sheet": answer.picture.sheet}


def test_over_mcp(url: str, wanted: dict[str, Any]) -> None:
    async def ask(name: str, arguments: dict[str, Any]) -> Any:
        agent, server = agent_of(ClipWorld(SHOWN).model)
        with agent:
            async with Client(server) as client:
                return await client.call_tool(name, arguments)

    result = asyncio.run(ask("answer_about_image", {"image": url, "question": WHEN, "strategy": "auto"}))
    answer = PublicAnswer.model_validate(result.structured_content, strict=False)
    assert not result.is_error and answer.answer == wanted["text"] and answer.sheet == wanted["sheet"]
    assert [(one.start, one.end, one.phrase) for one in answer.moments] == [(*wanted["moment"], "red circle")]
    assert "red circle: " in words(result)
    [shown] = images(result)
    assert any(r > 150 and g < 90 and b < 90 for r, g, b in iter_pixels(shown)), "the frames that the answer rests on"
    refused = asyncio.run(ask("crop", {"image": url, "box": [0.1, 0.1, 0.5, 0.5]}))
    assert refused.is_error and "answer_about_image" in words(refused)
    about = asyncio.run(ask("answer_about_image", {"image": url, "question": "{0}?", "regions": [[0, 0, 1, 1]]}))
    assert about.is_error and "Regions" in words(about)


def iter_pixels(image: Image.Image) -> list[tuple[int, int, int]]:
    flat = image.convert("RGB").tobytes()
    return list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))


@pytest.mark.parametrize("spelled", ["object", "text"])
def test_over_the_endpoint(url: str, wanted: dict[str, Any], spelled: str) -> None:
    part = {"type": "video_url", "video_url": {"url": url} if spelled == "object" else url}
    body = {
        "model": "zoomagent-auto",
        "messages": [{"role": "user", "content": [part, {"type": "text", "text": WHEN}]}],
    }
    with served(ClipWorld(SHOWN).model, rule="learned") as address:
        reply = httpx2.post(f"{address}/chat/completions", json=body, timeout=120).json()
        body["messages"][0]["content"].append({"type": "image_url", "image_url": {"url": url}})  # type: ignore[index]
        two = httpx2.post(f"{address}/chat/completions", json=body, timeout=120)
    assert reply["choices"][0]["message"]["content"] == wanted["text"]
    assert [(one["start"], one["end"]) for one in reply["zoomagent"]["moments"]] == [wanted["moment"]]
    assert two.status_code == 400 and "One picture or clip" in two.text


def test_in_a_batch_beside_pictures(
    film: bytes, wanted: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "film.mp4").write_bytes(film)
    Image.new("RGB", (300, 200)).save(tmp_path / "a.png")
    rows = [{"image": "film.mp4", "question": WHEN}, {"image": "a.png", "question": QUESTION}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))

    async def ask_all() -> None:
        with AnswerFile(tmp_path / "out.jsonl", Setup().kept) as file:
            async with Agents(Setup(folder=tmp_path)) as agents:
                await answer_all(read_rows(tmp_path / "rows.jsonl"), agents.ask, file)

    monkeypatch.setattr("zoomagent.agent.load_model", lambda spec, **_: ClipWorld(SHOWN).model)
    asyncio.run(ask_all())
    lines = {line["line"]: line for line in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())}
    assert lines[1]["answer"] == wanted["text"] and lines[1]["moments"][0]["start"] == wanted["moment"][0]
    assert lines[2]["moments"] == [] and lines[2]["picture"] == [300, 200]
