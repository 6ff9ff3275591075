"""The served page takes a clip as a whole: asked about, watched, kept, shown again, and nothing let in that is none."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

pytest.importorskip("av")

from clip_world import SIDE, ClipWorld
from fake_model import FakeModel
from page_world import served
from PIL import Image
from test_tools_video_zoom import CLOSER, FRAME, Asking, scores
from video_files import clip, number_in

from zoomagent import ZoomAgent
from zoomagent.data.world.render import render
from zoomagent.errors import InputRefused
from zoomagent.media import Limits
from zoomagent.media.video.opening import open_video
from zoomagent.media.video.sheet import Sheet
from zoomagent.moments import Moment, iou
from zoomagent.page.gallery import Gallery
from zoomagent.page.leftovers import cleared
from zoomagent.page.names import file_and_sheet, sheet_name
from zoomagent.run_record import SheetInfo

SHOWN = Moment(20_000, 26_000)
WHEN, WHAT = "When is the red circle there?", "What is written on the red circle?"


@pytest.fixture(scope="module")
def film() -> bytes:
    """The clip of ClipWorld as a file of five frames a second."""
    drawn = ClipWorld(SHOWN).clip
    return clip(300, rate=5, gop=10, draw=lambda number: Image.fromarray(render(drawn.at(number * 200), SIDE, SIDE)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def http(folder: Path) -> Iterator[httpx2.Client]:
    with (
        ZoomAgent(ClipWorld(SHOWN).model) as agent,
        served(agent, folder) as address,
        httpx2.Client(base_url=address, timeout=600) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def given(http: httpx2.Client, film: bytes) -> dict[str, Any]:
    """What the server says of the clip."""
    reply = http.post("/api/pictures", content=film)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def lines(http: httpx2.Client, **asked: object) -> list[dict[str, Any]]:
    with http.stream("POST", "/api/runs", json=asked) as response:
        assert response.status_code == 200
        return [json.loads(line) for line in response.iter_lines()]


@pytest.fixture(scope="module")
def when(http: httpx2.Client, given: dict[str, Any]) -> list[dict[str, Any]]:
    return lines(http, picture=given["asked"], question=WHEN, name="film.mp4")


@pytest.fixture(scope="module")
def what(http: httpx2.Client, given: dict[str, Any]) -> list[dict[str, Any]]:
    return lines(http, picture=given["asked"], question=WHAT)


def edges(node: dict[str, Any], under: str | None = None) -> dict[str, str | None]:
    found = {node["key"]: under}
    for child in node["children"]:
        found |= edges(child, node["key"])
    return found


def titles(node: dict[str, Any]) -> list[str]:
    return [node["title"], *(title for child in node["children"] for title in titles(child))]


def picture(reply: httpx2.Response) -> Image.Image:
    assert reply.status_code == 200, reply.text
    return Image.open(io.BytesIO(reply.content)).convert("RGB")


def test_a_clip_is_taken_whole_and_shown_as_nine_of_its_frames(
    http: httpx2.Client, given: dict[str, Any], film: bytes
) -> None:
    with open_video(film) as video:
        sheet = Sheet(video, video.moment, 3)
        assert (given["width"], given["height"]) == (sheet.size.width, sheet.size.height)
        assert given["duration"] == video.duration and given["asked"] == video.id
        tile = picture(http.get(f"/api/pictures/{given['name']}/tiles/0/0/0"))
        own = sheet.view(sheet.cell(0), video.size)
    corner = tile.crop((0, 0, *own.size))
    assert abs(np.asarray(corner, float) - np.asarray(own, float)).mean() < 3, "one frame, but for the JPEG of the tile"


def test_any_frame_is_had_by_its_time(http: httpx2.Client) -> None:
    numbered = http.post("/api/pictures", content=clip(40, rate=20)).json()
    for number in (0, 7, 39):
        name = f"{numbered['asked']}-{number * 50}-{number * 50 + 1}-1"
        about = http.get(f"/api/pictures/{name}").json()
        assert (about["name"], about["asked"]) == (name, numbered["asked"])
        size = f"{about['width']},{about['height']}"
        assert number_in(picture(http.get(f"/api/pictures/{name}/look?box=0,0,{size}&size={size}"))) == number


def test_when_is_answered_with_the_moment_and_its_frames(when: list[dict[str, Any]]) -> None:
    run = when[-1]["run"]
    [span] = run["times"][0]["spans"]
    length = 60.0
    found = Moment(round(span["x"] * length), round((span["x"] + span["width"]) * length))
    assert when[-1]["event"] == "ended" and iou(found, SHOWN) > 0.9
    assert "When it is there" in run["html"] and 'class="bar clip"' in run["html"]
    names = titles(run["tree"])
    assert names[0] == "The whole clip" and any(name.startswith("The frame at") for name in names)
    assert any(name.startswith("9 frames, ") for name in names) and any("grey" in name for name in names)


@pytest.mark.parametrize("asked", ["when", "what"])
def test_frames_are_told_one_by_one_and_make_the_tree_of_the_answer(asked: str, request: pytest.FixtureRequest) -> None:
    told = request.getfixturevalue(asked)
    run, views = told[-1]["run"], [line["view"] for line in told if line["event"] == "view"]
    assert views[0]["under"] is None and len(views) > 3
    tree = edges(run["tree"])
    assert {view["node"]["key"] for view in views} <= set(tree)
    # Crops of the answer that were not shown by themselves come with it; nothing else was not told.
    assert set(tree) - {view["node"]["key"] for view in views} <= {
        f"{run['shown']}/{','.join(map(str, box))}" for box in run["boxes"]
    }
    shared = {view["node"]["key"]: view["under"] for view in views}
    assert all(tree[key] == under for key, under in shared.items())


def test_every_view_of_a_clips_run_can_be_fetched_as_the_model_saw_it(
    http: httpx2.Client, when: list[dict[str, Any]], what: list[dict[str, Any]], film: bytes
) -> None:
    with open_video(film) as video:
        for run in (when[-1]["run"], what[-1]["run"]):
            looks = [part.split('"')[0] for part in run["html"].split('data-look="')[1:]]
            assert len(looks) > 3
            for look in dict.fromkeys(looks):
                shown = picture(http.get(f"/api/pictures/{look.replace('&amp;', '&')}"))
                name, query = look.replace("&amp;", "&").split("/look?")
                frames = file_and_sheet(name)[1]
                assert frames is not None and name.startswith(video.id)
                box = [int(number) for number in query.split("&")[0].removeprefix("box=").split(",")]
                if box[2] - box[0] == video.size.width * frames[1]:
                    sheet = Sheet(video, frames[0], frames[1], frames[2])
                    middle = sheet.cell(0).width // 2, sheet.cell(0).height // 2
                    scale = shown.width / (box[2] - box[0])
                    at = (round(middle[0] * scale), round(middle[1] * scale))
                    own = sheet.view(sheet.cell(0), video.size).getpixel(middle)
                    assert np.abs(np.subtract(shown.getpixel(at), own)).max() < 60  # type: ignore[arg-type]


def test_what_is_read_in_a_frame_has_its_crop_below_that_frame(what: list[dict[str, Any]]) -> None:
    run = what[-1]["run"]
    assert run["text"] == "47" and run["boxes"]
    tree = edges(run["tree"])
    crop = f"{run['shown']}/{','.join(map(str, run['boxes'][0]))}"
    above = tree[crop]
    assert above is not None and above.startswith(f"{run['shown']}/0,0,"), "the frame in which it lies"
    start, end = (int(number) for number in run["shown"].split("-")[1:3])
    assert SHOWN.start <= start < end <= SHOWN.end


def test_a_kept_run_is_shown_again_and_saved_as_one_page(http: httpx2.Client, when: list[dict[str, Any]]) -> None:
    run = when[-1]["run"]
    again = http.get(f"/api/runs/{run['id']}").json()
    assert again == run
    assert http.get(f"/api/pictures/{again['asked']}").json()["duration"] == 60_000
    page = http.get(f"/api/runs/{run['id']}/page.html")
    assert page.status_code == 200 and page.text.count("data:image/") > 6 and "The whole clip" in page.text
    assert picture(http.get(f"/api/runs/{run['id']}/thumbnail.jpg")).width == 160
    assert [one["name"] for one in http.get("/api/runs?words=film.mp4").json()] == ["film.mp4"]


def test_a_clip_that_a_kept_run_names_outlives_a_kill(folder: Path, when: list[dict[str, Any]], tmp_path: Path) -> None:
    kept, asked = tmp_path / "pictures", when[-1]["run"]["asked"]
    kept.mkdir()
    (kept / asked).write_bytes((folder / "pictures" / asked).read_bytes())
    (kept / ("0" * 64)).write_bytes(b"nobody names this")
    (tmp_path / when[-1]["run"]["id"]).mkdir()
    answer = (folder / when[-1]["run"]["id"] / "answer.json").read_bytes()
    (tmp_path / when[-1]["run"]["id"] / "answer.json").write_bytes(answer)
    with cleared(tmp_path):
        assert [path.name for path in kept.iterdir()] == [asked]


@pytest.mark.parametrize("damage", ["grid", "moment", "clip", "hidden", "duration", "box"])
def test_a_damaged_run_of_a_clip_is_told_and_never_shown(
    http: httpx2.Client, folder: Path, when: list[dict[str, Any]], damage: str
) -> None:
    id = f"20260101-000000-{damage.encode().hex()[:6]}"
    record = json.loads((folder / when[-1]["run"]["id"] / "answer.json").read_text())
    own, first = record["picture"]["sheet"], record["frames"][0]
    if damage == "box":
        first["box"] = [0, 0, 99_999, 10]
    elif damage == "duration":
        for sheet in (own, *(frames["sheet"] for frames in record["frames"])):
            sheet["duration"] = 10**12
    else:
        wrong = {"grid": 0, "moment": [5, 10**9], "clip": "../../etc/passwd", "hidden": [[9, 2]]}[damage]
        first["sheet"][damage] = own[damage] = wrong
    (folder / id).mkdir()
    (folder / id / "answer.json").write_text(json.dumps(record))
    got = http.get(f"/api/runs/{id}/page.html")
    assert got.json()["error"]["code"] == "checkpoint_corrupt"


@pytest.mark.parametrize(
    "frames", ["0-60001-3", "5-5-1", "9-3-1", "0-1-5", "0-1-0", "-1-4-1", "0-1-1-2", f"0-1-1{'-1-2' * 9}", "1" * 5000]
)
def test_frames_that_are_not_there_are_not_found(http: httpx2.Client, given: dict[str, Any], frames: str) -> None:
    got = http.get(f"/api/pictures/{given['asked']}-{frames}/tiles/0/0/0")
    assert got.status_code == 404 and got.json()["error"]["code"] in ("unknown_picture", "other_picture")


def test_a_picture_has_no_frames(http: httpx2.Client) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (90, 60)).save(buffer, "PNG")
    name = http.post("/api/pictures", content=buffer.getvalue()).json()["name"]
    assert http.get(f"/api/pictures/{name}-0-1-1").status_code == 404


def test_a_region_of_a_clip_is_refused_in_words(http: httpx2.Client, given: dict[str, Any]) -> None:
    [*_, last] = lines(http, picture=given["asked"], question="What is in {0}?", regions=[[0, 0, 9, 9]])
    assert last["event"] == "error" and "Regions" in last["error"]["message"]


def test_only_a_file_can_be_asked_about(http: httpx2.Client, given: dict[str, Any]) -> None:
    got = http.post("/api/runs", json={"picture": given["name"], "question": WHEN})
    assert got.status_code == 422


def test_what_is_no_clip_or_too_large_is_refused_and_leaves_nothing(tmp_path: Path, film: bytes) -> None:
    gallery = Gallery(tmp_path, Limits(max_bytes=len(film) - 1))
    for content, code in ((film, "too_many_bytes"), (film[:200], "corrupt_video"), (b"#EXTM3U\n/etc/passwd", None)):
        with pytest.raises(InputRefused) as refused:
            gallery.add(content)
        assert code is None or refused.value.code == code
    assert not list(tmp_path.iterdir())
    gallery.close()


def test_names_of_frames_are_read_as_they_are_written() -> None:
    for grid, hidden in ((1, ()), (3, ((5, 9),)), (4, ((1, 2), (3, 4), (5, 6)))):
        info = SheetInfo(moment=(3, 900), grid=grid, duration=1000, clip="a" * 64, hidden=hidden)
        moments = tuple(Moment(*span) for span in hidden)
        assert file_and_sheet(sheet_name(info)) == ("a" * 64, (Moment(3, 900), grid, moments, False))


def test_a_segment_that_the_model_asks_for_is_told_and_shown(tmp_path: Path, film: bytes) -> None:
    model = FakeModel(respond=Asking([FRAME, CLOSER]).reply, respond_score=scores)
    with (
        ZoomAgent(model, strategy="tools", arbiter="none") as agent,
        served(agent, tmp_path) as address,
        httpx2.Client(base_url=address, timeout=600) as client,
    ):
        asked = client.post("/api/pictures", content=film).json()["asked"]
        told = lines(client, picture=asked, question=WHAT, strategy="tools")
        run = told[-1]["run"]
        assert run["text"] == "47" and run["shown"].startswith(f"{asked}-23000-230") and run["shown"].endswith("-1")
        tree = edges(run["tree"])
        assert {line["view"]["node"]["key"] for line in told if line["event"] == "view"} == set(tree)
        crop = f"{run['shown']}/{','.join(map(str, run['boxes'][-1]))}"
        assert tree[crop] == f"{run['shown']}/0,0,{SIDE},{SIDE}"
        assert client.get(f"/api/runs/{run['id']}/page.html").text.count("data:image/") >= 4


def test_a_thing_that_is_counted_keeps_its_grey_frames_apart(tmp_path: Path) -> None:
    """The frames that a later turn of a search saw in part are other frames than those that the first saw."""
    world = ClipWorld([SHOWN, Moment(40_000, 44_000)])
    answer = world.ask("How often is the red circle there?")
    hidden = [looked for looked in answer.frames if looked.sheet.hidden]
    assert answer.text.endswith("2") and hidden
    answer.save(tmp_path / "run", world.video)
    page = (tmp_path / "run" / "page.html").read_text()
    assert page.count("some of it grey") >= len({(one.sheet, one.box) for one in hidden})
