"""How late a browser sounds, what goes over the wire, and what listeners cost the training.

A real Chromium plays on a sound server without hardware (PulseAudio's null sink), of which
a monitor hears every sample.

    python benchmarks/web.py [--seconds 60] [delays traffic listeners voices]

Needs ``pip install gradsound[web]``, playwright, chromium, pulseaudio, pulseaudio-utils.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import multiprocessing
import os
import platform
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
import torch
from live import RATE, SHORT, Load, Monitor, fresh, late, tell

import gradsound
from gradsound.music.presets import PRESETS
from gradsound.runs.model import Header, Step
from gradsound.runs.writer import RunWriter
from gradsound.synth.events import EVENT
from gradsound.synth.kernels.javascript import module
from gradsound.synth.voices.builtin import VOICES, find_voice
from gradsound.web.host_and_port import Address
from gradsound.web.messages import events
from gradsound.web.server import Server
from gradsound.workers.sinks import PageSink, Player

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.browser import chromium
from helpers.sound_server import SoundServer

TURN = 1.0  # seconds
LAYERS = 100
SETTLES = 25.0  # seconds in which a page finds out how late its network is
NOTES, LASTING = 4, 60 * RATE  # at once; frames
# Milliseconds that a browser takes for notes, and nothing else.
RENDER = """async ([notes, frames]) => {
  const context = new OfflineAudioContext(2, frames, 44100);
  await context.audioWorklet.addModule("worklet.js");
  await context.audioWorklet.addModule("voices.js");
  const processorOptions = { live: true };
  const options = { numberOfInputs: 0, outputChannelCount: [2], processorOptions };
  const node = new AudioWorkletNode(context, "gradsound", options);
  node.connect(context.destination);
  let begun;
  context.suspend(0).then(async () => {
    const buffer = Uint8Array.from(atob(notes), (c) => c.charCodeAt(0)).buffer;
    node.port.postMessage({ events: buffer });
    await new Promise((resolve) => setTimeout(resolve, 200)); // until they are there
    begun = performance.now();
    context.resume();
  });
  const made = await context.startRendering();
  if (!made.getChannelData(0).some((sample) => sample !== 0)) throw new Error("silence");
  return performance.now() - begun;
}"""
FAST = 0.02  # seconds from step to step: faster than the ear can follow


@contextmanager
def feeding(layers: int, preset: gradsound.Preset) -> Iterator[tuple[RunWriter, Player]]:
    """A page, and the file that it plays."""
    path = Path(fresh())
    names = tuple(f"layer{k}" for k in range(layers))
    header = Header(layers=names, parameters=(1,) * layers, start="")
    writer = RunWriter(path, header, 1)
    player = PageSink().begin(path, writer.readings[0].fileno(), preset)
    yield writer, player
    print(player.close(), end="")
    writer.close()


def delays(seconds: float) -> None:
    """Prints milliseconds from step to sound, of steps at random moments."""
    server = SoundServer()
    os.environ.update(server.environment)
    with ExitStack() as stack:
        stack.callback(server.remove)
        writer, player = stack.enter_context(feeding(1, SHORT))
        page = stack.enter_context(chromium()).new_page()
        page.goto(player.url)
        page.click("#listen")
        page.wait_for_selector("body[data-state=listening]")
        monitor, begun = Monitor(server, 1), []
        for number in range(round((SETTLES + seconds) / 0.2)):
            time.sleep(random.uniform(0.15, 0.25))
            begun.append(time.monotonic())
            tell(writer, player, number)
        monitor.end()
    found = late(begun[round(SETTLES / 0.2) :], monitor.onsets)
    p50, p99 = np.percentile(found, [50, 99])
    print(f"  {len(found)} steps: p50 {p50:.0f} ms, p99 {p99:.0f} ms")


def traffic(seconds: float) -> None:
    """Prints what a page is sent, at more steps a second than can be followed."""
    from helpers.pages import Page

    chance = np.random.default_rng(0)
    for preset in ("notes", "scan", "ambient", "alarms"):
        with feeding(LAYERS, PRESETS[preset]) as (writer, player):
            page, sent = Page(player.url), {"notes": 0, "picture": 0, "words": 0}
            begun = time.monotonic()
            number = 0
            while (passed := time.monotonic() - begun) < seconds:
                norms = chance.lognormal(size=LAYERS).astype(np.float32)
                writer.write([Step(number, passed, norms, np.zeros(LAYERS, bool))])
                player.ring()
                number += 1
                time.sleep(FAST)
                for message in page.waiting():
                    sent[kind(message)] += len(message)
        each = ", ".join(f"{name} {size / passed / 1e3:.1f}" for name, size in sent.items())
        print(f"  {preset:8} {sum(sent.values()) / passed / 1e3:5.1f} kB/s ({each})")


def kind(message: str | bytes) -> str:
    """What a message is for."""
    if isinstance(message, str):
        return "words"
    return "notes" if message[0] == 1 else "picture"


def hear(url: str, count: int, ready: object) -> None:
    """So many listeners that take all and do nothing with it, in a process of their own."""
    import select

    from helpers.pages import Page

    pages = {
        page.socket.socket.fileno(): page for page in (Page(url) for _ in range(count))
    }
    ready.set()
    while True:
        for descriptor in select.select([*pages], [], [])[0]:
            for _ in pages[descriptor].waiting():
                pass


@contextmanager
def listened(load: Load, count: int | None) -> Iterator[gradsound.Attachment | None]:
    """A training with a page and so many listeners; without one, if None."""
    if count is None:
        yield None
        return
    context = multiprocessing.get_context("spawn")
    with gradsound.listen(
        load.model, load.optimizer, log=fresh(), preset=SHORT, web=True
    ) as attachment:
        ready = context.Event()
        process = context.Process(target=hear, args=(attachment.url, count, ready))
        process.start()
        ready.wait()
        yield attachment
        process.kill()
        process.join()


def listeners(rounds: int) -> None:
    """Prints what a step takes against a bare one, and the processor's time of the page."""
    load = Load(nasty=False)
    cases = {"bare": None, "bare again (control)": None, "no listener": 0, "ten": 10}
    taken: dict[str, list[float]] = {case: [] for case in cases}
    spent: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case in random.sample([*cases], len(cases)):
            with listened(load, cases[case]) as attachment:
                load.turn(lambda: None, 0.5)
                before = processor(attachment)
                taken[case].append(load.turn(lambda: None, TURN))
                spent[case].append((processor(attachment) - before) / TURN)
    print(f"  a bare step takes {statistics.median(taken['bare']) * 1e3:.1f} ms")
    for case in [*cases][1:]:
        ratio = statistics.median(a / b for a, b in zip(taken[case], taken["bare"]))
        share = statistics.median(spent[case])
        print(f"  {case:22} {ratio:6.3f} x, the page takes {share:6.1%} of a core")


