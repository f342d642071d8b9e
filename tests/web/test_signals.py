"""Signals on the page: a row for each band, in time with the sound."""

import json

import numpy as np
import pytest
from helpers.browser import expect_state, open_page
from helpers.pages import Page, served
from helpers.runs import make_run, with_signals
from playwright.sync_api import Browser, expect

from gradsound.music.layer_groups import find_bands
from gradsound.runs.step_block import make_block
from gradsound.web.band_signals import BandSignals

NAN = np.nan
NORMS = [[1.0, 2.0, 3.0]] * 24
SIGNALS = {  # the first layer's ratio was measured at every fourth step
    "update_ratio": lambda k: [NAN if k % 4 else k / 1000, 0.0, NAN],
    "snr": [0.05, 0.6, NAN],
}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(autouse=True)
def _isolate(own_folder) -> None:
    """Runs each test in its own folder."""


def test_a_band_has_the_median_of_the_last_numbers() -> None:
    """Numbers that were measured earlier hold; infinity and no number are null."""
    names = ("h.0.attn", "h.0.mlp", "h.1.attn", "h.1.mlp", "h.2.attn")
    rows = [[0.1, 0.2, 0.3, NAN, 0.7], [NAN, NAN, 0.5, NAN, NAN], [NAN] * 5]
    run = with_signals(make_run([[1.0] * 5] * 3, names), snr=rows.__getitem__)
    signals = BandSignals(find_bands(names))
    assert signals.message() is None
    for step in run.steps:
        signals.add(make_block([step]))
    message = json.loads(signals.message(0.5))

    assert (message["kind"], message["step"], message["frame"]) == ("signals", 2, 22_050)
    assert message["rows"] == [
        {"name": "attention", "snr": 0.5},
        {"name": "mlp", "snr": 0.2},
    ]
    signals.add(make_block([*with_signals(run, snr=[np.inf] * 5).steps]))
    assert [row["snr"] for row in json.loads(signals.message())["rows"]] == [None, None]


def test_messages_are_rare() -> None:
    """A page gets four in a second of sound at most."""
    run = with_signals(make_run([[1.0]] * 3), snr=[0.5])
    signals = BandSignals(find_bands(["layer0"]))
    assert signals.due(0.0) is None
    signals.add(make_block([*run.steps]))

    assert [signals.due(k / 10) is not None for k in range(8)] == [
        *(True, False, False, True, False, False, True, False),
    ]


def test_a_finished_run_shows_its_end_then_what_sounds(save) -> None:
    """The steps of a playback have the frames of their notes."""
    with served(save(NORMS, signals=SIGNALS)) as (url, _):
        page = Page(url)
        page.receive_until(lambda: "signals" in page.kinds(), "no signals arrive")
        (last,) = [one for one in page.messages if one["kind"] == "signals"]
        assert last["step"] == 23
        assert last["rows"] == [
            {"name": "layer0", "update_ratio": 0.02, "snr": 0.05},
            {"name": "layer1", "update_ratio": 0.0, "snr": 0.6},
            {"name": "layer2", "update_ratio": None, "snr": None},
        ]
        page.send(kind="play", **{"from": 7})
        page.receive_until(lambda: page.kinds().count("signals") > 3, "none come later")
        later = [one for one in page.messages if one["kind"] == "signals"][1:]
        begins = {events.first: events.begin for events in page.events}
        page.close()
    assert [one["step"] for one in later][:2] == [7, 8]
    for one in later:
        assert one["rows"][0]["update_ratio"] == one["step"] // 4 * 4 / 1000
        assert one["frame"] == begins[one["step"]]


def test_a_page_of_a_growing_run_gets_the_last_numbers(save) -> None:
    """A page that comes later does not wait for the next step."""
    with served("--follow", save(NORMS, signals=SIGNALS)) as (url, _):
        first = Page(url)
        first.receive_until(lambda: first.columns, "no picture arrives")
        later = Page(url)
        later.receive_until(lambda: "signals" in later.kinds(), "no signals arrive")
        (message,) = [one for one in later.messages if one["kind"] == "signals"]
        for page in (first, later):
            page.close()
    assert message["step"] == 23


@pytest.mark.parametrize("options", [{}, {"viewport": PHONE, "color_scheme": "dark"}])
def test_the_page_has_a_table(browser: Browser, save, options) -> None:
    """A bar is as long as the note is held, and as opaque as it is pure."""
    run = save(NORMS, signals=SIGNALS)
    with served(run) as (url, _), open_page(browser, url, **options) as page:
        expect(page.locator("#signals-step")).to_have_text("at step 23")
        expect(page.locator("#signal-names")).to_have_text("bandnoteupdate ratiosnr")
        rows = page.locator("#signal-rows tr")
        texts = ["layer00.020.05", "layer100.6", "layer2--"]
        expect(rows).to_have_text(texts)
        bars = page.locator("#signals .note")
        widths = [bars.nth(k).bounding_box()["width"] for k in range(3)]
        np.testing.assert_allclose(np.array(widths) / widths[0], [1, 1 / 16, 1 / 2], 0.05)
        opacities = [
            float(bars.nth(k).evaluate("bar => getComputedStyle(bar).opacity"))
            for k in range(3)
        ]
        assert opacities[0] < 0.5
        assert opacities[1:] == [1, 1]
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0


def test_a_run_without_signals_has_no_table(browser: Browser, save) -> None:
    """Neither on the page nor in its help."""
    with served(save(NORMS)) as (url, _), open_page(browser, url) as page:
        expect_state(page, "waiting")
        expect(page.locator("#signals")).to_be_hidden()
        expect(page.locator("#signals-help")).to_be_hidden()
