"""Makes the figures of the documentation, from real runs of the program.

    python docs/figures.py               # coordinates.png and views.png
    python docs/figures.py --page        # the page's pictures too (needs the package playwright, and Chromium)

Left out: nano's curve (`zoomagent train sft` writes it) and the benchmarks' plots (`zoomagent bench`).
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from zoomagent import Answer, ZoomAgent, open_picture
from zoomagent.geometry import Box, Size, View, box_to_model
from zoomagent.media import Picture

IMAGES = Path(__file__).parent / "images"
EXAMPLE = Path(__file__).parents[1] / "zoomagent" / "data" / "example"
QUESTION = json.loads((EXAMPLE / "question.json").read_text(encoding="utf-8"))
PAPER, INK, MUTED, AMBER, BLUE = "#f7f5f0", "#1c1e23", "#595e68", "#d48600", "#1d5c9e"
SIDE, GAP = 300, 30


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def framed(views: list[tuple[Image.Image, str, str, Box | None]], path: Path) -> None:
    """Views in a row: each enlarged to SIDE as it is, with a title, a line below, and the box that comes next (in
    shares of a thousand of the view)."""
    sheet = Image.new("RGB", (GAP + len(views) * (SIDE + GAP), SIDE + 120), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (view, title, note, box) in enumerate(views):
        x, y = GAP + number * (SIDE + GAP), 52
        pen.text((x, 18), title, INK, font(18))
        sheet.paste(view.resize((SIDE, SIDE), Image.Resampling.NEAREST), (x, y))
        pen.multiline_text((x, y + SIDE + 10), note, MUTED, font(14), spacing=5)
        if box is not None:
            corners = [x + box.left * SIDE / 1000, y + box.top * SIDE / 1000]
            corners += [x + box.right * SIDE / 1000, y + box.bottom * SIDE / 1000]
            pen.rectangle(corners, outline="white", width=5)
            pen.rectangle(corners, outline=AMBER, width=3)
    sheet.save(path, optimize=True)


def views(answer: Answer, picture: Picture) -> None:
    """What the model was shown on its way to the answer, pixel for pixel."""
    crop = next(item for item in answer.evidence if item.perspective == "micro")
    found = next(region for region in answer.regions if region.fate == "found")
    way = [Box(0, 0, picture.size.width, picture.size.height), Box(*found.box), Box(*crop.box)]
    notes = [
        f"{way[0].width} x {way[0].height} original pixels,\nshown at 128 x 128: {answer.evidence[0].text}",
        f"{way[1].width} x {way[1].height} of the original, shown at\n128 x 128: here with {found.here:.2f}",
        f"{way[2].width} x {way[2].height} of the original, shown at\n{crop.size[0]} x {crop.size[1]}: {crop.text}",
    ]
    shown = [Size(128, 128), Size(128, 128), Size(*crop.size)]
    titles = ["look", "search", "answer"]
    nexts = [_inside(way[0], way[1]), _inside(way[1], way[2]), None]
    rows = zip(way, shown, titles, notes, nexts, strict=True)
    framed(
        [(picture.view(box, size), title, note, inner) for box, size, title, note, inner in rows], IMAGES / "views.png"
    )


def coordinates(picture: Picture) -> None:
    """One box in the original, and as a model of each coordinate space writes it."""
    region, thing = Box(400, 2200, 2400, 3700), Box(*QUESTION["box"])
    view = View(picture.id, region, Size(480, 360))
    sheet = Image.new("RGB", (1080, 470), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((30, 18), "The original: all boxes are kept here", INK, font(18))
    sheet.paste(picture.view(Box(0, 0, 4096, 4096), Size(330, 330)), (30, 52))
    _outline(pen, region, (30, 52), 330 / 4096, BLUE)
    _outline(pen, thing, (30, 52), 330 / 4096, AMBER)
    pen.text((30, 392), f"view {region.as_list()}", BLUE, font(14))
    pen.text((30, 414), f"thing {thing.as_list()}", AMBER, font(14))
    pen.text((400, 18), "A view of it, 480 x 360: what the model sees", INK, font(18))
    sheet.paste(picture.view(region, view.size), (400, 52))
    inner = _inside(region, thing)
    pen.rectangle(
        [
            400 + inner.left * 0.48,
            52 + inner.top * 0.36,
            400 + inner.right * 0.48,
            52 + inner.bottom * 0.36,
        ],
        outline=AMBER,
        width=3,
    )
    spaces = (("pixels", 0), ("unit", 3), ("thousand", 0), ("square", 3))
    for row, (space, digits) in enumerate(spaces):
        numbers = ", ".join(f"{number:.{digits}f}" for number in box_to_model(thing, space, view))  # type: ignore[arg-type]
        pen.text((910, 70 + 84 * row), space, INK, font(18))
        pen.multiline_text(
            (910, 94 + 84 * row), numbers.replace(", ", ",\n", 2).replace(",\n", ", ", 1), MUTED, font(15)
        )
    pen.text((400, 424), "the same thing, as a model of each space writes it", MUTED, font(14))
    sheet.save(IMAGES / "coordinates.png", optimize=True)


def _inside(outer: Box, inner: Box) -> Box:
    """`inner` in thousandths of `outer`."""
    across, down = 1000 / outer.width, 1000 / outer.height
    left, top = round((inner.left - outer.left) * across), round((inner.top - outer.top) * down)
    return Box(left, top, left + round(inner.width * across), top + round(inner.height * down))


def _outline(pen: ImageDraw.ImageDraw, box: Box, at: tuple[int, int], scale: float, colour: str) -> None:
    left, top, right, bottom = (edge * scale for edge in box.as_list())
    pen.rectangle([at[0] + left - 2, at[1] + top - 2, at[0] + right + 2, at[1] + bottom + 2], outline=colour, width=3)


def page(agent: ZoomAgent) -> None:
    """The page with the example's run: light, compared, dark, and on a phone."""
    import sys

    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from page_world import served

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, served(agent, Path(folder)) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])

        def shot(
            name: str, width: int, height: int, scheme: Literal["light", "dark"], place: str, compare: bool = False
        ) -> str:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            tab = context.new_page()
            tab.goto(f"{address}/{place}")
            if not place:
                tab.click("#example")
                tab.wait_for_selector("canvas[data-ready=true]")
                tab.click("#go")
            tab.wait_for_selector("#compare")
            if compare:
                tab.click("#compare")
                tab.wait_for_selector("#versus:not([hidden])")
            else:
                tab.click("button[aria-label^='The whole']")
            tab.wait_for_timeout(1500)
            tab.mouse.move(1, 1)
            raw = tab.screenshot(path=IMAGES / f"{name}.png")
            assert raw
            shrunk = Image.open(IMAGES / f"{name}.png").convert("RGB").quantize(256, dither=Image.Dither.NONE)
            shrunk.save(IMAGES / f"{name}.png", optimize=True)
            return str(tab.evaluate("location.hash"))

        run = shot("page-light", 1280, 800, "light", "")
        shot("page-compare", 1280, 800, "light", run, compare=True)
        shot("page-dark", 1280, 800, "dark", run)
        shot("page-phone", 375, 812, "light", run)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true")
    wanted = parser.parse_args()
    with ZoomAgent() as agent, open_picture(EXAMPLE / "scene.jpg") as picture:
        views(agent.ask(picture, QUESTION["question"]), picture)
        coordinates(picture)
        if wanted.page:
            page(agent)


if __name__ == "__main__":
    main()
