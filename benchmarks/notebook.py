"""Measures the widget of a notebook beside the page: delay, time of a step, memory.

A training runs in a cell of JupyterLab. Chromium shows the notebook and the page, and plays
on a sound server without hardware (PulseAudio's null sink). A monitor records every sample.

    python benchmarks/notebook.py [--rounds 12] [--steps 100000] [delays turns memory]

It needs ``pip install '.[web,notebook,jit]'``, jupyterlab, ipykernel, playwright, chromium,
pulseaudio and pulseaudio-utils.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import check_choices, machine
from sound_monitor import Monitor, delays_ms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.jupyter import Lab, Notebook
    from playwright.sync_api import Browser, CDPSession

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.browser import chromium
from helpers.jupyter import jupyter_lab
from helpers.sound_server import SoundServer

DELAY_STEPS = 200
BETWEEN_STEPS = 0.25, 0.35  # seconds, the least and the most
MARGIN_SECONDS = 1.0  # after the last step, for its sound; a longer pause has an alarm
LISTENING_MS = 30_000  # in which a player must listen
WAIT_SECONDS = 120.0  # in which a cell must write its next file
HERE = str(Path(__file__).parent)
IMPORT = f"import sys\nsys.path.append({HERE!r})\nfrom notebook_cells import *\n"


@contextmanager
def players(
    lab: Lab, browser: Browser, first: str, second: str, cases: tuple[str, ...]
) -> Iterator[Notebook]:
    """Runs the first cell, which attaches players; yields when these listen."""
    (lab.folder / "url").unlink(missing_ok=True)
    with ExitStack() as stack:
        cells = IMPORT + first, second
        notebook = stack.enter_context(lab.notebook(browser, *cells, recorded=False))
        notebook.run(0)
        if "page" in cases:
            context = browser.new_context()
            stack.callback(context.close)
            page = context.new_page()
            page.goto(read(lab, "url"))
            listen_on(page)
        if "widget" in cases:
            listen_on(notebook.player(0))
        yield notebook


def listen_on(player: object) -> None:
    """Clicks the button of a page, and waits until it listens."""
    player.locator("#listen").click()
    player.locator("body[data-state=listening]").wait_for(timeout=LISTENING_MS)


def read(lab: Lab, name: str) -> object:
    """Waits for a file that a cell writes, and returns what is in it."""
    path, end = lab.folder / name, time.monotonic() + WAIT_SECONDS
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"no cell has written {name}; run the cell by hand")
        time.sleep(0.01)
    value = json.loads(path.read_text())
    path.unlink()
    return value


def delays(lab: Lab, browser: Browser, server: SoundServer) -> None:
    """Prints the delays of the sound of the steps of a short training."""
    for case in "page", "widget":
        first = f"training = SmallTraining({case!r})"
        second = f"training.train_at_random({DELAY_STEPS}, *{BETWEEN_STEPS})"
        with players(lab, browser, first, second, (case,)) as notebook:
            monitor = Monitor(server, 1)
            notebook.run(1)
            time.sleep(MARGIN_SECONDS)
            monitor.end()
        moments = read(lab, "moments")
        heard = [onset for onset in monitor.onsets if onset > moments[0]]
        print(f"  {case:8}{delays_in_order(moments, heard)}", flush=True)


def delays_in_order(moments: list[float], onsets: list[float]) -> str:
    """Returns the delays in words.

    Sound k is that of step k, however late it is. On a machine that other work disturbs,
    steps share a sound. There, the first sound after a step counts, so that a delay above
    the least time between steps would count as a shorter one.
    """
    if len(onsets) == len(moments):
        milliseconds = 1e3 * (np.array(onsets) - np.array(moments))
    else:
        milliseconds = np.array(delays_ms(moments, onsets))
    p50, p99 = np.percentile(milliseconds, [50, 99])
    counts = f"{len(moments)} steps, {len(onsets)} sounds"
    return f"{counts}: p50 {p50:.0f} ms, p99 {p99:.0f} ms"


def turns(lab: Lab, browser: Browser, rounds: int) -> None:
    """Prints the ratio of a step with each player to a step of a control.

    Page and widget are open, and listen, in all turns. What differs is which model trains.
    """
    second = f"turns.train({rounds})"
    with players(lab, browser, "turns = Turns()", second, ("page", "widget")) as notebook:
        notebook.run(1)
        seconds = read(lab, "seconds")
    bare = statistics.median(one["control"] for one in seconds)
    print(f"  control        {bare * 1e3:6.2f} ms")
    for case in "control again", "page", "widget":
        ratios = [one[case] / one["control"] for one in seconds]
        low, ratio, high = statistics.quantiles(ratios, n=4)
        print(f"  {case:15}{ratio:6.3f} x ({low:.3f} to {high:.3f})")
    ratio = statistics.median(one["widget"] / one["page"] for one in seconds)
    print(f"  widget / page  {ratio:6.3f} x", flush=True)


def memory(lab: Lab, browser: Browser, steps: int) -> None:
    """Prints memory at each tenth of a training that does not pause."""
    first = "training = SmallTraining('widget', 16)"
    second = f"training.train_fast({steps})"
    print("     steps  seconds   kernel   player      tab  JavaScript")
    with players(lab, browser, first, second, ("widget",)) as notebook:
        browser_session = browser.new_browser_cdp_session()
        session = notebook.page.context.new_cdp_session(notebook.page)
        notebook.start(1)
        for tenth in range(11):
            done, seconds, *sizes = read(lab, f"tenth{tenth}")
            sizes += tab_mb(browser_session), heap_mb(session)
            columns = "".join(f"{size:6.1f} MB" for size in sizes)
            print(f"  {done:8}  {seconds:5.0f} s{columns}", flush=True)
        notebook.wait_until_idle()


def tab_mb(session: CDPSession) -> float:
    """Returns the resident memory of the tab's process in MB: of the largest one."""
    all_processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    tabs = [one["id"] for one in all_processes if one["type"] == "renderer"]
    pages = [int(Path(f"/proc/{tab}/statm").read_text().split()[1]) for tab in tabs]
    return max(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def heap_mb(session: CDPSession) -> float:
    """Returns the memory of the tab's JavaScript in MB, without garbage."""
    session.send("HeapProfiler.collectGarbage")
    return session.send("Runtime.getHeapUsage")["usedSize"] / 1e6


def main() -> None:
    """Prints the tables of the chosen parts."""
    parser = argparse.ArgumentParser(description="Delay and cost of a notebook's widget.")
    parts = ["delays", "turns", "memory"]
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(parts))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--steps", type=int, default=100_000)
    arguments = parser.parse_args()
    wanted = arguments.parts or parts
    check_choices(parser, "part", wanted, parts)
    print(machine("1 thread"))
    server = SoundServer()
    os.environ.update(server.environment)
    with ExitStack() as stack:
        stack.callback(server.remove)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lab = stack.enter_context(jupyter_lab(folder))
        browser = stack.enter_context(chromium())
        if "delays" in wanted:
            print("\nFrom step to the browser's sound")
            delays(lab, browser, server)
        if "turns" in wanted:
            print("\nTime of a step")
            turns(lab, browser, arguments.rounds)
        if "memory" in wanted:
            print("\nResident memory, and the memory of JavaScript after a collection")
            memory(lab, browser, arguments.steps)


if __name__ == "__main__":
    main()
