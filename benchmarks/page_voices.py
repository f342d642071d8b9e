"""The part of web.py that times how a browser renders each built-in voice.

The page renders it by a WebAssembly module; where there is none, by JavaScript. Node.js
times the kernel alone, without the audio context.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.events import EVENT
from gradsound.synth.kernels.javascript import to_javascript
from gradsound.synth.kernels.page_voices import to_page_voices
from gradsound.synth.voices.builtin import VOICES, find_voice
from gradsound.web import messages
from gradsound.web.page_address import PageAddress
from gradsound.web.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.synth.voices.program import Program

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.browser import chromium
from helpers.sound_server import RATE

NOTES, NOTE_FRAMES = 4, 10 * RATE  # simultaneous notes, and their length
ROUNDS, KERNEL_ROUNDS = 5, 15
# By the case: the file with the voices.
CASES = {"module": "voices.js", "control": "voices.js", "JavaScript": "javascript.js"}
# Returns the milliseconds in which the page's worklet renders notes.
RENDER = """async ([voices, notes, frames]) => {
  const context = new OfflineAudioContext(2, frames, 44100);
  await context.audioWorklet.addModule("worklet.js");
  await context.audioWorklet.addModule(voices);
  const processorOptions = { live: true };
  const options = { numberOfInputs: 0, outputChannelCount: [2], processorOptions };
  const node = new AudioWorkletNode(context, "gradsound", options);
  node.connect(context.destination);
  let begin;
  context.suspend(0).then(async () => {
    const buffer = Uint8Array.from(atob(notes), (c) => c.charCodeAt(0)).buffer;
    node.port.postMessage({ events: buffer });
    await new Promise((resolve) => setTimeout(resolve, 500)); // until the worklet has them
    begin = performance.now();
    context.resume();
  });
  const sound = await context.startRendering();
  if (!sound.getChannelData(0).some((sample) => sample !== 0)) throw new Error("silence");
  return performance.now() - begin;
}"""

# Prints, by case and round, the nanoseconds of processor time in which a kernel renders a
# sample of a note. Waiting for a busy machine is no processor time.
KERNEL = """
globalThis.sampleRate = 44100;
const [number, rounds] = process.argv.slice(2).map(Number);
const { QUANTUM, Voice } = await import("./kernel.js");
const { compileKernels } = await import("./wasm_kernel.js");
await import("./voices.js");
const kernel = compileKernels(globalThis.gradsoundModule, QUANTUM)[number];
const BLOCKS = 2000;
const pairs = { gain: [0.1, 0.1], pan: [0.5, 0.5], controls: Array(6).fill(0) };
const event = { first: 0, count: 2 ** 24, track: -1, phase: 0, glide: 0, fade: 100 };
const increments = [1, 2, 3, 4].map((k) => Math.floor(((k * 220) / 44100) * 2 ** 32));
const channels = [new Float32Array(QUANTUM), new Float32Array(QUANTUM)];

const measure = (playAll) => {
  const voice = new Voice(globalThis.gradsoundVoices[number], playAll);
  voice.add(increments.map((increment, slot) => ({ ...event, ...pairs, slot, increment })));
  const begin = process.cpuUsage();
  for (let k = 0; k < BLOCKS; k += 1) {
    for (const samples of channels) samples.fill(0);
    voice.play(channels, k * QUANTUM, []);
  }
  const { user, system } = process.cpuUsage(begin);
  return (1e3 * (user + system)) / (BLOCKS * QUANTUM * increments.length);
};

const cases = { module: kernel, control: kernel, JavaScript: undefined };
const times = Object.fromEntries(Object.keys(cases).map((name) => [name, []]));
for (let round = -1; round < rounds; round += 1) {
  for (const [name, playAll] of Object.entries(cases)) {
    const time = measure(playAll);
    if (round >= 0) times[name].push(time); // the first one compiles
  }
}
console.log(JSON.stringify(times));
"""


def print_voices() -> None:
    """Prints how long a browser takes to render each built-in voice."""
    programs = [find_voice(name) for name in VOICES]
    address = PageAddress()
    ended = threading.Event()

    async def wait() -> None:
        await asyncio.to_thread(ended.wait)

    async def serve() -> None:
        files = {
            "voices.js": to_page_voices(programs),
            "javascript.js": to_javascript(programs),
        }
        server = Server(None, address.token, files, is_public=False)
        await server.serve(address.socket, wait())

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    with chromium() as browser:
        page = browser.new_page()
        for number, program in enumerate(programs):
            page.goto(address.url)  # which frees the memory of modules
            notes = base64.b64encode(simultaneous_notes(number)).decode()

            def render(case: str, notes: str = notes) -> float:
                seconds = page.evaluate(RENDER, [CASES[case], notes, NOTE_FRAMES]) / 1e3
                return 1e9 * seconds / NOTE_FRAMES / NOTES

            page_times = describe(measure(render))
            print(f"  {program.name:8} page {page_times};  kernel", end=" ", flush=True)
            print(describe(kernel_times(number, programs)), flush=True)
    ended.set()
    thread.join()


def measure(render: Callable[[str], float]) -> dict[str, list[float]]:
    """Returns the times of all cases, in rounds of random order."""
    times: dict[str, list[float]] = {case: [] for case in CASES}
    for _ in range(ROUNDS):
        for case in random.sample([*CASES], len(CASES)):
            times[case].append(render(case))
    return times


def kernel_times(number: int, programs: list[Program]) -> dict[str, list[float]]:
    """Returns the times of the kernel alone for one of the programs, by Node.js."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("kernel.js", "wasm_kernel.js"):
            shutil.copy(Path(messages.__file__).with_name("page") / file, folder)
        (folder / "voices.js").write_text(to_page_voices(programs))
        (folder / "main.js").write_text(KERNEL)
        (folder / "package.json").write_text('{"type": "module"}')
        command = ["node", folder / "main.js", str(number), str(KERNEL_ROUNDS)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    times: dict[str, list[float]] = json.loads(output)
    return times


def describe(times: dict[str, list[float]]) -> str:
    """Returns the least nanoseconds of a sample, and the ratios of other cases to it."""
    control, javascript = (
        statistics.median(a / b for a, b in zip(times[case], times["module"]))
        for case in ("control", "JavaScript")
    )
    least = min(times["module"])
    return f"{least:5.1f} ns, control {control:4.2f} x, JavaScript {javascript:4.1f} x"


def simultaneous_notes(voice: int) -> bytes:
    """Returns a message with notes that sound at the same time."""
    events = np.zeros(NOTES, EVENT)
    events["count"], events["fade"] = NOTE_FRAMES, 100
    events["gain"], events["pan"] = 0.1, 0.7
    events["increment"] = np.arange(1, NOTES + 1) * 220.0 / RATE * 2**32
    voices, tracks = np.full(NOTES, voice), np.full(NOTES, -1)
    return messages.encode_events(events, voices, tracks, 0, 0, None)
