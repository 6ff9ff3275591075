"""The HTML of a run: one for the saved and the served page, whole, with every text as text."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from clip_world import ClipWorld
from fake_model import FakeModel
from page_texts import HOSTILE, planted
from PIL import Image
from sign_model import sign_model, sign_picture

from zoomagent import Answer, ZoomAgent, open_picture
from zoomagent.moments import Moment
from zoomagent.page.pictures import rendered
from zoomagent.page.run_html import TEMPLATES, TINY, Shot, begun_html, fetched, run_html, step_html, view_html
from zoomagent.page.saving import render_page
from zoomagent.page.tree import first_steps, tree, walk
from zoomagent.page.words import LONG
from zoomagent.run_record import Outcome

VOID = {"img", "meta", "br"}
ALLOWED = {
    "section", "article", "figure", "figcaption", "h2", "h3", "h4", "p", "b", "span", "div", "ul", "ol", "li",
    "dl", "dt", "dd", "img", "svg", "rect", "text",
}  # fmt: skip


class Piece(HTMLParser):
    """The words of some HTML, its elements with their attributes; without the stage, which only a saved page has."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self._left_out = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.elements.append((tag, named))
        if tag in ("style", "script", "header", "footer", "title") or named.get("class") == "stage":
            self._left_out = self._left_out or len(self._open) + 1
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass
        if len(self._open) < self._left_out:
            self._left_out = 0

    def handle_data(self, data: str) -> None:
        if not self._left_out:
            self.words += data.split()

    def classes(self, *names: str) -> int:
        """How many elements are of all these classes."""
        return sum(set(names) <= set((named.get("class") or "").split()) for _, named in self.elements)


@pytest.fixture(scope="module")
def searched() -> Answer:
    with ZoomAgent(sign_model()) as agent:
        return agent.ask(sign_picture(), "What is written on the red sign?")


def saved(answer: Answer) -> str:
    with open_picture(sign_picture()) as picture:
        return render_page(answer, rendered(answer, picture))


def variants(answer: Answer) -> list[Answer]:
    """Runs that end in every way."""
    changes: list[dict[str, Any]] = [
        {},
        {"withheld": "42", "text": "Cannot tell"},
        {"options": ("left", "right"), "confidence_from": "agreement"},
        {"confidence": None, "checks": ()},
        {"text": "a sentence that is longer than a word and a half", "perspective": None},
        {"outcome": Outcome(kind="answered_degraded", code="budget_calls", reasons=("Less than asked for.",))},
        {"outcome": Outcome(kind="failed", code="model_failed"), "text": "", "macro": None, "micro": None},
        {"views": (), "regions": (), "steps": ()},
    ]
    return [answer.model_copy(update=change) for change in changes]


@pytest.mark.parametrize("which", range(8))
def test_the_saved_and_the_served_page_say_the_same(searched: Answer, which: int) -> None:
    answer = variants(searched)[which]
    served, kept = Piece(run_html(answer, fetched(answer))), Piece(saved(answer))
    assert served.words == kept.words and len(served.words) > 40


def test_a_run_without_a_picture_is_the_same_in_both_pages() -> None:
    with ZoomAgent(FakeModel()) as agent:
        answer = agent.ask(b"no picture", "What?")
    assert Piece(run_html(answer, fetched(answer))).words == Piece(render_page(answer, None)).words


@pytest.mark.parametrize(("length", "long"), [(LONG, 0), (LONG + 1, 1)])
def test_an_answer_is_long_from_one_length_on_in_every_page(searched: Answer, length: int, long: int) -> None:
    assert searched.micro is not None
    micro = searched.micro.model_copy(update={"text": "y" * length})
    answer = searched.model_copy(update={"text": "x" * length, "micro": micro})
    for html in (run_html(answer, fetched(answer)), saved(answer)):
        piece = Piece(html)
        assert piece.classes("answer", "long") == long and piece.classes("reply", "long") == long


def test_a_picture_is_tiny_below_one_width() -> None:
    assert [Shot(width, 9).tiny for width in (TINY - 1, TINY)] == [True, False]


def test_what_a_run_says_while_it_goes_on_is_what_it_says_at_its_end(searched: Answer) -> None:
    whole = " ".join(Piece(run_html(searched, fetched(searched))).words)
    root = tree(searched)
    assert root is not None
    steps = first_steps(searched)
    told = [step_html(step) for step in searched.steps] + [
        view_html(node, steps, fetched(searched)) for node in walk(root)
    ]
    assert len(told) > 12
    for html in [begun_html(), *told]:
        for line in html.split("\n"):
            assert " ".join(Piece(line).words) in whole


def test_the_served_page_names_its_pictures_and_the_saved_one_holds_them(searched: Answer) -> None:
    served, kept = ([named for tag, named in Piece(html).elements if tag == "img"] for html in (
        run_html(searched, fetched(searched)), saved(searched)
    ))  # fmt: skip
    assert len(served) == len(kept) >= 4
    assert all("src" not in named and (named["data-look"] or "").startswith("box=") for named in served)
    assert all("data-look" not in named and (named["src"] or "").startswith("data:image/") for named in kept)
    assert [named["alt"] for named in served] == [named["alt"] for named in kept]


def test_every_text_of_a_run_is_only_text(searched: Answer) -> None:
    answer, texts = planted(searched)
    assert len(texts) > 25
    for html in (run_html(answer, fetched(answer)), saved(answer)):
        piece = Piece(html)
        assert all(named.get("src") != "x" and "onerror" not in named for _, named in piece.elements)
        assert HOSTILE not in html
    piece = Piece(run_html(answer, fetched(answer)))
    assert {tag for tag, _ in piece.elements} <= ALLOWED
    said = " ".join(piece.words)
    assert [text for text in texts if " ".join(text.split()) not in said] == []


def test_no_template_marks_a_text_as_safe() -> None:
    templates = [path.read_text(encoding="utf-8") for path in Path(TEMPLATES).glob("*.html")]
    assert len(templates) >= 5
    assert not any("safe" in text or "autoescape" in text for text in templates)


def test_a_wide_picture_of_one_pixel_has_a_page() -> None:
    with ZoomAgent(FakeModel(respond=lambda call: "x"), strategy="macro") as agent:
        thin = Image.new("RGB", (180, 1))
        answer = agent.ask(thin, "What?")
        with open_picture(thin) as picture:
            assert "180 × 1 pixels" in render_page(answer, rendered(answer, picture))


def test_moments_lie_in_the_bar_of_the_clip_where_they_lie_in_its_time() -> None:
    answer = ClipWorld(Moment(3000, 4500)).ask("When is the red circle there?")
    assert answer.moments and answer.picture and answer.picture.sheet
    span, duration = answer.moments[0], answer.picture.sheet.duration
    [bar] = re.findall(r'<svg class="bar clip".*?</svg>', run_html(answer, None), re.DOTALL)
    [(x, width)] = re.findall(r'<rect class="fill micro" x="([\d.]+)" width="([\d.]+)"', bar)
    [seen] = re.findall(r'<rect class="seen" x="([\d.]+)"', bar)
    assert float(x) == pytest.approx(1000 * span.start / duration, abs=0.1)
    assert float(width) == pytest.approx(1000 * (span.end - span.start) / duration, abs=0.1)
    assert float(x) <= float(seen) + 1 <= float(x) + float(width)
    assert "When it is there" not in run_html(answer.model_copy(update={"moments": ()}), None)
