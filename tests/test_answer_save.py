"""What `Answer.save` leaves behind: whole files, the right pixels, and a page that is complete, safe and readable."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_model import Call, FakeModel
from PIL import Image, ImageDraw

from zoomagent import Answer, ZoomAgent
from zoomagent.errors import InputRefused, StoreError

BOX = "[500, 500, 600, 600]"
HOSTILE = "<script>alert(1)</script>\"'>\u202e &amp; {{ 7*7 }} </style>"
PAGE = Path(__file__).parent.parent / "zoomagent" / "page"


def answering(macro: str, micro: str) -> FakeModel:
    def respond(call: Call) -> str:
        if len(call.views) == 2:
            return micro
        return BOX if "[x1, y1, x2, y2]" in call.text else macro

    return FakeModel(respond=respond, respond_score=lambda call: [-3.0, -0.1])


@pytest.fixture(scope="module")
def image() -> Image.Image:
    picture = Image.new("RGB", (2400, 1600), (90, 110, 90))
    ImageDraw.Draw(picture).rectangle((1200, 800, 1439, 959), fill=(250, 10, 10))
    return picture


@pytest.fixture(scope="module")
def saved(image: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Answer, Path]]:
    folder = tmp_path_factory.mktemp("run")
    with ZoomAgent(answering("Exit", "Exit 12")) as agent:
        answer = agent.ask(image, "What is written on the sign?")
    answer.save(folder)
    yield answer, folder


class Links(HTMLParser):
    """Every address in a page, and every element."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.styled: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        self.addresses += [str(named[name]) for name in ("src", "href", "action", "data", "srcset") if name in named]
        self.styled += [name for name in named if name == "style" or name.startswith("on")]


def parsed(page: Path) -> Links:
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    return links


def test_a_run_leaves_its_answer_its_pictures_and_a_page(saved: tuple[Answer, Path]) -> None:
    answer, folder = saved
    assert sorted(file.name for file in folder.iterdir()) == ["answer.json", "crop-1.png", "macro.png", "page.html"]
    assert Answer.model_validate_json((folder / "answer.json").read_text()) == answer


def test_the_crop_holds_original_pixels(saved: tuple[Answer, Path]) -> None:
    answer, folder = saved
    with Image.open(folder / "crop-1.png") as crop:
        assert crop.size == answer.evidence[1].size
        middle = crop.getpixel((crop.width // 2, crop.height // 2))
        assert middle == (250, 10, 10)
        assert crop.getpixel((2, 2)) == (90, 110, 90)


def test_the_boxes_are_drawn_on_the_macro_view(saved: tuple[Answer, Path]) -> None:
    answer, folder = saved
    with Image.open(folder / "macro.png") as macro:
        scale = macro.width / 2400
        left, top, *_ = answer.evidence[1].box
        assert macro.getpixel((round(left * scale) + 1, round(top * scale) + 1)) == (255, 176, 32)


def test_the_page_needs_no_network(saved: tuple[Answer, Path]) -> None:
    links = parsed(saved[1] / "page.html")
    assert links.addresses and all(a.startswith(("data:image/", "#")) for a in links.addresses)
    assert not {"iframe", "link", "object", "embed", "form", "base"} & set(links.tags)
    text = (saved[1] / "page.html").read_text()
    assert "default-src 'none'" in text and "@import" not in text and "url(" not in text


def test_the_page_has_no_inline_styles_that_its_policy_would_block(saved: tuple[Answer, Path]) -> None:
    assert parsed(saved[1] / "page.html").styled == []


def test_a_hostile_answer_is_only_text(image: Image.Image, tmp_path: Path) -> None:
    with ZoomAgent(answering(HOSTILE, HOSTILE + "!")) as agent:
        page = agent.ask(image, HOSTILE, [HOSTILE, "b"]).save(tmp_path)
    links = parsed(page)
    assert links.tags.count("script") == 1 and links.tags.count("style") == 1
    assert "7*7" in page.read_text() and "alert(1)</script>" not in page.read_text()


def test_a_page_without_zoom_shows_the_whole(image: Image.Image, tmp_path: Path) -> None:
    with ZoomAgent(answering("Exit", ""), strategy="macro") as agent:
        page = agent.ask(image, "What?").save(tmp_path)
    assert 'id="zoom"' not in page.read_text()
    assert not list(tmp_path.glob("crop-*"))


def test_a_run_without_an_answer_has_a_page_too(tmp_path: Path) -> None:
    with ZoomAgent(answering("", "")) as agent:
        page = agent.ask(b"no picture", "What?").save(tmp_path)
    assert "refused" in page.read_text()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["answer.json", "page.html"]


def test_a_picture_given_by_name_is_opened_again(image: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    image.save(path)
    with ZoomAgent(answering("Exit", "Exit 12")) as agent:
        answer = agent.ask(str(path), "What?")
    assert answer.save(tmp_path / "out").exists()


def test_another_picture_is_not_taken_for_the_one_asked_about(saved: tuple[Answer, Path], tmp_path: Path) -> None:
    read = Answer.model_validate_json(saved[0].model_dump_json())
    with pytest.raises(ValueError, match="image="):
        read.save(tmp_path / "a")
    with pytest.raises(InputRefused, match="not the picture"):
        read.save(tmp_path / "b", image=Image.new("RGB", (2400, 1600)))
    assert not (tmp_path / "b").exists()


def test_an_answer_read_back_can_be_saved_with_its_picture(
    saved: tuple[Answer, Path], image: Image.Image, tmp_path: Path
) -> None:
    read = Answer.model_validate_json(saved[0].model_dump_json())
    assert read.save(tmp_path, image=image).read_bytes() == (saved[1] / "page.html").read_bytes()


def test_a_folder_that_can_not_be_made_is_named(saved: tuple[Answer, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="can not be written"):
        saved[0].save(tmp_path / "file" / "run")


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["--paper", "--card"])
@pytest.mark.parametrize("ink", ["--ink", "--muted", "--macro", "--micro", "--good", "--warn", "--bad"])
def test_colours_have_enough_contrast(theme: int, ground: str, ink: str) -> None:
    """WCAG 2 AA: 4.5 to 1 for text, in both themes."""
    block = (PAGE / "page.css").read_text().split(":root {")[1 + theme]
    colours = dict(re.findall(r"(--[a-z]+): (#[0-9a-f]{6});", block))
    bright, dark = sorted((luminance(colours[ground]), luminance(colours[ink])), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= 4.5
