"""Desktop notes of the page: only if the user wants them, and while the tab is hidden."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from helpers.browser import expect_state, open_page
from helpers.pages import served
from helpers.processes import until
from helpers.runs import make_run
from playwright.sync_api import Browser, Page, expect

from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter

NAN = float("nan")
USUAL = [[1.0 + k % 3 / 50, 2.0] for k in range(20)]
BROKEN, OTHER = [[1.0, NAN]], [[NAN, 2.0]]  # another layer, which has its caption at once
# Keeps the notes that the browser has shown and closed, and hides the tab on request: in a
# headless browser, every tab is visible.
SPY = """
window.notes = [];
window.WebSocket = class extends WebSocket {
  constructor(address) {
    super(address);
    window.socket = this;
  }
};
window.Notification = class extends Notification {
  constructor(title, options) {
    super(title, options);
    const note = { title, ...options, shown: false, closed: false };
    this.onshow = () => { note.shown = true; };
    this.onclose = () => { note.closed = true; };
    notes.push(note);
  }
};
Object.defineProperty(document, "hidden", { get: () => window.away === true });
window.setAway = (away) => {
  window.away = away;
  document.dispatchEvent(new Event("visibilitychange"));
};
"""


@pytest.fixture(autouse=True)
def _isolate(own_folder) -> None:
    """Runs each test in its own folder."""


class Training:
    """A training that writes run.jsonl."""

    def __init__(self) -> None:
        self._norms: list[list[float]] = []
        self.writer = RunWriter(Path("run.jsonl"), make_run(USUAL).header)

    def add(self, norms: list[list[float]]) -> None:
        """Makes further steps."""
        steps = [*make_run([*self._norms, *norms]).steps][len(self._norms) :]
        self._norms += norms
        self.writer.write(make_block(steps))


@contextmanager
def watched(browser: Browser, **options: object) -> Iterator[tuple[Page, Training]]:
    """Yields the page of a training with 20 usual steps, in a browser with permissions."""
    training = Training()
    with (
        closing(training.writer),
        served("run.jsonl", "--follow") as (url, _),
        open_page(browser, "about:blank", **options) as page,
    ):
        page.add_init_script(SPY)
        page.goto(url)
        expect_state(page, "waiting")
        training.add(USUAL)
        expect(page.locator("#step")).to_contain_text("19")
        yield page, training


def wait_for(page: Page, condition: str) -> None:
    """Waits until an expression is true; the page lets no script poll it."""
    until(lambda: page.evaluate(condition), f"{condition}: {page.evaluate('notes')}")


def expect_caption(page: Page, text: str) -> None:
    """Waits until the list of captions has a text."""
    expect(page.locator("#captions")).to_contain_text(text, timeout=15_000)


def test_a_note_tells_an_alarm_of_a_hidden_tab(browser: Browser) -> None:
    """The permission of before switches notes on; they go when the user comes back."""
    with watched(browser, permissions=["notifications"]) as (page, training):
        expect(page.locator("#notes")).to_have_attribute("aria-pressed", "true")
        page.evaluate("setAway(true)")
        training.add(BROKEN)
        expect_caption(page, "NaN in layer1")
        wait_for(page, "notes.length === 1 && notes[0].shown")
        note = page.evaluate("notes[0]")
        assert (note["title"], note["body"]) == ("run.jsonl", "step 20: NaN in layer1")
        assert note["tag"].endswith("/ nonfinite")
        assert note["tag"].startswith("/")
        training.add([*USUAL, *OTHER])  # the recovery has none
        expect_caption(page, "step 41: NaN in layer0")
        wait_for(page, "notes.length === 2")
        assert page.evaluate("notes[1].tag === notes[0].tag")
        page.evaluate("setAway(false)")
        wait_for(page, "notes[1].closed")


def test_a_visible_tab_has_no_notes(browser: Browser) -> None:
    """Nor has one whose user has switched them off."""
    with watched(browser, permissions=["notifications"]) as (page, training):
        training.add(BROKEN)
        expect_caption(page, "step 20: NaN in layer1")
        page.click("#notes")
        expect(page.locator("#notes")).to_have_attribute("aria-pressed", "false")
        page.evaluate("setAway(true)")
        training.add([*USUAL, *OTHER])
        expect_caption(page, "step 41: NaN in layer0")
        assert page.evaluate("notes") == []


def test_a_lost_connection_loses_no_note(browser: Browser) -> None:
    """Alarms that came meanwhile have a note when it is back; those of before have none."""
    options = {"permissions": ["notifications"], "expected": "ERR_INTERNET_DISCONNECTED"}
    with watched(browser, **options) as (page, training):
        training.add(BROKEN)
        expect_caption(page, "step 20: NaN in layer1")
        page.context.set_offline(True)
        page.evaluate("socket.close()")
        expect_state(page, "lost")
        page.evaluate("setAway(true)")
        training.add([*USUAL, *OTHER])
        time.sleep(0.5)  # in which the server has sent it to all others
        page.context.set_offline(False)
        expect_caption(page, "step 41: NaN in layer0")
        wait_for(page, "notes.length === 1 && notes[0].shown")
        assert page.evaluate("notes[0].body") == "step 41: NaN in layer0"


def test_alarms_of_before_have_no_note(browser: Browser) -> None:
    """A page that opens in a hidden tab has nothing new to tell."""
    with watched(browser, permissions=["notifications"]) as (page, training):
        training.add(BROKEN)
        expect_caption(page, "step 20: NaN in layer1")
        page.add_init_script("window.away = true")
        page.reload()
        expect_caption(page, "step 20: NaN in layer1")
        assert page.evaluate("[document.hidden, notes.length]") == [True, 0]


def test_only_a_click_asks_for_the_permission(browser: Browser) -> None:
    """Without an answer there is no note; with the permission, a click switches them on."""
    with watched(browser) as (page, training):
        button = page.locator("#notes")
        assert page.evaluate("Notification.permission") == "default"
        page.evaluate(
            "() => { const ask = Notification.requestPermission; window.asked = 0;"
            " Notification.requestPermission = () => { asked += 1; return ask(); }; }"
        )
        expect(button).to_have_attribute("aria-pressed", "false")
        page.evaluate("setAway(true)")
        training.add(BROKEN)
        expect_caption(page, "step 20: NaN in layer1")
        assert page.evaluate("[asked, notes.length]") == [0, 0]
        button.click()
        assert page.evaluate("asked") == 1
        page.context.grant_permissions(["notifications"])
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        training.add([*USUAL, *OTHER])
        wait_for(page, "notes.length === 1 && notes[0].shown")


@pytest.mark.parametrize("case", ["refused", "without notes", "of a phone"])
def test_nothing_is_offered_where_notes_cannot_be(browser: Browser, case: str) -> None:
    """The page works on, in each browser."""
    options = {"refused": {"permissions": []}}.get(case, {"permissions": ["notifications"]})
    with watched(browser, **options) as (page, training):
        if case == "without notes":
            page.add_init_script("delete window.Notification")
            page.reload()
            expect_state(page, "waiting")
        if case == "of a phone":
            expect(page.locator("#notes")).to_be_visible()
            page.evaluate(
                "() => { Notification = class { static permission = 'granted';"
                " constructor() { throw new TypeError('Illegal constructor'); } }; }"
            )
        else:
            expect(page.locator("#notes")).to_be_hidden()
        page.evaluate("setAway(true)")
        training.add(BROKEN)
        expect_caption(page, "step 20: NaN in layer1")
        expect(page.locator("#notes")).to_be_hidden()


def test_a_finished_run_has_no_notes(browser: Browser, save) -> None:
    """Its alarms are not new."""
    with (
        served(save([*USUAL, *BROKEN])) as (url, _),
        open_page(browser, url, permissions=["notifications"]) as page,
    ):
        expect_state(page, "waiting")
        expect(page.locator("#notes")).to_be_hidden()
