"""A real browser: Debian's Chromium without a window, driven by Playwright.

Every page that a test opens is watched: an error on the console, an exception, or a request to
another host fails the test. Playwright keeps an event loop running in this thread, so browsers
live for one file and no longer: other tests want the thread.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import start_edge
from tests.servers import missing

pytest.importorskip("playwright", reason="playwright is not installed (extra dev)")

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

__all__ = ["start_edge"]

LIMIT_MS = 20_000
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--disable-dev-shm-usage",
)
OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        missing("chromium is not installed (Debian package chromium)")
    expect.set_options(timeout=LIMIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


class Watch:
    """What went wrong in a page, but for what a test says will."""

    def __init__(self, page: Page, host: str) -> None:
        self.faults: list[str] = []
        self._host = host
        self.expected: tuple[str, ...] = ()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text} {message.location['url']}")

    def _asked(self, url: str) -> None:
        place = urlsplit(url)
        if place.scheme not in ("data", "blob") and place.netloc != self._host:
            self.faults.append(f"request to {url}")

    def unexpected(self) -> list[str]:
        return [fault for fault in self.faults if not any(part in fault for part in self.expected)]


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """`open_page(admin_url, token, path)`: signed in, unless the token is empty. `expected`: parts
    of console messages that are to come."""
    watches: list[Watch] = []
    contexts = []

    def open_one(
        admin_url: str,
        token: str,
        path: str = "/",
        *,
        width: int = 1280,
        height: int = 900,
        scheme: str = "light",
        expected: tuple[str, ...] = (),
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(LIMIT_MS)
        page = context.new_page()
        watch = Watch(page, urlsplit(admin_url).netloc)
        watch.expected = expected
        watches.append(watch)
        page.goto(f"{admin_url}/#{path}")
        if token:
            page.get_by_label("Token").fill(token)
            page.keyboard.press("Enter")
            page.wait_for_selector("#live[data-status=live]")
        return page

    yield open_one
    faults = [fault for watch in watches for fault in watch.unexpected()]
    for context in contexts:
        context.close()
    assert faults == []
