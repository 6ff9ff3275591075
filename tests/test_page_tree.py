"""The page's tree of views: it grows while the run goes on, it is the same afterwards, and it leads to the boxes."""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from page_browser import Open, launched, needs_chromium, opening
from page_world import Hesitant, served

from zoomagent import ZoomAgent
from zoomagent.page.gallery import Gallery
from zoomagent.page.runs import PageQuestion, Runs
from zoomagent.page.server import EXAMPLE

pytestmark = needs_chromium
QUESTION = "What is written on the yellow circle?"
Edges = list[tuple[str, str | None]]
WORDS = "rows => rows.map((row) => [row.ariaLevel, row.innerText])"
FOCUS = "document.activeElement.closest('[role=treeitem]')?.querySelector('.number').textContent"


TWICE = """async () => {
  const { Tree } = await import("/tree.js");
  const { el } = await import("/dom.js");
  const item = (box, ...below) => el("li", { "data-box": box },
    el("div.look", {}, el("h4.title", {}, el("b", {}, box))), below.length ? el("ul", {}, ...below) : null);
  const list = () => el("ul", {}, item("0,0,9,9", item("1,1,2,2")));
  const tree = new Tree({ picked: () => {} });
  const open = () => tree.list.querySelector(".look").ariaExpanded;
  tree.take(list());
  tree.list.querySelector(".twist").click();
  tree.take(list());
  const before = open();
  tree.select("1,1,2,2");
  return [before, open()];
}"""


@pytest.fixture(scope="module")
def model() -> Hesitant:
    return Hesitant()


@pytest.fixture(scope="module")
def agent(model: Hesitant) -> Iterator[ZoomAgent]:
    with ZoomAgent(model) as agent:
        yield agent


@pytest.fixture(scope="module")
def address(agent: ZoomAgent) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, served(agent, Path(folder)) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as chromium:
        yield chromium


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    with opening(browser) as opened:
        yield opened


def asked(opened: Open, address: str, **window: Any) -> Any:
    """The example, asked about."""
    page = opened(address, **window)
    page.click("#example")
    page.wait_for_selector("canvas[data-ready=true]")
    page.click("#go")
    return page


@pytest.fixture(scope="module")
def finished(browser: Any, address: str, model: Hesitant) -> str:
    """The address of a run that is over."""
    model.let.set()
    with opening(browser) as opened:
        page = asked(opened, address)
        page.wait_for_selector(".answer")
        return f"{address}/{page.evaluate('location.hash')}"


def shown(opened: Open, finished: str, **window: Any) -> Any:
    page = opened(finished, **window)
    page.wait_for_selector(".look[aria-selected=true]")
    return page


def edges(node: dict[str, Any], under: str | None = None) -> Edges:
    """Every box of a tree, and the one above it, by their keys."""
    below = [edge for child in node["children"] for edge in edges(child, node["key"])]
    return [(node["key"], under), *below]


@pytest.mark.parametrize("strategy", ["auto", "tools", "dualfocus"])
def test_views_are_told_one_by_one_and_make_the_tree_of_the_answer(
    agent: ZoomAgent, model: Hesitant, strategy: str, tmp_path: Path
) -> None:
    async def events() -> list[dict[str, Any]]:
        gallery = Gallery(tmp_path)
        picture = gallery.add((EXAMPLE / "scene.jpg").read_bytes())
        about = PageQuestion(picture=picture, question=QUESTION, strategy=cast(Any, strategy))
        lines = [json.loads(line) async for line in Runs(agent, gallery, tmp_path).begin(about)]
        gallery.close()
        return lines

    model.let.set()
    lines = asyncio.run(events())
    told = [line["view"] for line in lines if line["event"] == "view"]
    grown = {view["node"]["key"]: (view["node"]["key"], view["under"]) for view in told}
    assert sorted(grown.values(), key=str) == sorted(edges(lines[-1]["run"]["tree"]), key=str)
    assert lines[1]["event"] == "view", "the whole is told before anything is known of it"


def test_the_tree_grows_before_there_is_an_answer(opened: Open, address: str, model: Hesitant) -> None:
    model.let.clear()
    page = asked(opened, address)
    page.wait_for_selector(".tree ul ul .look")
    assert not page.is_visible(".answer") and page.is_visible("#cancel")
    pictures = page.locator(".tree img").evaluate_all(
        "all => Promise.all(all.map((i) => i.decode().then(() => i.width)))"
    )
    assert len(pictures) >= 3 and min(pictures) > 0
    assert "Looked at the whole" in page.locator(".look").first.inner_text()
    model.let.set()
    page.wait_for_selector(".answer")
    assert "Crop 1" in page.locator(".tree ul ul .look").last.inner_text()


