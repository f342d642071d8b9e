"""Measures the delay of sound in a browser, the network traffic, and the cost of listeners.

A real Chromium plays on a sound server without hardware (PulseAudio's null sink). A monitor
records every sample.

    python benchmarks/web.py [--seconds 60] [delays traffic listeners voices]

It needs ``pip install '.[web,jit]'``, playwright, chromium, pulseaudio, pulseaudio-utils
and, for voices, nodejs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cpu_load import Load
from machine import check_choices, machine, threads
from page_voices import print_voices
from player_process import SHORT, processor_seconds, start_player, write_step
from runs import new_log
from sound_monitor import Monitor, delays_ms

import gradsound
from gradsound.music.presets import PRESETS
from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block
from gradsound.workers.sinks import PageSink

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.browser import chromium
from helpers.sound_server import SoundServer

TURN_SECONDS = 1.0  # of a measurement
LAYERS = 100
SETTLE_SECONDS = 25.0  # in which a page adapts its delay to the network
FAST = 0.02  # seconds from step to step; the server merges steps that fast


def delays(seconds: float) -> None:
    """Prints the delays of the sound of steps at random moments."""
    server = SoundServer()
    os.environ.update(server.environment)
    with ExitStack() as stack:
        stack.callback(server.remove)
        writer, player = stack.enter_context(start_player(PageSink(), 1, SHORT))
        page = stack.enter_context(chromium()).new_page()
        page.goto(player.url)
        page.click("#listen")
        page.wait_for_selector("body[data-state=listening]")
        monitor, times = Monitor(server, 1), []
        for number in range(round((SETTLE_SECONDS + seconds) / 0.2)):
            time.sleep(random.uniform(0.15, 0.25))
            times.append(time.monotonic())
            write_step(writer, player, number)
        monitor.end()
    measured = delays_ms(times[round(SETTLE_SECONDS / 0.2) :], monitor.onsets)
    p50, p99 = np.percentile(measured, [50, 99])
    print(f"  {len(measured)} steps: p50 {p50:.0f} ms, p99 {p99:.0f} ms")


def traffic(seconds: float) -> None:
    """Prints what the server sends to a page, at 50 steps a second."""
    from helpers.pages import Page

    generator = np.random.default_rng(0)
    for preset in ("notes", "scan", "ambient", "alarms"):
        with start_player(PageSink(), LAYERS, PRESETS[preset]) as (writer, player):
            page, sizes = Page(player.url), {"notes": 0, "picture": 0, "text": 0}
            begin = time.monotonic()
            number = 0
            while (elapsed := time.monotonic() - begin) < seconds:
                norms = generator.lognormal(size=LAYERS).astype(np.float32)
                writer.write(
                    make_block([Step(number, elapsed, norms, np.zeros(LAYERS, bool))])
                )
                player.wake()
                number += 1
                time.sleep(FAST)
                for message in page.receive_raw():
                    sizes[message_kind(message)] += len(message)
        rates = {name: size / elapsed / 1e3 for name, size in sizes.items()}
        parts = ", ".join(f"{name} {rate:.1f}" for name, rate in rates.items())
        print(f"  {preset:8} {sum(rates.values()):5.1f} kB/s ({parts})")


def message_kind(message: str | bytes) -> str:
    """Returns the kind of a message."""
    if isinstance(message, str):
        return "text"
    return "notes" if message[0] == 1 else "picture"


def receive_all(url: str, count: int, ready: object) -> None:
    """Connects listeners that receive all messages and drop them; never returns."""
    import select

    from helpers.pages import Page

    pages = {
        page.socket.socket.fileno(): page for page in (Page(url) for _ in range(count))
    }
    ready.set()
    while True:
        for descriptor in select.select([*pages], [], [])[0]:
            for _ in pages[descriptor].receive_raw():
                pass


@contextmanager
def with_listeners(load: Load, count: int | None) -> Iterator[gradsound.Attachment | None]:
    """Attaches a page with listeners in a process of their own; attaches none if None."""
    if count is None:
        yield None
        return
    context = multiprocessing.get_context("spawn")
    with gradsound.listen(
        load.model, load.optimizer, log=new_log(), preset=SHORT, web=True
    ) as attachment:
        ready = context.Event()
        process = context.Process(target=receive_all, args=(attachment.url, count, ready))
        process.start()
        ready.wait()
        yield attachment
        process.kill()
        process.join()


def listeners(rounds: int) -> None:
    """Prints the ratio of a step to a bare one, and the server's share of a core."""
    load = Load(holds_lock=False)
    cases = {"bare": None, "bare again (control)": None, "no listener": 0, "ten": 10}
    seconds: dict[str, list[float]] = {case: [] for case in cases}
    shares: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case in random.sample([*cases], len(cases)):
            with with_listeners(load, cases[case]) as attachment:
                load.turn(lambda: None, 0.5)
                before = page_seconds(attachment)
                seconds[case].append(load.turn(lambda: None, TURN_SECONDS))
                spent = page_seconds(attachment) - before
                shares[case].append(spent / TURN_SECONDS)
    print(f"  a bare step takes {statistics.median(seconds['bare']) * 1e3:.1f} ms")
    for case in [*cases][1:]:
        ratio = statistics.median(a / b for a, b in zip(seconds[case], seconds["bare"]))
        share = statistics.median(shares[case])
        print(f"  {case:22} {ratio:6.3f} x, the page takes {share:6.1%} of a core")


def page_seconds(attachment: gradsound.Attachment | None) -> float:
    """Returns the processor time of the page's server in seconds; 0 without a page."""
    return 0.0 if attachment is None else processor_seconds(attachment._recorder.player)


def main() -> None:
    """Prints the tables of the chosen parts."""
    parser = argparse.ArgumentParser(description="Delay, traffic and cost of the page.")
    parts = ["delays", "traffic", "listeners", "voices"]
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(parts))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    wanted = arguments.parts or parts
    check_choices(parser, "part", wanted, parts)
    print(machine(threads()))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if "delays" in wanted:
            print("\nFrom step to the browser's sound")
            delays(arguments.seconds)
        if "traffic" in wanted:
            print(f"\nSent to a page, {LAYERS} layers, {1 / FAST:.0f} steps a second")
            traffic(arguments.seconds / 6)
        if "listeners" in wanted:
            print("\nTime of a step")
            listeners(arguments.rounds)
        if "voices" in wanted:
            print("\nTime of a browser for a sample of a note")
            print_voices()
        os.chdir("/")


if __name__ == "__main__":
    main()
