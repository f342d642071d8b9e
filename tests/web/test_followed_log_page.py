"""The page of a log of another tool that grows: each step comes once, as it is logged."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from helpers.browser import chromium, expect_state, open_page
from helpers.pages import Page, served
from playwright.sync_api import expect

SECONDS_MAX = 5.0  # from a row on the disk to its notes; a busy machine takes one or two


def append_json(path: Path, step: int) -> None:
    """Appends a JSON line, as verl does."""
    with path.open("a") as file:
        file.write(json.dumps({"step": step, "data": {"actor/grad_norm": step / 8}}) + "\n")


def rewrite_table(path: Path, step: int) -> None:
    """Writes a table anew with a new column, as Lightning does."""
    names = ",".join(f"val{k}" for k in range(step))
    rows = [f"{k},{k / 8},{',' * (step - 1)}" for k in range(1, step + 1)]
    new = path.with_suffix(".new")
    new.write_text("\n".join([f"step,grad_norm,{names}", *rows, ""]))
    new.replace(path)


def print_table(path: Path, step: int) -> None:
    """Prints a row of a table, and its header before the first one."""
    with path.open("a") as file:
        if step == 1:
            file.write("loading ...\n| step | grad_norm |\n| ---- | --------- |\n")
        file.write(f"| {step} | {step / 8} |\n")


WRITERS = {
    "JSON lines": ("log.jsonl", append_json, ""),
    "Lightning": ("metrics.csv", rewrite_table, ""),
    "printed table": ("train.log", print_table, "is read as a table that was printed"),
}


@pytest.mark.realtime
@pytest.mark.parametrize("tool", WRITERS)
def test_a_page_gets_each_step_of_a_log_once(tool: str, tmp_path: Path) -> None:
    """Picture and notes of a step come soon after it is logged, and no step comes again."""
    name, write, warning = WRITERS[tool]
    path = tmp_path / name
    for step in (1, 2):
        write(path, step)
    with served(path, "--follow", warning=warning) as (url, _):
        page = Page(url)
        page.receive_until(lambda: page.columns, "the steps that are there are missing")
        delays = []
        for step in (3, 4, 5):
            write(path, step)
            begin = time.monotonic()
            page.receive_until(
                lambda step=step: page.columns[-1].last == step, f"{step} is missing"
            )
            delays.append(time.monotonic() - begin)
        page.receive_until(lambda: page.events[-1].last == 5, "no notes arrive")
        firsts = [event.first for event in page.events]
        page.close()

    shown = [range(column.first, column.last + 1) for column in page.columns]
    assert [step for steps in shown for step in steps] == [1, 2, 3, 4, 5]
    assert firsts == sorted({*firsts})
    assert max(delays) < SECONDS_MAX, delays


@pytest.mark.realtime
@pytest.mark.parametrize("tool", ["JSON lines", "Lightning"])
@pytest.mark.usefixtures("server")
def test_a_browser_shows_the_steps_of_a_log(tool: str, tmp_path: Path) -> None:
    """The page names the newest step, first of the steps there and then of each new one."""
    name, write, _ = WRITERS[tool]
    path = tmp_path / name
    for step in (1, 2):
        write(path, step)
    with (
        served(path, "--follow") as (url, _),
        chromium() as browser,
        open_page(browser, url) as page,
    ):
        expect_state(page, "waiting")
        page.click("#listen")
        expect_state(page, "listening")
        for step in (3, 4, 5):
            write(path, step)
            expect(page.locator("#step")).to_contain_text(str(step), timeout=15_000)
