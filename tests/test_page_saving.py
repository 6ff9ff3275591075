"""What `Answer.save` leaves behind: whole files, the right pixels, and a page that is complete, safe and readable."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_model import Call, FakeModel
from PIL import Image, ImageDraw
from sign_model import GROUND, RED, sign_model, sign_picture

from zoomagent import Answer, ZoomAgent
from zoomagent.errors import InputRefused, StoreError
from zoomagent.page.saving import render_page
from zoomagent.page.tree import MOST, Node, fate_words, path, tree, walk
from zoomagent.page.words import confidence_kind, percent
from zoomagent.run_record import Outcome, Region

BOX = "[500, 500, 600, 600]"
HOSTILE = "<script>alert(1)</script>\"'>\u202e &amp; {{ 7*7 }} </style>"
PAGE = Path(__file__).parent.parent / "zoomagent" / "page" / "web"


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
    with ZoomAgent(answering("Exit", "Exit 12"), strategy="dualfocus") as agent:
        answer = agent.ask(image, "What is written on the sign?")
    answer.save(folder)
    yield answer, folder


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Answer, Path]]:
    """A run that found the sign by a zoom inside a zoom."""
    folder = tmp_path_factory.mktemp("searched")
    with ZoomAgent(sign_model()) as agent:
        answer = agent.ask(sign_picture(), "What is written on the red sign?")
    answer.save(folder)
    yield answer, folder


@pytest.mark.parametrize("which", ["answer.json", "page.html", "macro.png", "crop-1.png"])
def test_where_the_disk_is_full_nothing_of_a_run_is_left(
    which: str, saved: tuple[Answer, Path], image: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        if which in path.name:
            path.touch()
            raise OSError(28, "No space left on device")
        return write_bytes(path, content)

    write_bytes = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError):
        saved[0].save(tmp_path / "run", image=image)
    assert list((tmp_path / "run").iterdir()) == []


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
    with ZoomAgent(answering(HOSTILE, HOSTILE + "!"), strategy="dualfocus") as agent:
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
    with ZoomAgent(answering("Exit", "Exit 12"), strategy="dualfocus") as agent:
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
    with pytest.raises(StoreError, match="cannot be written"):
        saved[0].save(tmp_path / "file" / "run")


# A zoom inside a zoom


def test_the_tree_goes_from_the_whole_through_regions_to_the_crop(searched: tuple[Answer, Path]) -> None:
    root = tree(searched[0])
    assert root is not None and root.box == (0, 0, 2400, 1600)
    way = path(root)
    assert [node.title for node in way] == ["A region searched", "A region searched", "Crop 1"]
    assert [node.depth for node in way] == [1, 2, 3]
    assert way[-1].evidence is not None and way[-1].evidence.mattered


def test_every_view_is_in_the_tree_once(searched: tuple[Answer, Path]) -> None:
    root = tree(searched[0])
    assert root is not None
    boxes = [node.box for node in walk(root)]
    assert sorted(boxes) == sorted({view.box for view in searched[0].views})


def test_regions_not_looked_at_are_counted_and_not_shown(searched: tuple[Answer, Path]) -> None:
    answer, folder = searched
    text = (folder / "page.html").read_text()
    left = sum(region.here is None for region in answer.regions)
    assert left > 0 and f"{left} more regions were thought of" in text
    assert text.count('class="look"') == len({view.box for view in answer.views})


def test_a_long_search_shows_a_bounded_page_with_its_crop(searched: tuple[Answer, Path]) -> None:
    answer = searched[0]
    whole, crop = answer.views[0], next(view for view in answer.views if view.box == answer.evidence[-1].box)
    more = tuple(
        whole.model_copy(update={"view": f"v{i}", "source": whole.view, "box": (i, 0, i + 9, 9)}) for i in range(200)
    )
    root = tree(answer.model_copy(update={"views": (whole, *more, crop)}))
    assert root is not None
    shown = list(walk(root))
    assert len(shown) == MOST + 1 and shown[-1].box == crop.box


def test_views_that_name_each_other_still_make_a_tree(searched: tuple[Answer, Path]) -> None:
    whole, first, second, *_ = searched[0].views
    circle = (first.model_copy(update={"source": second.view}), second.model_copy(update={"source": first.view}))
    root = tree(searched[0].model_copy(update={"views": (whole, *circle)}))
    assert root is not None and len(list(walk(root))) == 3


def test_the_page_tells_what_was_checked_and_its_measure(searched: tuple[Answer, Path]) -> None:
    answer, folder = searched
    text = (folder / "page.html").read_text()
    assert {check.kind for check in answer.checks} == {"seen", "mattered"}
    assert "Is it there?" in text and "Did the crops matter?" in text and "5.8 nats" in text


def test_the_crop_of_a_search_holds_original_pixels(searched: tuple[Answer, Path]) -> None:
    with Image.open(searched[1] / "crop-1.png") as crop:
        assert crop.getpixel((crop.width // 2, crop.height // 2)) == RED
        assert crop.getpixel((1, 1)) == GROUND


def test_the_page_of_a_search_needs_no_network_either(searched: tuple[Answer, Path]) -> None:
    links = parsed(searched[1] / "page.html")
    assert all(address.startswith(("data:image/", "#")) for address in links.addresses)
    assert links.styled == []


def test_hostile_names_and_checks_are_only_text(tmp_path: Path) -> None:
    hostile = HOSTILE.replace(",", "")
    with ZoomAgent(sign_model(micro=hostile, thing=hostile)) as agent:
        page = agent.ask(sign_picture(), "What?").save(tmp_path)
    links = parsed(page)
    assert links.tags.count("script") == 1 and links.tags.count("style") == 1
    assert "alert(1)</script>" not in page.read_text()


def test_a_region_whose_parts_were_not_looked_at_does_not_say_that_they_were(searched: tuple[Answer, Path]) -> None:
    answer = searched[0]
    root = tree(answer)
    assert root is not None
    assert fate_words(root.regions[0], root) == "not settled, so its parts came next"
    assert fate_words(root.regions[0], Node(0, root.box, "")) == "not settled, and other regions came first"


# Words


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("calibrated", "calibrated probability of being right"),
        ("likelihood", "the model&#39;s own probability of these words, not calibrated"),
        ("agreement", "share of the samples that agree, not calibrated"),
    ],
)
def test_the_kind_of_confidence_is_named(kind: str, words: str) -> None:
    answer = Answer(question="?", text="42", confidence=0.9, outcome=Outcome(kind="answered"))
    page = render_page(answer.model_copy(update={"confidence_from": kind}), None)
    assert f"<b>90.0 %</b> {words}" in page


def test_what_was_withheld_is_shown_as_withheld() -> None:
    answer = Answer(
        question="?",
        text="Cannot tell",
        withheld="<b>42",
        confidence=0.6,
        confidence_from="calibrated",
        outcome=Outcome(kind="answered"),
        perspective="micro",
    )
    page = render_page(answer, None)
    assert "&lt;b&gt;42" in page and "of the answer withheld" in page and "withheld: not sure enough" in page


def test_no_probability_is_rounded_to_certainty() -> None:
    assert percent(0.99999) == "over 99.9 %" and percent(0.00001) == "under 0.1 %" and percent(0.5) == "50.0 %"


def test_a_confidence_of_unknown_kind_is_not_called_calibrated() -> None:
    assert "not calibrated" in confidence_kind(Answer(question="?", outcome=Outcome(kind="answered")))


def test_an_answer_that_was_kept_without_views_has_a_page(searched: tuple[Answer, Path], tmp_path: Path) -> None:
    old = searched[0].model_copy(update={"views": (), "regions": (), "checks": ()})
    page = old.save(tmp_path, image=sign_picture()).read_text()
    assert "Crop 1" in page and "Nothing: the checks were off" in page


def test_a_region_that_was_never_shown_is_not_in_the_tree(searched: tuple[Answer, Path]) -> None:
    thought = Region(
        id="r", phrase="x", view="v", box=(1, 1, 2, 2), parent="", depth=1, prior=0.1, here=0.5, fate="split"
    )
    root = tree(searched[0].model_copy(update={"regions": (thought,)}))
    assert root is not None and all(node.box != (1, 1, 2, 2) for node in walk(root))


# Looks


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["--paper", "--card"])
@pytest.mark.parametrize("ink", ["--ink", "--muted", "--macro", "--micro", "--good", "--warn", "--bad"])
def test_colours_have_enough_contrast(theme: int, ground: str, ink: str) -> None:
    """WCAG 2 AA: 4.5 to 1 for text, in both themes."""
    block = (PAGE / "run.css").read_text().split(":root {")[1 + theme]
    colours = dict(re.findall(r"(--[a-z]+): (#[0-9a-f]{6});", block))
    bright, dark = sorted((luminance(colours[ground]), luminance(colours[ink])), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= 4.5
