"""Measures pages of one file: their size, and the times to write and to open them.

A page is open when Chromium has drawn the picture of the run. The time to open it is the
median of several openings, taken in turns with those of a blank page, the control. The last
run is a time-lapse, which has a mark for every alarm.

    python benchmarks/page_file.py [--rounds 7]

It needs playwright and chromium.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import machine, threads

import gradsound
from gradsound.runs.model import Header
from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter

if TYPE_CHECKING:
    from playwright.sync_api import Browser

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.browser import chromium

SIZES = [(200, 4), (2_000, 4), (10_000, 100), (1_000_000, 4)]  # steps and layers
NAN_SHARE = 0.001  # of the steps
AT_ONCE = 1000  # steps
BLANK = "<!doctype html><html lang=en><title>blank</title><body data-state=waiting>blank"
# Notes when the body has a state, and the frame after it is drawn.
NOTE_READY = """addEventListener("DOMContentLoaded", () => {
  const check = () => {
    if (document.body.dataset.state !== "waiting") requestAnimationFrame(check);
    else requestAnimationFrame(() => setTimeout(() => (window.ready = performance.now())));
  };
  check();
})"""


def write_run(path: Path, steps: int, layers: int) -> None:
    """Writes a run of noise with a loss, and NaN now and then."""
    random = np.random.default_rng(0)
    names = tuple(f"layers.{k // 4}.{'qkvo'[k % 4]}" for k in range(layers))
    writer = RunWriter(path, Header(layers=names, parameters=(1,) * layers, start=""))
    absent, now = np.zeros(layers, bool), 0.0
    for begin in range(0, steps, AT_ONCE):
        count = min(AT_ONCE, steps - begin)
        norms = random.lognormal(0, 0.5, (count, layers)).astype(np.float32)
        norms[random.random(count) < NAN_SHARE] = np.nan
        times = now + np.cumsum(random.exponential(0.1, count))
        now = times[-1]
        steps = [
            Step(begin + k, time, own, absent, values={"loss": float(random.random())})
            for k, (time, own) in enumerate(zip(times.tolist(), norms))
        ]
        writer.write(make_block(steps))
    writer.close()


def open_milliseconds(browser: Browser, path: Path) -> float:
    """Returns the time from the navigation to the picture."""
    page = browser.new_page()
    page.add_init_script(NOTE_READY)
    page.goto(path.absolute().as_uri())
    while (ready := page.evaluate("window.ready")) is None:
        page.wait_for_timeout(20)
    page.close()
    return ready


def main() -> None:
    """Prints a line for each size."""
    parser = argparse.ArgumentParser(description="Size and time of pages of one file.")
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(machine(threads()))
    print("\n    steps  layers       kB  written in  opened in, a blank page in")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        os.chdir(folder)
        Path("blank.html").write_text(BLANK)
        for steps, layers in SIZES:
            write_run(Path("run.jsonl"), steps, layers)
            begin = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the last one is a time-lapse
                gradsound.render("run.jsonl", "run.html")
            written = time.perf_counter() - begin
            kilobytes = Path("run.html").stat().st_size / 1e3
            opened: dict[str, list[float]] = {"run.html": [], "blank.html": []}
            for _ in range(rounds):
                for name, times in opened.items():
                    times.append(open_milliseconds(browser, Path(name)))
            page, blank = map(statistics.median, opened.values())
            print(
                f"{steps:9,}  {layers:6}  {kilobytes:7,.0f}  {written:8.2f} s  "
                f"{page:6.0f} ms  {blank:6.0f} ms",
                flush=True,
            )
            Path("run.jsonl").unlink()
        os.chdir("/")


if __name__ == "__main__":
    main()
