"""A clip in a real browser (Chromium): asked about as a whole, followed through its frames, walked by the bar of its
time."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av")

from clip_world import ClipWorld
from page_browser import Open, launched, needs_chromium, opening
from page_world import served
from PIL import Image
from test_page_browser import DROP
from video_files import clip

from zoomagent import ZoomAgent
from zoomagent.data.world.render import render
from zoomagent.moments import Moment

pytestmark = needs_chromium
SHOWN = Moment(20_000, 26_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as chromium:
        yield chromium


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    with opening(browser) as opened:
        yield opened


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with ZoomAgent(ClipWorld(SHOWN).model) as agent, served(agent, tmp_path) as url:
        yield url


def film(format: str, codec: str) -> str:
    drawn = ClipWorld(SHOWN).clip

    def draw(number: int) -> Image.Image:
        return Image.fromarray(render(drawn.at(number * 200), 240, 240))

    content = clip(300, rate=5, format=format, codec=codec, draw=draw)
    return base64.b64encode(content).decode()


def given(opened: Open, url: str, file: list[str], plays: bool) -> Any:
    page = opened(url)
    page.wait_for_selector("#strategy option", state="attached")
    page.locator("body").evaluate(DROP, file)
    if plays:
        page.get_by_text("Ask about the whole video").click()
    page.wait_for_selector("canvas[data-ready=true]")
    return page


def asked(page: Any, question: str) -> None:
    page.fill("#question", question)
    page.click("#go")
    page.wait_for_selector(".answer")


def test_a_clip_is_asked_about_and_its_frames_are_followed(opened: Open, address: str) -> None:
    page = given(opened, address, [film(format="webm", codec="libvpx"), "film.webm", "video/webm"], plays=True)
    caption = page.locator(".caption").first
    assert "0 s to 1:00 of 1:00" in caption.inner_text()
    asked(page, "When is the red circle there?")
    assert page.locator("#first .spans span").count() == 1 and "step 15 of 15" in caption.inner_text()
    # A frame of the tree is shown by itself; the bar of moments leads to any time.
    frame = page.locator(".look", has_text="The frame at 20 s")
    frame.click()
    assert "20 s of 1:00 · 240 × 240" in caption.inner_text()
    bar = page.locator(".bar.clip").first
    bar.click(position={"x": bar.bounding_box()["width"] / 2, "y": 5})
    assert "30 s of 1:00" in caption.inner_text() or "29.9" in caption.inner_text()
    time = page.get_by_label("Time in the clip").first
    time.focus()
    before = float(time.input_value())
    page.keyboard.press("ArrowRight")
    assert float(time.input_value()) > before and time.get_attribute("aria-valuetext") in caption.inner_text()
    page.get_by_role("button", name="The whole picture (0)").first.click()
    assert "0 s to 1:00" in caption.inner_text()
    # Kept, it comes again with its frames; another question goes to the clip, not to the frames shown.
    page.reload()
    page.wait_for_selector(".answer")
    assert page.locator("#first .spans span").count() == 1
    page.wait_for_function("[...document.querySelectorAll('.tree img')].every((i) => i.naturalWidth > 0)")
    asked(page, "What is written on the red circle?")
    page.wait_for_function("document.querySelector('.answer').textContent.trim() === '47'")


def test_a_clip_that_the_browser_cannot_play_goes_to_the_server(opened: Open, address: str) -> None:
    page = given(opened, address, [film(format="avi", codec="mpeg4"), "film.avi", ""], plays=False)
    assert "1:00 of 1:00" in page.locator(".caption").first.inner_text()
