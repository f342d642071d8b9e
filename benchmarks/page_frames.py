"""Measures what a live page costs the browser, the server and the network, by layers.

A real Chromium shows a page at 20 steps a second: first it only listens, then a user opens
and closes groups, five keys a second. Each line has the processor time that the browser's
main thread takes for a frame and for its longest task while groups open; the bytes that the
server sends; and the server's share of a core.

    python benchmarks/page_frames.py [--seconds 20] [LAYERS ...]

It needs ``pip install '.[web]'``, playwright and chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import machine, threads
from player_process import processor_seconds, start_player

from gradsound.music.presets import PRESETS
from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block
from gradsound.workers.sinks import PageSink

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from gradsound.runs.writer import RunWriter
    from gradsound.workers.sinks import Player

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.browser import chromium

STEPS_A_SECOND = 20
SETTLE_SECONDS = 4.0
KEYS = ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft")
KEY_MS = 200
CATEGORIES = ["toplevel", "devtools.timeline"]


class Training(threading.Thread):
    """Writes steps until it is stopped."""

    def __init__(self, writer: RunWriter, player: Player, layers: int) -> None:
        super().__init__()
        self._writer, self._player, self._layers = writer, player, layers
        self._stopping = threading.Event()
        self.start()

    def run(self) -> None:
        """Writes the steps."""
        random, begin = np.random.default_rng(0), time.monotonic()
        absent, number = np.zeros(self._layers, bool), 0
        while not self._stopping.wait(
            max(0.0, begin + number / STEPS_A_SECOND - time.monotonic())
        ):
            norms = random.lognormal(0.0, 0.5, self._layers).astype(np.float32)
            self._writer.write(
                make_block([Step(number, number / STEPS_A_SECOND, norms, absent)])
            )
            self._player.wake()
            number += 1

    def stop(self) -> None:
        """Ends the training."""
        self._stopping.set()
        self.join()


def measure(browser: Browser, layers: int, seconds: float) -> str:
    """Returns the line of a number of layers."""
    with start_player(PageSink(), layers, PRESETS["notes"]) as (writer, player):
        training = Training(writer, player, layers)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        received: list[int] = []
        page.on(
            "websocket",
            lambda socket: socket.on(
                "framereceived", lambda data: received.append(len(data))
            ),
        )
        page.goto(player.url)
        page.click("#listen")
        page.wait_for_selector("body[data-state=listening]")
        page.wait_for_timeout(1e3 * SETTLE_SECONDS)
        shares = []
        for keys in ((), KEYS):  # the server's share only listens; the frames open groups
            if keys:
                browser.start_tracing(page=page, categories=CATEGORIES)
                page.evaluate("document.querySelector('#rows [tabindex=\"0\"]')?.focus()")
            received.clear()
            before, begin = processor_seconds(player), time.monotonic()
            while time.monotonic() < begin + seconds:
                for key in keys or ("",):
                    if key:
                        page.keyboard.press(key)
                    page.wait_for_timeout(KEY_MS)
            elapsed = time.monotonic() - begin
            shares.append((processor_seconds(player) - before) / elapsed)
            rate = sum(received) / elapsed / 1e3
            if not keys:
                quiet_rate = rate
        events = json.loads(browser.stop_tracing())["traceEvents"]
        training.stop()
        page.close()
    frames, tasks = frame_times(events)
    p50, p99 = np.percentile(frames, [50, 99])
    return (
        f"{layers:6,} {len(frames):7} {p50:7.1f} {p99:6.1f} {max(frames):6.1f} "
        f"{max(tasks):7.1f} {quiet_rate:9.1f} {rate:8.1f} {shares[0]:8.1%} {shares[1]:8.1%}"
    )


def frame_times(events: list[dict]) -> tuple[list[float], list[float]]:
    """Returns the processor time in ms of each frame, and of each task, of the page."""
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    events = [event for event in events if (event["pid"], event["tid"]) in mains]
    tasks = [
        event for event in events if event["name"].endswith("RunTask") and "tdur" in event
    ]
    busy = [event["ts"] for event in events if event["name"] == "FireAnimationFrame"]
    frames = [
        task["tdur"] / 1e3
        for task in tasks
        if any(task["ts"] <= time_us <= task["ts"] + task["dur"] for time_us in busy)
    ]
    return frames, [task["tdur"] / 1e3 for task in tasks]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layers", nargs="*", type=int, default=[4, 100, 1000, 5000])
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    print(machine(threads()))
    print("       frames, ms of processor time                 kB/s      server's core")
    print(
        "layers  frames     p50    p99    max longest  listening opening listening opening"
    )
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        os.chdir(folder)
        for layers in options.layers:
            print(measure(browser, layers, options.seconds), flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main()
