"""A real browser for tests: the installed Chromium, driven by Playwright."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--no-sandbox",  # the sandbox refuses to run as root
    "--disable-gpu",
    # Chromium requests nothing but what a test serves.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Starts a Chromium, which plays on the sound server if the environment names one.

    Skips the test if Chromium or Playwright is not installed.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path, args=[*_OPTIONS], ignore_default_args=["--mute-audio"]
        )
        yield browser
        browser.close()


@contextmanager
def open_page(
    browser: Browser, url: str, expected: str = "^$", **options: object
) -> Iterator[Page]:
    """Opens a page; fails if its console has a line that the pattern does not match."""
    context = browser.new_context(**options)
    page, lines = context.new_page(), []
    page.on("console", lambda message: lines.append(message.text))
    page.on("pageerror", lambda error: lines.append(str(error)))
    page.goto(url)
    yield page
    context.close()
    assert not [line for line in lines if not re.search(expected, line)]


def expect_state(page: Page, name: str) -> None:
    """Waits until the page has a state."""
    from playwright.sync_api import expect

    expect(page.locator("body")).to_have_attribute("data-state", name, timeout=15_000)


def point_at_first_step(page: Page) -> None:
    """Moves the picture's cursor to the first step, as soon as the picture has it."""
    for _ in range(300):  # 15 seconds
        page.locator("#picture").press("Home")
        page.wait_for_timeout(50)
        if "hint" not in (page.locator("#cursor-text").get_attribute("class") or ""):
            break