def test_a_run_opened_again_shows_the_same_tree(opened: Open, address: str, model: Hesitant) -> None:
    model.let.set()
    page = asked(opened, address)
    page.wait_for_selector(".answer")
    before = page.locator(".look").evaluate_all(WORDS)
    page.reload()
    page.wait_for_selector(".answer")
    assert page.locator(".look").evaluate_all(WORDS) == before
    assert len(before) >= 3


def test_a_view_chosen_in_the_tree_is_shown_on_the_picture(opened: Open, finished: str) -> None:
    page = shown(opened, finished)
    row = page.locator(".look").nth(1)
    row.click(position={"x": 40, "y": 40})
    assert row.get_attribute("aria-selected") == "true"
    assert page.inner_text(".caption").startswith(row.locator(".title .note").inner_text() + " of ")
    assert "search" in page.inner_text(".step[aria-current=step]")


def test_a_box_chosen_on_the_picture_is_shown_in_the_tree(opened: Open, finished: str) -> None:
    page = shown(opened, finished)
    page.click("button[aria-label^='The whole']")
    page.wait_for_selector("canvas[data-ready=true]")
    boxes = page.locator(".tree li").evaluate_all("all => all.map((item) => item.dataset.box.split(',').map(Number))")
    right, top = boxes[1][2] - 60, boxes[1][1] + 60
    assert not any(box[0] <= right <= box[2] and box[1] <= top <= box[3] for box in boxes[2:])
    spot = page.locator("canvas").first.evaluate(
        "(canvas, [x, y]) => { const s = Math.min(canvas.clientWidth, canvas.clientHeight) / 4096;"
        "return [canvas.clientWidth / 2 + (x - 2048) * s, canvas.clientHeight / 2 + (y - 2048) * s]; }",
        [right, top],
    )
    page.locator("canvas").first.click(position={"x": spot[0], "y": spot[1]})
    assert str(boxes[1]) in page.inner_text(".look[aria-selected=true]")


def test_the_tree_is_walked_by_arrow_keys(opened: Open, finished: str) -> None:
    page = shown(opened, finished)
    above = "all => all.map((item) => item.parentNode.closest('li')?.querySelector('.number').textContent)"
    parents = page.locator(".tree li").evaluate_all(above)
    last = len(parents) - 1
    up = str(int(parents[-1]) - 1)
    page.locator(".look[tabindex='0']").focus()
    page.keyboard.press("Home")
    assert page.evaluate(FOCUS) == "0"
    keys = {"ArrowRight": "1", "ArrowDown": "2", "End": str(last), "ArrowLeft": parents[-1], "ArrowUp": up}
    for key, number in keys.items():
        page.keyboard.press(key)
        assert page.evaluate(FOCUS) == number
        assert page.locator(".look[aria-selected=true] .number").inner_text() == number
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".look:visible").count() == 1
    page.keyboard.press("ArrowDown")
    assert page.evaluate(FOCUS) == "0"
    page.keyboard.press("ArrowRight")
    assert page.locator(".look:visible").count() == len(parents)
    assert page.locator(".look[tabindex='0']").count() == 1


def test_the_focus_stays_in_the_tree_when_the_answer_comes(opened: Open, address: str, model: Hesitant) -> None:
    model.let.clear()
    page = asked(opened, address)
    page.wait_for_selector(".tree ul ul .look")
    page.locator(".look").nth(1).focus()
    model.let.set()
    page.wait_for_selector(".answer")
    assert page.evaluate(FOCUS) == "1"


def test_what_was_closed_stays_closed_when_the_tree_comes_once_more(opened: Open, address: str) -> None:
    """Unless it holds what is chosen, which is opened to be seen."""
    page = opened(address)
    page.wait_for_selector("#strategy option", state="attached")
    assert page.evaluate(TWICE) == ["false", "true"]


def test_a_screen_reader_is_not_flooded(opened: Open, address: str, model: Hesitant) -> None:
    model.let.set()
    page = opened(address)
    page.evaluate(
        "() => { window.said = []; new MutationObserver(() => said.push([performance.now(), heard.textContent]))"
        ".observe(document.getElementById('heard'), { childList: true }); }"
    )
    page.click("#example")
    page.wait_for_selector("canvas[data-ready=true]")
    page.click("#go")
    page.wait_for_selector(".answer")
    said = page.evaluate("said")
    steps = [moment for moment, words in said if "so far" in words]
    assert said[-1][1].startswith("Answer: 21")
    assert all(later - earlier > 3000 for earlier, later in zip(steps, steps[1:], strict=False))


def test_a_phone_keeps_the_picture_in_sight_while_the_tree_is_read(opened: Open, finished: str) -> None:
    page = shown(opened, finished, width=375, height=812, has_touch=True)
    page.locator(".tree ul ul .look").first.tap()
    assert page.locator("canvas").first.evaluate("canvas => canvas.getBoundingClientRect().top") >= 0
    assert page.evaluate("document.documentElement.scrollWidth") == 375
