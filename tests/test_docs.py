"""The documentation site: it builds without a warning, is complete, and loads nothing from anywhere else."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from zoomagent.errors import RunError

pytest.importorskip("mkdocs", reason="the site needs the extra docs")
pytest.importorskip("material", reason="the site needs the extra docs")
pytest.importorskip("mkdocstrings", reason="the site needs the extra docs")

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""Elements that a browser fetches by itself. A `link` counts unless it only names the page (canonical)."""


class Fetches(HTMLParser):
    """What a page makes the browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in LOADED and given.get("rel") not in ("canonical", "prev", "next"):
            self.found.append(given.get(LOADED[tag]) or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def pages(site: Path) -> Iterator[Path]:
    return site.rglob("*.html")


def test_the_site_builds_without_a_warning_and_holds_every_page(site: Path) -> None:
    written = {path.stem for path in DOCS.glob("*.md")}
    assert written <= {path.stem for path in pages(site)}


def test_every_page_can_be_reached_from_the_menu(site: Path) -> None:
    menu = (site / "index.html").read_text(encoding="utf-8")
    lost = [path.stem for path in DOCS.glob("*.md") if f'href="{path.stem}.html"' not in menu]
    assert [name for name in lost if name != "index"] == []


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    for path in pages(site):
        fetches = Fetches()
        fetches.feed(path.read_text(encoding="utf-8"))
        assert [url for url in fetches.found if re.match(r"(https?:)?//", url)] == [], path.name
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", path.read_text(encoding="utf-8")), path.name


def test_every_example_has_its_sentence() -> None:
    text = (DOCS / "examples.md").read_text(encoding="utf-8")
    scripts = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
    assert scripts and [name for name in scripts if f"| [{name}](../examples/{name}) | " not in text] == []


def test_a_diagram_is_left_to_the_theme_to_draw(site: Path) -> None:
    drawn = [path for path in DOCS.glob("*.md") if "```mermaid" in path.read_text(encoding="utf-8")]
    assert drawn
    for path in drawn:
        html = (site / f"{path.stem}.html").read_text(encoding="utf-8")
        assert 'class="mermaid"' in html


PROSE = [*sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("*.md"))]
"""Every page that people read, those at the top of the repository included."""


def module_paths(text: str) -> list[str]:
    """What a page names as a module: `tools/cropping.py`, or `cropping.py` alone."""
    return re.findall(r"(?<![\w./-])(?:\w+/)*\w+\.py\b(?!\()", text)


def test_every_module_that_a_page_names_exists() -> None:
    folders = ("zoomagent", "tools", "graphs", "tests", "examples", "benchmarks", "docs")
    files = [path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).rglob("*.py")]
    places = [f"/{place}" for name in files for place in (name, f"zoomagent/{name}")]
    # A changelog also says what was, and where it went.
    pages_of_today = [path for path in PROSE if path.name != "CHANGELOG.md"]
    named = {(path.name, name) for path in pages_of_today for name in module_paths(path.read_text(encoding="utf-8"))}
    assert len(named) > 100
    assert [one for one in sorted(named) if not any(place.endswith(f"/{one[1]}") for place in places)] == []


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_cannot_is_one_word(path: Path) -> None:
    """A reader whose first language is another looks up one word, not two."""
    assert re.findall(r"\b[Cc]an\s+not\b", path.read_text(encoding="utf-8")) == []


def sentences(text: str) -> Iterator[str]:
    """The sentences of a page's paragraphs and lists; tables, headings and code are none."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for block in re.split(r"\n\s*\n|\n(?=- |\d+\. )|\n(?=[|#!])|(?<=\|)\n", prose):
        if not block.strip().startswith(("|", "#", "!")):
            yield from (one for one in re.split(r"(?<=[.!?])\s+", block) if one.strip())


@pytest.mark.parametrize("name", ["architecture.md", "concepts.md", "decisions.md"])
def test_nine_of_ten_sentences_have_less_than_25_words(name: str) -> None:
    lengths = sorted(len(one.split()) for one in sentences((DOCS / name).read_text(encoding="utf-8")))
    assert lengths and lengths[int(0.9 * len(lengths))] < 25


def test_the_api_page_shows_what_people_call(site: Path) -> None:
    text = (site / "api.html").read_text(encoding="utf-8")
    for name in (
        "ZoomAgent.ask",
        "ZoomAgent.stream",
        "answer.Evidence",
        "open_picture",
        "guard.Rules",
        "errors.RunError",
    ):
        assert re.search(rf'id="zoomagent[\w.]*{re.escape(name)}"', text), name


def families(error: type[RunError]) -> Iterator[type[RunError]]:
    yield error
    for below in error.__subclasses__():
        yield from families(below)


def test_every_code_that_ends_a_run_is_in_troubleshooting() -> None:
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    ours = {error.code for error in families(RunError) if error.__module__ == "zoomagent.errors"}
    named = {code for error in families(RunError) for code in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", _codes(error))}
    assert sorted(code for code in ours | named if f"`{code}`" not in text) == []


def _codes(error: type[RunError]) -> str:
    """The codes that a class's docstring lists."""
    _, _, listed = (error.__doc__ or "").partition("Codes")
    return listed