def processor(attachment: gradsound.Attachment | None) -> float:
    """Seconds that the process of the page has had a core."""
    if attachment is None:
        return 0.0
    pid = attachment._recorder.player._process._process.pid
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def voices() -> None:
    """Prints how long a browser takes for each of our voices."""
    programs = [find_voice(name) for name in VOICES]
    address = Address()
    ended = threading.Event()

    async def wait() -> None:
        await asyncio.to_thread(ended.wait)

    async def serve() -> None:
        files = {"voices.js": module(programs)}
        server = Server(None, address.token, files, elsewhere=False)
        await server.serve(address.listening, wait())

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    with chromium() as browser:
        page = browser.new_page()
        page.goto(address.url)
        for number, program in enumerate(programs):
            notes = base64.b64encode(together(number)).decode()
            taken = min(page.evaluate(RENDER, [notes, LASTING]) for _ in range(5))
            print(f"  {program.name:8} {1e6 * taken / LASTING / NOTES:5.0f} ns", flush=True)
    ended.set()
    thread.join()


def together(voice: int) -> bytes:
    """Some notes at once, from beginning to end."""
    made = np.zeros(NOTES, EVENT)
    made["count"], made["fade"], made["gain"], made["pan"] = LASTING, 100, 0.1, 0.7
    made["step"] = np.arange(1, NOTES + 1) * 220.0 / RATE * 2**32
    which, line = np.full(NOTES, voice), np.full(NOTES, -1)
    return events(made, which, line, 0, 0, None)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description="What listening in a browser costs.")
    parts = ["delays", "traffic", "listeners", "voices"]
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(parts))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    wanted = arguments.parts or parts
    if unknown := {*wanted} - {*parts}:
        parser.error(f"no part {', '.join(unknown)}; there are: {', '.join(parts)}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads"
    )
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
            print("\nA browser's time for a sample of a note")
            voices()
        os.chdir("/")


if __name__ == "__main__":
    main()
