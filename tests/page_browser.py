"""A real browser (Chromium) for the page's tests. Without the package playwright, or Chromium, they are skipped.

Every page that a test opens is watched: a request to another host, or an error on the console, fails the test.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need the package playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

MOMENT = 60_000
"""Milliseconds that a slow machine may take for a step of nano's."""

Open = Callable[..., Any]


@contextmanager
def launched() -> Iterator[Any]:
    """Chromium, without a window."""
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def opening(browser: Any) -> Iterator[Open]:
    """Opens pages that are watched. `expected` names what a page's console may say."""
    contexts: list[Any] = []
    faults: list[str] = []

    def opened(url: str, width: int = 1280, height: int = 800, expected: str = "", **more: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce", **more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(MOMENT)
        watch(page, url.split("/#")[0], expected, faults)
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def watch(page: Any, host: str, expected: str, faults: list[str]) -> None:
    """Write down what the page asks of other hosts, and what goes wrong in it."""

    def asked(request: Any) -> None:
        if not request.url.startswith((host, "blob:", "data:")):
            faults.append(request.url)

    def said(message: Any) -> None:
        if message.type == "error" and not (expected and expected in message.text):
            faults.append(message.text)

    page.on("request", asked)
    page.on("console", said)
    page.on("pageerror", lambda error: faults.append(str(error)))
