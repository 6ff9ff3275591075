"""The page in a real browser (Chromium), with nano: what a person does with it, by mouse, keyboard and phone."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx2
import numpy as np
import pytest
from page_browser import MOMENT, Open, launched, needs_chromium, opening
from page_texts import planted
from page_world import HOSTILE, Slow, served
from PIL import Image
from sign_model import sign_model, sign_picture

from zoomagent import ZoomAgent
from zoomagent.page.gallery import Gallery
from zoomagent.page.server import EXAMPLE
from zoomagent.plugins.offers.public import public_model

pytestmark = needs_chromium

DROP = """(node, [content, name, type]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type }));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    node.dispatchEvent(new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
  }
}"""

PASTE = """(node, content) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
  node.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ZoomAgent() as agent, served(agent, tmp_path_factory.mktemp("page")) as url:
        yield url


@pytest.fixture(scope="module")
def scripted() -> Slow:
    return Slow()


@pytest.fixture(scope="module")
def hostile(scripted: Slow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ZoomAgent(scripted) as agent, served(agent, tmp_path_factory.mktemp("hostile"), key="sesame") as url:
        yield url


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    with opening(browser) as opened:
        yield opened


@pytest.fixture(scope="module")
def run(browser: Any, address: str) -> str:
    """The example, asked about once: its run's place in the address."""
    page = browser.new_page()
    page.set_default_timeout(MOMENT)
    page.goto(address)
    page.click("#example")
    page.wait_for_selector("canvas[data-ready=true]")
    page.click("#go")
    page.wait_for_selector(".answer")
    place = page.evaluate("location.hash")
    page.close()
    return str(place)


def text(page: Any, selector: str) -> str:
    return str(page.inner_text(selector))


def drop(page: Any, content: bytes, name: str, kind: str) -> None:
    page.locator("body").evaluate(DROP, [base64.b64encode(content).decode(), name, kind])


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def png() -> bytes:
    return encoded(Image.effect_noise((900, 700), 60).convert("RGB"))


def test_a_dropped_picture_is_asked_about_and_watched(opened: Open, address: str) -> None:
    page = opened(address)
    drop(page, (EXAMPLE / "scene.jpg").read_bytes(), "scene.jpg", "image/jpeg")
    page.wait_for_selector("canvas[data-ready=true]")
    page.fill("#question", "What is written on the yellow circle?")
    page.press("#question", "Control+Enter")
    page.wait_for_selector(".going, .answer")
    page.wait_for_selector(".answer")
    assert text(page, ".answer") == "21"
    assert "calibrated" in text(page, ".verdict") and "the two differ" in text(page, ".verdict .why")
    assert page.locator(".side").count() == 2 and page.locator(".cost dd").count() == 6
    assert page.locator(".crops img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 80


def test_steps_move_the_boxes_on_the_picture(opened: Open, address: str, run: str) -> None:
    page = opened(f"{address}/{run}")
    page.wait_for_selector(".step[aria-current=step]")
    last = page.locator(".step").count()
    assert text(page, ".caption").startswith(f"step {last} of {last}")
    before = page.locator("canvas").first.screenshot()
    page.click("button[aria-label^='Step before']")
    assert text(page, ".caption").startswith(f"step {last - 1} of {last}")
    search = page.locator(".step", has_text="Looked at [1126, 2253, 2969, 4096]")
    search.click()
    page.wait_for_selector("canvas[data-ready=true]")
    assert search.get_attribute("aria-current") == "step"
    assert page.locator("canvas").first.screenshot() != before


def test_two_strategies_stand_beside_each_other(opened: Open, address: str, run: str) -> None:
    page = opened(f"{address}/{run}")
    page.wait_for_selector("#compare")
    page.select_option("select[aria-label^='Strategy']", "macro")
    page.click("#compare")
    page.wait_for_selector("#versus:not([hidden])")
    rows = page.locator("#versus tbody tr").all_inner_texts()
    assert [row.split("\t")[:2] for row in rows] == [["auto", "21"], ["macro", "Cannot tell"]]
    page.click("#second button[aria-label^='Closer']")
    scales = page.locator(".caption").all_inner_texts()
    assert scales[0].split("·")[-1] == scales[1].split("·")[-1]
    page.click("#close-compare")
    assert not page.is_visible("#second")


def test_saved_runs_open_again_and_leave_as_one_page(opened: Open, address: str, run: str, tmp_path: Path) -> None:
    page = opened(address)
    page.click("#open-saved")
    page.locator("#saved li", has=page.locator("b", has_text="21")).first.get_by_text("Open", exact=True).click()
    page.wait_for_selector(".answer")
    with page.expect_download() as download:
        page.click("#export")
    path = tmp_path / "run.html"
    download.value.save_as(path)
    alone = opened(path.as_uri())
    assert text(alone, ".answer") == "21"
    whole = alone.get_attribute("#stage", "viewBox")
    alone.keyboard.press("z")
    alone.locator(f"#stage:not([viewBox='{whole}'])").wait_for()
    for key in "jjk":
        alone.keyboard.press(key)
    assert alone.evaluate("document.activeElement.innerText") == alone.locator(".step").first.inner_text()


def test_saved_runs_show_their_picture_and_are_found_and_deleted(opened: Open, address: str) -> None:
    page = opened(address)
    drop(page, (EXAMPLE / "scene.jpg").read_bytes(), "to forget.png", "image/png")
    page.wait_for_selector("canvas[data-ready=true]")
    page.fill("#question", "What is written on the yellow circle?")
    page.select_option("#strategy", "macro")
    page.click("#go")
    page.wait_for_selector(".answer")
    assert "to forget.png" in text(page, ".made")
    page.click("#open-saved")
    page.fill("#saved-words", "yellow forget.png")
    page.locator("#saved li").nth(1).wait_for(state="detached")
    page.wait_for_selector("#saved li img:not([hidden])")
    assert page.locator("#saved li img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    page.get_by_text("Delete", exact=True).click()
    page.get_by_text("Delete for good?").click()
    page.get_by_text("None holds these words.").wait_for()


def test_all_of_it_can_be_done_by_keyboard(opened: Open, address: str, run: str) -> None:
    page = opened(f"{address}/{run}")
    page.wait_for_selector(".answer")
    page.keyboard.press("k")
    page.keyboard.press("k")
    last = page.locator(".step").count()
    assert text(page, ".caption").startswith(f"step {last - 2} of {last}")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "question"
    page.keyboard.type("jk")
    assert text(page, ".caption").startswith(f"step {last - 2} of {last}")
    page.locator("canvas").first.focus()
    whole = text(page, ".caption")
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    assert text(page, ".caption") != whole
    page.keyboard.press("0")
    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    page.keyboard.press("Escape")
    assert not page.is_visible("#help")


def test_every_button_and_field_has_a_name(opened: Open, address: str, run: str) -> None:
    page = opened(f"{address}/{run}")
    page.wait_for_selector(".answer")
    assert page.get_by_role("button", name="", exact=True).count() == 0
    fields = "[...document.querySelectorAll('#ask textarea, #ask select, #ask input, .run select')]"
    assert page.evaluate(f"{fields}.filter((f) => !f.labels.length && !f.ariaLabel).length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(opened: Open, address: str, run: str, scheme: str) -> None:
    page = opened(f"{address}/{run}", color_scheme=scheme)
    page.wait_for_selector(".answer")
    assert page.evaluate(CONTRAST) == []


def test_a_phone_shows_all_of_it_without_scrolling_sideways(opened: Open, address: str, run: str) -> None:
    page = opened(f"{address}/{run}", width=375, height=812, has_touch=True)
    page.wait_for_selector(".answer")
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    page.click("#open-saved")
    page.wait_for_selector("#saved li")
    wide = "[...document.querySelectorAll('#saved, #saved li')].filter((e) => e.scrollWidth > e.clientWidth).length"
    assert page.evaluate(wide) == 0
    page.keyboard.press("Escape")
    heights = "[...document.querySelectorAll('button')].filter((b) => b.offsetParent).map((b) => b.offsetHeight)"
    assert min(page.evaluate(heights)) >= 44


def test_what_is_no_picture_is_told_in_words(opened: Open, address: str) -> None:
    page = opened(address, expected="400")
    drop(page, b"nothing of the kind", "photo.png", "image/png")
    page.wait_for_selector("#trouble:not([hidden])")
    assert len(text(page, "#trouble span")) > 20
    drop(page, b"%PDF", "paper.pdf", "application/pdf")
    page.get_by_text("neither a picture, a video nor a sound").wait_for()
    page.click("#go")
    drop(page, png(), "photo.png", "image/png")
    page.wait_for_selector("canvas[data-ready=true]")
    assert not page.is_visible("#trouble")


def test_a_pasted_picture_is_taken(opened: Open, address: str) -> None:
    page = opened(address)
    page.wait_for_selector("#strategy option", state="attached")
    page.locator("body").evaluate(PASTE, base64.b64encode(png()).decode())
    page.wait_for_selector("canvas[data-ready=true]")
    assert "900 × 700" in text(page, ".caption")


def test_a_server_that_went_away_is_told_and_asked_again(opened: Open, address: str, run: str) -> None:
    page = opened(f"{address}/{run}", expected="ERR_FAILED")
    page.wait_for_selector(".answer")
    page.route("**/api/runs", lambda route: route.abort())
    page.click("#go")
    page.wait_for_selector(".stopped")
    assert "does not answer" in text(page, ".stopped")
    page.unroute("**/api/runs")
    page.select_option("#strategy", "macro")
    page.click("#go")
    page.wait_for_selector(".answer")


def test_a_frame_of_a_video_becomes_the_picture(opened: Open, address: str, tmp_path: Path) -> None:
    path = tmp_path / "film.webm"
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), 10, (320, 240))
    if not film.isOpened():
        pytest.skip("this OpenCV writes no WebM")
    for shade in range(20):
        film.write(np.full((240, 320, 3), shade * 12, np.uint8))
    film.release()
    page = opened(address)
    drop(page, path.read_bytes(), "film.webm", "video/webm")
    page.wait_for_selector("#video[open]")
    page.locator("#video input").fill("1")
    page.get_by_text("Use this frame").click()
    page.wait_for_selector("canvas[data-ready=true]")
    assert "320 × 240" in text(page, ".caption")


def test_a_models_text_is_never_markup(opened: Open, hostile: str) -> None:
    page = unlocked(opened, hostile)
    drop(page, png(), "photo.png", "image/png")
    page.wait_for_selector("canvas[data-ready=true]")
    page.fill("#question", "What is it?")
    page.select_option("#strategy", "macro")
    page.click("#go")
    page.wait_for_selector(".answer")
    assert text(page, ".answer") == HOSTILE
    assert page.locator("img[src=x]").count() == 0 and page.title() == "zoomagent"


@pytest.fixture(scope="module")
def planted_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """The address of a kept run with markup in every text, and those texts."""
    folder = tmp_path_factory.mktemp("planted")
    with ZoomAgent(sign_model()) as agent:
        answer, texts = planted(agent.ask(encoded(sign_picture()), "What is written on the red sign?"))
        assert answer.picture is not None
        gallery = Gallery(folder / "pictures")
        gallery.keep(gallery.add(encoded(sign_picture())))
        gallery.close()
        (folder / "20260101-000000-abcdef").mkdir()
        (folder / "20260101-000000-abcdef" / "answer.json").write_text(answer.model_dump_json())
        sign_picture().resize((160, 107)).save(folder / "20260101-000000-abcdef" / "thumbnail.jpg")
        with served(agent, folder) as url:
            shown = [text.replace(answer.model, public_model(answer.model)) for text in texts]
            yield f"{url}/#run=20260101-000000-abcdef", shown


def test_every_text_of_a_run_is_only_text_in_both_pages(
    opened: Open, planted_run: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, texts = planted_run
    page = opened(address)
    page.wait_for_selector(".answer")
    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(tmp_path / "run.html")
    for one in (page, opened((tmp_path / "run.html").as_uri())):
        said = " ".join(one.locator(".run").first.evaluate("run => run.textContent").split())
        assert [words for words in texts if " ".join(words.split()) not in said] == []
        assert one.evaluate("window.owned") is None and one.locator("img[src=x], .run script").count() == 0


@pytest.mark.parametrize(
    "piece",
    [
        "<img src=x onerror=alert(1)>",
        "<p onclick=alert(1)>x</p>",
        "<script>alert(1)</script>",
        "<a href=javascript:alert(1)>x</a>",
        "<svg><a xlink:href=javascript:alert(1)>x</a></svg>",
        "<p style=color:red>x</p>",
        "<form><button formaction=/x>x</button></form>",
    ],
)
def test_a_run_that_would_act_is_not_shown(opened: Open, planted_run: tuple[str, list[str]], piece: str) -> None:
    def altered(route: Any) -> None:
        run = route.fetch().json()
        route.fulfill(json={**run, "html": run["html"] + piece})

    address = planted_run[0]
    page = opened(address.split("/#")[0], expected="Content Security Policy")
    page.wait_for_selector("#strategy option", state="attached")
    page.route("**/api/runs/2026*", altered)
    page.click("#open-saved")
    page.get_by_text("Open", exact=True).click()
    page.get_by_text("more than text").wait_for()
    assert page.locator(".answer").count() == 0


def test_a_saved_page_can_be_read_without_its_script(opened: Open, planted_run: tuple[str, list[str]]) -> None:
    """Words, pictures and the tree are there, and nothing can be pressed that would do nothing."""
    host, run = planted_run[0].split("/#run=")
    page = opened("about:blank", java_script_enabled=False)
    page.set_content(httpx2.get(f"{host}/api/runs/{run}/page.html").text)
    assert "Step by step" in text(page, ".run") and page.locator(".look").count() >= 4
    assert page.locator(".run button:visible, .run [tabindex]").count() == 0


def test_cancelling_stops_the_model_and_says_so(opened: Open, hostile: str, scripted: Slow) -> None:
    page = unlocked(opened, hostile)
    drop(page, png(), "photo.png", "image/png")
    page.wait_for_selector("canvas[data-ready=true]")
    page.fill("#question", "Please wait.")
    page.click("#go")
    assert scripted.waited.wait(20)
    page.keyboard.press("Escape")
    page.wait_for_selector(".stopped")
    assert "Cancelled" in text(page, ".stopped") and page.is_enabled("#go")
    assert scripted.cancelled.wait(5)


def unlocked(opened: Open, url: str) -> Any:
    """The page of a server that wants a key, which is given."""
    page = opened(url, expected="401")
    page.wait_for_selector("#key[open]")
    page.fill("#key input", "sesame")
    page.get_by_text("Go on").click()
    page.wait_for_selector("#strategy option", state="attached")
    return page


CONTRAST = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility() || node.disabled) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(parse(style.color)), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const least = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if (ratio < least) poor.push(`${node.tagName}.${node.className} ${ratio.toFixed(2)}`);
  }
  return poor;
}"""
"""Elements whose own text has less contrast than WCAG 2.2 asks for (1.4.3, AA)."""


def test_a_region_is_drawn_named_in_the_question_and_asked_about(opened: Open, browser: Any, tmp_path: Path) -> None:
    model = sign_model()
    with ZoomAgent(model, strategy="locate") as agent, served(agent, tmp_path) as address:
        page = opened(address)
        drop(page, encoded(sign_picture()), "sign.png", "image/png")
        page.wait_for_selector("canvas[data-ready=true]")
        place = page.locator("#first canvas").bounding_box()
        page.fill("#question", "What is written in")
        page.keyboard.down("Shift")
        page.mouse.move(place["x"] + place["width"] * 0.4, place["y"] + place["height"] * 0.4)
        page.mouse.down()
        page.mouse.move(place["x"] + place["width"] * 0.6, place["y"] + place["height"] * 0.6)
        page.mouse.up()
        page.keyboard.up("Shift")
        assert page.input_value("#question") == "What is written in {0}"
        left, top, right, bottom = (int(number) for number in page.input_value("#regions").split(","))
        assert 0 <= left < 1200 < right <= 2400 and 0 <= top < 800 < bottom <= 1600
        page.click("#go")
        page.wait_for_selector(".answer")
        assert "{0}" not in model.history[0].text and "What is written in [" in model.history[0].text
