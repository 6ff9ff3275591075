"""The page's server, without a browser: tiles from the original, runs that stream, stop and stay, nothing let in."""

import asyncio
import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from page_world import HOSTILE, Slow, served
from PIL import Image, ImageDraw
from pydantic import ValidationError

from zoomagent import Budget, ZoomAgent
from zoomagent.errors import InputRefused, RateLimited
from zoomagent.geometry import Box, Size
from zoomagent.media import open_media
from zoomagent.page.gallery import MOST_UNASKED, TILE, Gallery, levels
from zoomagent.page.runs import AT_ONCE, PageQuestion, Runs
from zoomagent.page.server import FILES

SIZE = (2100, 1300)
NOWHERE = "0" * 64


def drawn() -> Image.Image:
    """A picture that differs at every place."""
    picture = Image.linear_gradient("L").resize(SIZE).convert("RGB")
    ImageDraw.Draw(picture).rectangle((1500, 900, 1540, 940), fill="red")
    return picture


def file_of(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def model() -> Slow:
    return Slow()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def http(model: Slow, folder: Path) -> Iterator[httpx2.Client]:
    with (
        ZoomAgent(model) as agent,
        served(agent, folder) as address,
        httpx2.Client(base_url=address, timeout=600) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def name(http: httpx2.Client) -> str:
    return str(http.post("/api/pictures", content=file_of(drawn())).json()["name"])


def lines(http: httpx2.Client, **asked: object) -> Iterator[dict[str, object]]:
    with http.stream("POST", "/api/runs", json=asked) as response:
        assert response.status_code == 200
        yield from (json.loads(line) for line in response.iter_lines())


def test_tiles_of_every_level_are_cut_from_the_original(http: httpx2.Client, name: str) -> None:
    whole = drawn()
    for level in range(levels(Size(*SIZE))):
        step = TILE << level
        for column in range(-(-SIZE[0] // step)):
            got = http.get(f"/api/pictures/{name}/tiles/{level}/{column}/0")
            box = (column * step, 0, min(SIZE[0], (column + 1) * step), min(SIZE[1], step))
            tile = Image.open(io.BytesIO(got.content))
            want = whole.crop(box).resize(tile.size, Image.Resampling.BOX)
            middle = (tile.width // 2, tile.height // 2)
            assert tile.width <= TILE and tile.height <= TILE
            assert all(abs(a - b) <= 6 for a, b in zip(tile.getpixel(middle), want.getpixel(middle), strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("tile", ["9/0/0", "0/5/0", "0/0/3", "99999999999/0/0", "-1/0/0", "0/-1/0"])
def test_tiles_that_are_not_there_are_not_found(http: httpx2.Client, name: str, tile: str) -> None:
    got = http.get(f"/api/pictures/{name}/tiles/{tile}")
    assert got.status_code == 404 and got.json()["error"]["code"] == "unknown_tile"


@pytest.mark.parametrize(
    "query", ["box=0,0,10&size=1,1", "box=0,0,9999,9&size=9,9", "box=a&size=b", "box=5,5,5,9&size=1,1"]
)
def test_views_that_can_not_be_are_refused(http: httpx2.Client, name: str, query: str) -> None:
    assert http.get(f"/api/pictures/{name}/look?{query}").status_code == 404


@pytest.mark.parametrize("path", ["/api/nothing", "/api/runs/a/b/c", "/api/about"])
def test_every_refusal_has_one_shape(http: httpx2.Client, path: str) -> None:
    got = http.post(path, content=b"[" * 100_000)
    assert got.status_code in (404, 405) and set(got.json()["error"]) == {"code", "message"}


@pytest.mark.parametrize("body", [b"", b"[" * 100_000, b"null", b'{"picture": 1e400}'])
def test_bodies_that_are_no_question_are_refused(http: httpx2.Client, body: bytes) -> None:
    got = http.post("/api/runs", content=body, headers={"content-type": "application/json"})
    assert got.status_code in (400, 422) and set(got.json()["error"]) == {"code", "message"}


def test_what_is_no_picture_is_refused_in_words(http: httpx2.Client) -> None:
    got = http.post("/api/pictures", content=b"GIF89a, but not really")
    assert got.status_code == 400
    assert got.json()["error"]["code"] in ("unsupported_image", "corrupt_image") and got.json()["error"]["message"]


@pytest.mark.parametrize("where", ["..%2f..%2fetc%2fpasswd", NOWHERE, "pictures"])
def test_names_lead_to_nothing_but_pictures(http: httpx2.Client, where: str) -> None:
    assert http.get(f"/api/pictures/{where}").status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"question": ""},
        {"question": " \n"},
        {"strategy": "guess"},
        {"calls": 0},
        {"picture": "/etc/passwd"},
        {"root": "/"},
    ],
)
def test_questions_out_of_bounds_are_refused_by_field(
    http: httpx2.Client, name: str, change: dict[str, object]
) -> None:
    got = http.post("/api/runs", json={"picture": name, "question": "What?", **change})
    assert got.status_code == 422
    assert next(iter(change)) in got.json()["error"]["message"] and "/etc" not in got.text


@pytest.mark.parametrize(
    "flood", [{f"k{i}": 0 for i in range(45_000)}, {"options": [0] * 45_000}], ids=["fields", "items"]
)
def test_a_question_of_very_many_values_is_one_error(http: httpx2.Client, name: str, flood: dict[str, object]) -> None:
    got = http.post("/api/runs", json={"picture": name, "question": "What?", **flood})
    assert got.status_code in (413, 422) and len(got.text) < 500
    with pytest.raises(ValidationError) as caught:
        PageQuestion.model_validate({"picture": name, "question": "What?", **flood})
    assert caught.value.error_count() == 1


def test_a_run_streams_its_steps_and_is_kept(http: httpx2.Client, name: str, folder: Path) -> None:
    begun, view, *steps, ended = lines(http, picture=name, question="What is it?", strategy="macro")
    assert begun["event"] == "begun" and steps and all(step["event"] == "step" for step in steps)
    assert view["event"] == "view" and isinstance(view["view"], dict) and view["view"]["under"] is None
    run = ended["run"]
    assert isinstance(run, dict) and run["text"] == HOSTILE and run["id"] == begun["id"]
    assert http.get(f"/api/runs/{run['id']}").json() == run
    assert run["id"] in [kept["id"] for kept in http.get("/api/runs").json()]
    assert (folder / str(run["id"]) / "answer.json").is_file()


@pytest.mark.parametrize("options", [["a", "A."], ["a", " "]])
def test_options_that_can_not_be_told_apart_are_refused(http: httpx2.Client, name: str, options: list[str]) -> None:
    got = http.post("/api/runs", json={"picture": name, "question": "What?", "options": options})
    assert got.status_code == 400 and "ption" in got.json()["error"]["message"]


HALF = "\\ud800"


@pytest.mark.parametrize(
    "fields",
    [f'"options": ["a{HALF}"]', f'"options": ["{HALF}", "b"]', f'"options": ["a", "{HALF[:3]}dfff"]'],
)
def test_half_a_character_is_refused_in_words(http: httpx2.Client, name: str, fields: str) -> None:
    """As JSON may write it. The stream does not begin."""
    body = f'{{"picture": "{name}", "question": "What?", {fields}}}'
    got = http.post("/api/runs", content=body.encode(), headers={"content-type": "application/json"})
    assert got.status_code in (400, 422) and set(got.json()["error"]) == {"code", "message"}


def test_a_run_that_can_not_be_kept_leaves_no_half_file(
    http: httpx2.Client, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        if path.parent.parent == folder:
            path.touch()
            raise OSError(28, "No space left on device")
        return write_bytes(path, content)

    write_bytes = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", full)
    begun, *_, ended = lines(http, picture=name, question="What is it?", strategy="macro")
    assert ended["event"] == "error"
    assert list((folder / str(begun["id"])).iterdir()) == []


def test_an_exported_run_is_one_page_without_markup_of_the_model(http: httpx2.Client, name: str) -> None:
    *_, ended = lines(http, picture=name, question="What is it?", strategy="macro")
    assert isinstance(ended["run"], dict)
    page = http.get(f"/api/runs/{ended['run']['id']}/page.html")
    assert "attachment" in page.headers["content-disposition"]
    assert "onerror" in page.text and HOSTILE not in page.text and "http://" not in page.text


def test_a_cancelled_run_stops_the_model(http: httpx2.Client, model: Slow, name: str) -> None:
    model.cancelled.clear()
    events = lines(http, picture=name, question="Please wait.", strategy="macro")
    begun = next(events)
    assert model.waited.wait(10)
    assert http.delete(f"/api/runs/{begun['id']}").json() == {"cancelled": True}
    assert [event["event"] for event in events] == ["view", "cancelled"]
    assert model.cancelled.wait(5)
    assert http.delete(f"/api/runs/{begun['id']}").json() == {"cancelled": False}


def test_a_run_whose_reader_goes_away_stops_the_model(http: httpx2.Client, model: Slow, name: str) -> None:
    model.waited.clear()
    model.cancelled.clear()
    with http.stream("POST", "/api/runs", json={"picture": name, "question": "wait", "strategy": "macro"}):
        assert model.waited.wait(10)
    assert model.cancelled.wait(10)


@pytest.mark.parametrize("where", ["20200101-000000-abcdef", "..", "pictures"])
def test_runs_that_are_not_there_are_not_found(http: httpx2.Client, where: str) -> None:
    assert http.get(f"/api/runs/{where}").status_code == 404


def test_every_answer_carries_the_policy(http: httpx2.Client) -> None:
    for path in ("/", "/app.js", "/api/about", "/api/runs/nothing", "/nothing", "/api/pictures/a/tiles/0/0/0"):
        policy = http.get(path).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http:" not in policy


def test_with_a_key_only_the_page_itself_is_open(model: Slow, tmp_path: Path) -> None:
    with ZoomAgent(model) as agent, served(agent, tmp_path, key="sesame") as address:
        statuses = [httpx2.get(address + path).status_code for path in ("/", "/app.js", "/api/about")]
        assert statuses == [200, 200, 401]
        assert httpx2.post(f"{address}/api/example").status_code == 401
        assert httpx2.get(f"{address}/api/about", headers={"authorization": "Bearer sesame"}).status_code == 200
        assert httpx2.get(address, headers={"host": "evil.example"}).status_code == 421


def test_a_gallery_forgets_what_nothing_was_asked_about(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    kept, left = (gallery.add(file_of(Image.new("RGB", (64, 64), colour))) for colour in ("red", "blue"))
    gallery.keep(kept)
    gallery.close()
    again = Gallery(tmp_path)
    with again.lent(kept) as picture:
        assert picture.id == kept
    with pytest.raises(InputRefused), again.lent(left):
        pass
    again.close()


def test_lent_pictures_stay_open_whatever_else_is_added(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    first = gallery.add(file_of(drawn()))
    with gallery.lent(first) as picture:
        for shade in range(12):
            gallery.add(file_of(Image.new("RGB", (64, 64), (shade, 0, 0))))
        assert picture.view(Box(0, 0, 8, 8), Size(8, 8)).size == (8, 8)
    gallery.close()


def test_a_gallery_keeps_few_pictures_that_nothing_was_asked_about(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    kept, *others = (gallery.add(file_of(Image.new("RGB", (60, 60), (0, shade, 0)))) for shade in range(2))
    gallery.keep(kept)
    others += [gallery.add(file_of(Image.new("RGB", (60, 60), (shade, 0, 9)))) for shade in range(MOST_UNASKED)]
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {kept, *others[1:]}
    gallery.close()


def test_a_picture_that_is_slow_to_open_keeps_nobody_else_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery(tmp_path)
    slow = gallery.add(file_of(Image.new("RGB", (64, 64), "red")))
    gallery.keep(slow)
    gallery.close()
    gallery, opened = Gallery(tmp_path), threading.Event()
    quick = gallery.add(file_of(Image.new("RGB", (64, 64), "blue")))

    def waits(*given: Any, **more: Any) -> Any:
        assert opened.wait(20)
        return open_media(*given, **more)

    monkeypatch.setattr("zoomagent.page.gallery.open_media", waits)

    async def looked() -> None:
        async def slowly() -> str:
            async with gallery.borrowed(slow) as picture:
                return picture.id

        task = asyncio.create_task(slowly())
        await asyncio.sleep(0.05)
        async with gallery.borrowed(quick):
            assert not task.done()
        opened.set()
        assert await task == slow

    asyncio.run(looked())
    gallery.close()


def test_runs_whose_lines_nobody_reads_do_not_stand_in_the_way_of_others(tmp_path: Path) -> None:
    async def asked(agent: ZoomAgent) -> None:
        gallery = Gallery(tmp_path / "pictures")
        runs = Runs(agent, gallery, tmp_path)
        about = PageQuestion(picture=gallery.add(file_of(drawn())), question="What is it?", strategy="macro")
        unread = [runs.begin(about) for _ in range(AT_ONCE)]
        with pytest.raises(RateLimited):
            runs.begin(about)
        async with asyncio.timeout(20):
            while len(runs.listed()) < len(unread):
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.05)
        assert "ended" in "".join([line async for line in runs.begin(about)])
        gallery.close()

    with ZoomAgent(Slow()) as agent:
        asyncio.run(asked(agent))


def test_what_the_operator_bounds_stays_bounded_whatever_the_page_asks(tmp_path: Path) -> None:
    async def asked(agent: ZoomAgent) -> dict[str, Any]:
        gallery = Gallery(tmp_path / "pictures")
        about = PageQuestion(
            picture=gallery.add(file_of(drawn())), question="What is it?", strategy="macro", calls=1000
        )
        *_, last = [line async for line in Runs(agent, gallery, tmp_path).begin(about)]
        gallery.close()
        return dict(json.loads(last)["run"])

    with ZoomAgent(Slow(), budget=Budget(seconds=1e-6)) as agent:
        assert asyncio.run(asked(agent))["code"] == "budget_seconds"


def test_a_question_with_half_a_character_in_a_fields_name_is_refused_like_any_other(http: httpx2.Client) -> None:
    refused = http.post("/api/runs", content=b'{"\\ud800": 1}', headers={"content-type": "application/json"})
    assert refused.status_code == 422 and refused.json()["error"]["code"] == "bad_request"


# Saved runs: found, seen small, deleted


def asked(http: httpx2.Client, picture: str, question: str, **more: object) -> str:
    """The id of a run that was asked and kept."""
    ended = [line for line in lines(http, picture=picture, question=question, **more) if line["event"] == "ended"]
    return str(ended[0]["run"]["id"])  # type: ignore[index]


def test_a_saved_run_knows_the_pictures_name_and_what_made_it(http: httpx2.Client, name: str, folder: Path) -> None:
    run = asked(http, name, "What is this?", strategy="macro", name="schöne Straße.png", seconds=50, proof=False)
    told = http.get(f"/api/runs/{run}").json()
    rows = dict(told["circumstances"])
    again = asked(http, name, "Again?", strategy="macro", gate=0.7, arbiter="none")
    settings = json.loads((folder / again / "answer.json").read_text())["made"]["settings"]
    assert (settings["gate"], settings["arbiter"]) == (0.7, "none")
    assert rows["picture"] == "schöne Straße.png" and rows["asked"].endswith("UTC") and rows["zoomagent"]
    assert rows["proof"] == "no" and rows["most seconds"] == "50.0"
    page = http.get(f"/api/runs/{run}/page.html").text
    assert "schöne Straße.png" in page and rows["asked"] in page
    kept = json.loads((folder / run / "answer.json").read_text())
    assert kept["picture"]["name"] == "schöne Straße.png"


@pytest.mark.parametrize(
    "wrong",
    [
        {"target_error": 1.5},
        {"gate": 0},
        {"arbiter": "/etc/passwd"},
        {"seconds": -1},
        {"seconds": 1e9},
        {"name": "x" * 999},
    ],
)
def test_what_a_run_may_not_ask_is_refused_by_its_field(http: httpx2.Client, name: str, wrong: dict[str, Any]) -> None:
    refused = http.post("/api/runs", json={"picture": name, "question": "What?", **wrong})
    assert refused.status_code == 422 and next(iter(wrong)) in refused.json()["error"]["message"]


def test_a_run_may_take_fewer_seconds_than_the_server_allows_and_not_more() -> None:
    from zoomagent.page.runs import _settings

    def seconds(wanted: float | None, allowed: float | None) -> float | None:
        asked = PageQuestion(picture=NOWHERE, question="What?", seconds=wanted)
        found: Budget = _settings(asked, Budget(seconds=allowed))["budget"]
        return found.seconds

    assert (seconds(5, 60), seconds(600, 60), seconds(None, 60), seconds(5, None), seconds(None, None)) == (
        5, 60, 60, 5, None,
    )  # fmt: skip


def test_the_form_asks_for_all_that_a_run_may_be_asked_by() -> None:
    script, form = (FILES / "app.js").read_text(), (FILES / "index.html").read_text()
    body = script.partition("function asked() {")[2].partition("function preset")[0]
    assert all(re.search(rf"\b{field}\b", body) for field in PageQuestion.model_fields)
    assert all(f'id="{name}"' in form for name in re.findall(r'\$\("([a-z-]+)"\)', body))


def test_saved_runs_are_found_by_words_of_all_that_is_listed(http: httpx2.Client, name: str) -> None:
    asked(http, name, "Which ZEBRA is left?", strategy="macro", name="zoo.jpg")

    def found(words: str) -> list[str]:
        return [run["question"] for run in http.get("/api/runs", params={"words": words}).json()]

    for words in ("zebra", "ZOO.jpg", "left zebra", "zebra macro"):
        assert found(words) == ["Which ZEBRA is left?"], words
    assert found("zebra search") == [] and found("no such word") == []
    assert len(found("")) > 1


def test_a_saved_run_has_a_small_picture_and_can_be_deleted(http: httpx2.Client, name: str, folder: Path) -> None:
    run = asked(http, name, "To be deleted?", strategy="macro")
    small = http.get(f"/api/runs/{run}/thumbnail.jpg")
    image = Image.open(io.BytesIO(small.content))
    assert small.headers["content-type"] == "image/jpeg" and max(image.size) == 160
    assert abs(image.width / image.height - SIZE[0] / SIZE[1]) < 0.02
    (folder / run / "notes.txt").write_text("mine")
    assert http.delete(f"/api/kept/{run}").json() == {"deleted": True}
    assert http.get(f"/api/runs/{run}").status_code == 404
    assert http.get(f"/api/runs/{run}/thumbnail.jpg").status_code == 404
    assert http.delete(f"/api/kept/{run}").status_code == 404
    assert [path.name for path in (folder / run).iterdir()] == ["notes.txt"], "what is not ours stays"
    other = asked(http, name, "To be deleted too?", strategy="macro")
    http.delete(f"/api/kept/{other}")
    assert not (folder / other).exists()


@pytest.mark.parametrize("named", ["..", "%2e%2e%2f", "pictures", "20260101-120000-zzzzzz"])
def test_nothing_but_a_run_can_be_deleted(http: httpx2.Client, folder: Path, named: str) -> None:
    before = sorted(folder.rglob("*"))
    assert http.delete(f"/api/kept/{named}").status_code in (307, 404, 405)
    assert sorted(folder.rglob("*")) == before


def odd_run(folder: Path, **changed: object) -> str:
    """A kept run as damage or somebody else left it."""
    known = json.loads(next(iter(sorted(folder.glob("*/answer.json")))).read_text())
    name = "20250101-000000-abcdef"
    (folder / name).mkdir(exist_ok=True)
    known["picture"] |= changed.pop("picture", {})
    known["made"]["settings"] |= changed.pop("settings", {})
    (folder / name / "answer.json").write_text(json.dumps(known | changed))
    return name


VIEW = {"view": "v", "source": "", "box": [0, 0, 9, 9], "size": [5, 5], "depth": 0}
PIECE = {"perspective": "micro", "view": "v", "box": [0, 0, 9, 9], "size": [5, 5]}
ODD_RUNS: dict[str, dict[str, Any]] = {
    "no width": {"picture": {"width": 0, "height": 0}},
    "negative": {"picture": {"width": -5}},
    "a view outside": {"views": [VIEW | {"box": [-5, -5, 10**9, 3]}]},
    "a view of no size": {"views": [VIEW | {"size": [0, 0]}]},
    "evidence outside": {"evidence": [PIECE | {"box": [5, 5, 1, 1]}]},
    "a target outside": {"evidence": [PIECE | {"target": [5, 5, 10**6, 9]}]},
    "evidence without end": {"evidence": [PIECE] * 2000},
    "views without end": {"views": [VIEW] * 20_000},
    "a budget of 5": {"settings": {"budget": 5}},
}


@pytest.mark.parametrize("changed", ODD_RUNS.values(), ids=ODD_RUNS)
def test_a_damaged_run_is_told_and_left_out(
    http: httpx2.Client, name: str, folder: Path, changed: dict[str, Any]
) -> None:
    list(lines(http, picture=name, question="What is it?", strategy="macro"))
    odd = odd_run(folder, **json.loads(json.dumps(changed)))
    for path in ("", "/page.html"):
        got = http.get(f"/api/runs/{odd}{path}")
        assert got.status_code != 500 and got.json()["error"]["code"] == "checkpoint_corrupt"
    listed = http.get("/api/runs")
    assert listed.status_code == 200 and odd not in listed.text and len(listed.json()) >= 1


@pytest.mark.parametrize("side", [10**4, 10**400])
def test_a_run_of_a_picture_that_has_another_size_is_no_page(
    http: httpx2.Client, name: str, folder: Path, side: int
) -> None:
    list(lines(http, picture=name, question="What is it?", strategy="macro"))
    newest = max(folder.glob("*/answer.json"))
    answer = json.loads(newest.read_text())
    answer["picture"] |= {"width": side, "height": side}
    answer["views"] = [one | {"box": [0, 0, side, side]} for one in answer["views"]]
    newest.write_text(json.dumps(answer))
    got = http.get(f"/api/runs/{newest.parent.name}/page.html")
    assert got.status_code != 500 and got.json()["error"]["code"] == "checkpoint_corrupt"


def test_a_run_whose_answer_is_no_file_is_left_out(http: httpx2.Client, name: str, folder: Path) -> None:
    list(lines(http, picture=name, question="What is it?", strategy="macro"))
    (folder / "20250102-000000-abcdef" / "answer.json").mkdir(parents=True)
    listed = http.get("/api/runs")
    assert listed.status_code == 200 and len(listed.json()) >= 1
