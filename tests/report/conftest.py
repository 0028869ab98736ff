"""A browser to open pages in; tests that need one are skipped where there is none."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def _without(what: str) -> None:
    told = f"{what}: the pages cannot be opened in a browser"
    if os.environ.get("LINNAEA_BROWSER") == "required":
        pytest.fail(told)
    pytest.skip(told)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, headless."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _without("playwright is not installed")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        _without("no Chromium was found")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield running
        running.close()


@dataclass
class Opened:
    """A page and what it said: messages of errors, addresses that were asked for besides the file, dialogs."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def quiet(self) -> bool:
        return not (self.errors or self.requests or self.dialogs)


def until(page: Any, expression: str, seconds: float = 20.0) -> None:
    """Wait until ``expression`` is true; the page's own policy forbids what Playwright would do."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"still not: {expression}"
        page.wait_for_timeout(30)


@pytest.fixture(scope="module")
def opened(browser: Any) -> Iterator[Callable[..., Opened]]:
    """Open a file, with the settings of a browser context; at the end nothing may have been asked for or gone wrong."""
    made: list[Opened] = []
    contexts = []

    def open_page(path: Path, *, width: int = 1300, **settings: Any) -> Opened:
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        found = Opened(context.new_page())
        page = found.page
        page.set_default_timeout(20_000)
        page.on("console", lambda m: found.errors.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: found.errors.append(str(error)))
        page.on("request", lambda r: None if r.url == path.as_uri() else found.requests.append(r.url[:200]))
        page.on("dialog", lambda dialog: (found.dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri())
        until(page, "document.getElementById('footer').textContent !== ''")
        made.append(found)
        return found

    yield open_page
    for context in contexts:
        context.close()
    for found in made:
        assert found.quiet(), found
