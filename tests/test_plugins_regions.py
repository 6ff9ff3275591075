"""Every face takes the regions of a question, hands them on as they are, and refuses the same ones."""

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai_world
import page_world
import pytest
from sign_model import SIGN, sign_model, sign_picture
from typer.testing import CliRunner

import zoomagent.agent
from zoomagent import ZoomAgent
from zoomagent.batch.asking import Agents, Setup
from zoomagent.batch.rows import Row, read_rows
from zoomagent.cli import main as cli
from zoomagent.geometry import Size
from zoomagent.plugins.offers.inputs import Allowed, picture_opener
from zoomagent.plugins.offers.offering import answer_told, region_in
from zoomagent.plugins.offers.offers import AnswerAboutImage, read_offer
from zoomagent.plugins.openai.request import read_request

QUESTION = "What is written in {0}?"
Regions = list[Any]
Heard = tuple[str, str]
"""The code of a refusal or "", and the place that the model was told of first."""


@pytest.fixture(scope="module")
def photo() -> bytes:
    file = io.BytesIO()
    sign_picture().save(file, "PNG")
    return file.getvalue()


def first_words(model: Any) -> str:
    return model.history[0].text.splitlines()[0] if model.history else ""


def by_python(photo: bytes, regions: Regions, folder: Path, patch: pytest.MonkeyPatch) -> Heard:
    with ZoomAgent(sign_model(), strategy="locate") as agent:
        answer = agent.ask(photo, QUESTION, regions=regions)
        return answer.outcome.code or "", first_words(agent._held.model)


def by_command(photo: bytes, regions: Regions, folder: Path, patch: pytest.MonkeyPatch) -> Heard:
    model = sign_model()
    patch.setattr(zoomagent.agent, "load_model", lambda *_, **__: model)
    (folder / "photo.png").write_bytes(photo)
    named = [part for region in regions for part in ("--region", ",".join(map(str, region)))]
    result = CliRunner().invoke(cli.app, ["ask", str(folder / "photo.png"), QUESTION, "--strategy", "locate", *named])
    return json.loads(result.stdout)["outcome"]["code"] or "", first_words(model)


def by_batch(photo: bytes, regions: Regions, folder: Path, patch: pytest.MonkeyPatch) -> Heard:
    model = sign_model()
    patch.setattr(zoomagent.agent, "load_model", lambda *_, **__: model)
    (folder / "photo.png").write_bytes(photo)
    (folder / "rows.jsonl").write_text(json.dumps({"image": "photo.png", "question": QUESTION, "regions": regions}))
    [row] = read_rows(folder / "rows.jsonl")
    assert isinstance(row, Row)

    async def asked() -> Any:
        async with Agents(Setup(folder=folder, settings={"strategy": "locate"})) as agents:
            return await agents.ask(row)

    return asyncio.run(asked()).outcome.code or "", first_words(model)


def by_offer(photo: bytes, regions: Regions, folder: Path, patch: pytest.MonkeyPatch) -> Heard:
    opener = picture_opener(Allowed((str(folder),)))
    (folder / "photo.png").write_bytes(photo)
    given = {"image": str(folder / "photo.png"), "question": QUESTION, "regions": regions, "units": "pixels"}
    asked = read_offer("answer_about_image", given)
    assert isinstance(asked, AnswerAboutImage)
    with ZoomAgent(sign_model(), strategy="locate", opener=opener) as agent:
        told: Any = asyncio.run(answer_told(agent, opener, asked))
        return told.value.code or "", first_words(agent._held.model)


def by_endpoint(photo: bytes, regions: Regions, folder: Path, patch: pytest.MonkeyPatch) -> Heard:
    import base64

    model, url = sign_model(), "data:image/png;base64," + base64.b64encode(photo).decode()
    body = {"model": "zoomagent", "messages": [openai_world.asking(QUESTION, url)], "zoomagent": {"regions": regions}}
    with openai_world.served(model, strategy="locate", rule="learned") as address:
        reply = httpx2.post(f"{address}/chat/completions", json=body, timeout=60).json()
    return reply.get("error", {}).get("code") or "", first_words(model)


def by_page(photo: bytes, regions: Regions, folder: Path, patch: pytest.MonkeyPatch) -> Heard:
    model = sign_model()
    with (
        ZoomAgent(model) as agent,
        page_world.served(agent, folder) as address,
        httpx2.Client(base_url=address, timeout=60) as client,
    ):
        name = client.post("/api/pictures", content=photo).json()["name"]
        asked = {"picture": name, "question": QUESTION, "regions": regions, "strategy": "locate"}
        reply = client.post("/api/runs", json=asked)
        if reply.status_code != 200:
            return reply.json()["error"]["code"], ""
        last = json.loads(reply.text.splitlines()[-1])["run"]
        assert last["code"] or last["about"] == [list(region) for region in regions]
    return last["code"] or "", first_words(model)


FACES = [by_python, by_command, by_batch, by_offer, by_endpoint, by_page]


@pytest.mark.parametrize("face", FACES)
def test_every_face_hands_regions_on_and_refuses_the_same(
    face: Callable[..., Heard], photo: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = "What is written in [500, 500, 600, 600]?"
    assert face(photo, [list(SIGN)], tmp_path, monkeypatch) == ("", wanted)
    assert face(photo, [[0, 0, 2401, 9]], tmp_path, monkeypatch) == ("bad_region", "")


def test_shares_of_a_picture_are_the_same_region(photo: bytes, tmp_path: Path) -> None:
    opener = picture_opener(Allowed((str(tmp_path),)))
    (tmp_path / "photo.png").write_bytes(photo)
    shares = [1200 / 2400, 800 / 1600, 1440 / 2400, 960 / 1600]
    given = {"image": str(tmp_path / "photo.png"), "question": QUESTION, "regions": json.dumps([shares])}
    asked: Any = read_offer("answer_about_image", given)
    with ZoomAgent(sign_model(), strategy="locate", opener=opener) as agent:
        asyncio.run(answer_told(agent, opener, asked))
        assert first_words(agent._held.model) == "What is written in [500, 500, 600, 600]?"


def test_what_an_earlier_turn_called_a_region_is_words() -> None:
    turns = [
        openai_world.asking("What is in {0}?", "data:image/png;base64,AAAA"),
        {"role": "assistant", "content": "A {1}."},
        {"role": "user", "content": "And beside it?"},
    ]
    asked = read_request(json.dumps({"model": "zoomagent", "messages": turns}).encode())
    assert "What is in {{0}}?" in asked.question and "A {{1}}." in asked.question
    again = read_request(
        json.dumps({"model": "zoomagent", "messages": turns, "zoomagent": {"regions": [[0, 0, 9, 9]]}}).encode()
    )
    assert "What is in {0}?" in again.question and "A {{1}}." in again.question


def test_rows_without_regions_keep_their_digest_and_rows_with_others_have_another() -> None:
    plain = Row("a", 1, "a.png", "What?")
    assert plain.digest == "459644a91d3985d0"
    one, other = (Row("a", 1, "a.png", "What?", regions=((0, 0, 9, side),)) for side in (9, 8))
    assert len({plain.digest, one.digest, other.digest}) == 3


@pytest.mark.parametrize("share", [1e307, -1e307, 1.7e308])
def test_a_share_beyond_all_numbers_is_no_region_and_no_bug(share: float) -> None:
    region = region_in(Size(200, 100), [0, 0, share, 1], None)
    assert all(isinstance(edge, int) for edge in region) and not 0 <= region[2] <= 200, "outside, which the run refuses"
