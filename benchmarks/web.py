"""Measures the delay of sound in a browser, the network traffic, and the cost of listeners.

A real Chromium plays on a sound server without hardware (PulseAudio's null sink). A monitor
records every sample.

    python benchmarks/web.py [--seconds 60] [delays traffic listeners voices]

It needs ``pip install '.[web]'``, playwright, chromium, pulseaudio and pulseaudio-utils.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from live import RATE, SHORT, Load, Monitor, delays_ms, new_log, write_step
from machine import check_parts, machine, threads

import gradsound
from gradsound.music.presets import PRESETS
from gradsound.runs.model import Header, Step
from gradsound.runs.writer import RunWriter
from gradsound.synth.events import EVENT
from gradsound.synth.kernels.javascript import to_javascript
from gradsound.synth.voices.builtin import VOICES, find_voice
from gradsound.web.messages import encode_events
from gradsound.web.page_address import PageAddress
from gradsound.web.server import Server
from gradsound.workers.sinks import PageSink, Player

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.browser import chromium
from helpers.sound_server import SoundServer

TURN_SECONDS = 1.0  # of a measurement
LAYERS = 100
SETTLE_SECONDS = 25.0  # in which a page adapts its delay to the network
NOTES, NOTE_FRAMES = 4, 60 * RATE  # simultaneous notes, and their length
# Returns the milliseconds in which a browser renders notes.
RENDER = """async ([notes, frames]) => {
  const context = new OfflineAudioContext(2, frames, 44100);
  await context.audioWorklet.addModule("worklet.js");
  await context.audioWorklet.addModule("voices.js");
  const processorOptions = { live: true };
  const options = { numberOfInputs: 0, outputChannelCount: [2], processorOptions };
  const node = new AudioWorkletNode(context, "gradsound", options);
  node.connect(context.destination);
  let begin;
  context.suspend(0).then(async () => {
    const buffer = Uint8Array.from(atob(notes), (c) => c.charCodeAt(0)).buffer;
    node.port.postMessage({ events: buffer });
    await new Promise((resolve) => setTimeout(resolve, 200)); // until the worklet has them
    begin = performance.now();
    context.resume();
  });
  const sound = await context.startRendering();
  if (!sound.getChannelData(0).some((sample) => sample !== 0)) throw new Error("silence");
  return performance.now() - begin;
}"""
FAST = 0.02  # seconds from step to step; the server merges steps that fast


@contextmanager
def page_player(
    layers: int, preset: gradsound.Preset
) -> Iterator[tuple[RunWriter, Player]]:
    """Serves a page; yields the writer of its run file, and the player."""
    path = Path(new_log())
    names = tuple(f"layer{k}" for k in range(layers))
    header = Header(layers=names, parameters=(1,) * layers, start="")
    writer = RunWriter(path, header, 1)
    player = PageSink().start(path, writer.reader_files[0].fileno(), preset)
    yield writer, player
    print(player.close(), end="")
    writer.close()


def delays(seconds: float) -> None:
    """Prints the delays of the sound of steps at random moments."""
    server = SoundServer()
    os.environ.update(server.environment)
    with ExitStack() as stack:
        stack.callback(server.remove)
        writer, player = stack.enter_context(page_player(1, SHORT))
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
        with page_player(LAYERS, PRESETS[preset]) as (writer, player):
            page, sizes = Page(player.url), {"notes": 0, "picture": 0, "text": 0}
            begin = time.monotonic()
            number = 0
            while (elapsed := time.monotonic() - begin) < seconds:
                norms = generator.lognormal(size=LAYERS).astype(np.float32)
                writer.write([Step(number, elapsed, norms, np.zeros(LAYERS, bool))])
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
                before = server_seconds(attachment)
                seconds[case].append(load.turn(lambda: None, TURN_SECONDS))
                spent = server_seconds(attachment) - before
                shares[case].append(spent / TURN_SECONDS)
    print(f"  a bare step takes {statistics.median(seconds['bare']) * 1e3:.1f} ms")
    for case in [*cases][1:]:
        ratio = statistics.median(a / b for a, b in zip(seconds[case], seconds["bare"]))
        share = statistics.median(shares[case])
        print(f"  {case:22} {ratio:6.3f} x, the page takes {share:6.1%} of a core")


def server_seconds(attachment: gradsound.Attachment | None) -> float:
    """Returns the processor time of the page's server in seconds."""
    if attachment is None:
        return 0.0
    pid = attachment._recorder.player._process._process.pid
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def voices() -> None:
    """Prints how long a browser takes to render each built-in voice."""
    programs = [find_voice(name) for name in VOICES]
    address = PageAddress()
    ended = threading.Event()

    async def wait() -> None:
        await asyncio.to_thread(ended.wait)

    async def serve() -> None:
        files = {"voices.js": to_javascript(programs)}
        server = Server(None, address.token, files, is_public=False)
        await server.serve(address.socket, wait())

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    with chromium() as browser:
        page = browser.new_page()
        page.goto(address.url)
        for number, program in enumerate(programs):
            notes = base64.b64encode(simultaneous_notes(number)).decode()
            arguments = [notes, NOTE_FRAMES]
            best = min(page.evaluate(RENDER, arguments) for _ in range(5))
            each = 1e6 * best / NOTE_FRAMES / NOTES
            print(f"  {program.name:8} {each:5.0f} ns", flush=True)
    ended.set()
    thread.join()


def simultaneous_notes(voice: int) -> bytes:
    """Returns a message with notes that sound at the same time."""
    events = np.zeros(NOTES, EVENT)
    events["count"], events["fade"] = NOTE_FRAMES, 100
    events["gain"], events["pan"] = 0.1, 0.7
    events["increment"] = np.arange(1, NOTES + 1) * 220.0 / RATE * 2**32
    voices, tracks = np.full(NOTES, voice), np.full(NOTES, -1)
    return encode_events(events, voices, tracks, 0, 0, None)


def main() -> None:
    """Prints the tables of the chosen parts."""
    parser = argparse.ArgumentParser(description="Delay, traffic and cost of the page.")
    parts = ["delays", "traffic", "listeners", "voices"]
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(parts))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    wanted = arguments.parts or parts
    check_parts(parser, wanted, parts)
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
            voices()
        os.chdir("/")


if __name__ == "__main__":
    main()
