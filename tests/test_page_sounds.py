"""The served page takes sounds as it takes clips: spectrograms are walked through, and are never called frames."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytest.importorskip("av")

from clip_world import SIDE
from page_world import served
from PIL import Image
from sound_files import wav
from sound_world import SoundWorld
from test_graph_sounding import WHERE, asked, clip_of

from zoomagent import ZoomAgent
from zoomagent.data.world.sounds import sounding_video
from zoomagent.moments import Moment
from zoomagent.page.run_html import fetched, run_html
from zoomagent.page.tree import tree, walk

ALARM = Moment(20_000, 23_000)


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    with (
        ZoomAgent(SoundWorld(ALARM).model) as agent,
        served(agent, tmp_path_factory.mktemp("page")) as address,
        httpx2.Client(base_url=address, timeout=600) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def given(http: httpx2.Client) -> dict[str, Any]:
    reply = http.post("/api/pictures", content=wav(SoundWorld(ALARM).samples))
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def titles(node: dict[str, Any]) -> list[str]:
    return [node["title"], *(title for child in node["children"] for title in titles(child))]


def test_a_sound_is_asked_about_and_its_spectrograms_make_the_tree(http: httpx2.Client, given: dict[str, Any]) -> None:
    assert given["sound"] is True and given["duration"] == 60_000 and given["name"].endswith("-0-60000-3-sound")
    with http.stream("POST", "/api/runs", json={"picture": given["asked"], "question": "When is the alarm?"}) as reply:
        told = [json.loads(line) for line in reply.iter_lines()]
    run = told[-1]["run"]
    [span] = run["times"][0]["spans"]
    assert abs(60 * span["x"] - ALARM.start) < 500 and abs(60 * span["width"] - ALARM.length) < 1000
    names = titles(run["tree"])
    assert names[0] == "The whole sound" and not any("frame" in name for name in names)
    assert {line["view"]["node"]["key"] for line in told if line["event"] == "view"} <= {
        part.split('"')[0] for part in run["html"].split('data-box="')[1:]
    }
    for look in dict.fromkeys(part.split('"')[0] for part in run["html"].split('data-look="')[1:]):
        got = http.get(f"/api/pictures/{look.replace('&amp;', '&')}")
        assert got.status_code == 200 and Image.open(io.BytesIO(got.content)).size[0] > 0
    page = http.get(f"/api/runs/{run['id']}/page.html")
    assert page.status_code == 200 and "The whole sound" in page.text


def test_any_time_of_a_sound_is_had_by_its_name(http: httpx2.Client, given: dict[str, Any]) -> None:
    about = http.get(f"/api/pictures/{given['asked']}-19000-24000-1-sound").json()
    assert about["name"] == f"{given['asked']}-19000-24000-1-sound" and about["grid"] == 1
    assert http.get(f"/api/pictures/{given['asked']}-19000-64000-1-sound").status_code == 404


def test_a_clips_own_sound_is_no_frame_of_it(tmp_path: Path) -> None:
    answer, _ = asked(sounding_video(clip_of(0), SIDE))
    assert answer.question == WHERE and any(looked.sheet.heard for looked in answer.frames)
    root = tree(answer)
    assert root is not None
    named = {node.title: node for node in walk(root)}
    [heard] = [node for title, node in named.items() if title.startswith("The sound, ") and "grey" not in title]
    assert heard.whole and "The whole clip" in named and any(title.startswith("The frame at") for title in named)
    assert "-sound/look?" in run_html(answer, fetched(answer))
    answer.save(tmp_path / "run", sounding_video(clip_of(0), SIDE))
    assert "The sound, " in (tmp_path / "run" / "page.html").read_text()
