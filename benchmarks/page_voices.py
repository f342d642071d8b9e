"""The part of web.py that times how a browser renders each built-in voice.

The page renders it by JavaScript. A worklet that does the same work by a WebAssembly module
shows what that would gain.
"""

from __future__ import annotations

import asyncio
import base64
import random
import statistics
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.events import EVENT
from gradsound.synth.kernels.javascript import to_javascript
from gradsound.synth.kernels.native_code import compile_program
from gradsound.synth.voices.builtin import VOICES, find_voice
from gradsound.web.messages import encode_events
from gradsound.web.page_address import PageAddress
from gradsound.web.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.browser import chromium
from helpers.sound_server import RATE

NOTES, NOTE_FRAMES = 4, 30 * RATE  # simultaneous notes, and their length
ROUNDS = 7
CASES = ("JavaScript", "JavaScript again (control)", "WebAssembly")
# Returns the milliseconds in which the page's worklet renders notes.
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

# A worklet that renders events by a module, and limits the sum as the page does.
WASM_WORKLET = """
import { limit } from "./limiter.js";

const OUT = 65536, STRIDE = 128 + 16;

registerProcessor("wasm", class extends AudioWorkletProcessor {
  #start = 0;
  #render;
  #count;
  #rows;

  constructor({ processorOptions: { code, events } }) {
    super();
    const memory = new WebAssembly.Memory({ initial: 2 });
    new Uint8Array(memory.buffer).set(new Uint8Array(events));
    this.#rows = new Float32Array(memory.buffer, OUT, 2 * STRIDE);
    this.#count = BigInt(events.byteLength / 72);
    const module = new WebAssembly.Module(code);
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
    this.#render = Object.entries(exports).find(([name]) => name.endsWith("_stereo"))[1];
  }

  process(_, [channels]) {
    const rows = this.#rows.fill(0);
    const start = BigInt(this.#start);
    const period = 1 / sampleRate;
    this.#render(OUT, BigInt(STRIDE), 128n, start, period, this.#count, 0);
    for (let channel = 0; channel < 2; channel += 1) {
      const samples = channels[channel];
      for (let k = 0; k < 128; k += 1) samples[k] = limit(rows[channel * STRIDE + k]);
    }
    this.#start += 128;
    return true;
  }
});
"""
RENDER_WASM = """async ([module, notes, frames]) => {
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
  const context = new OfflineAudioContext(2, frames, 44100);
  await context.audioWorklet.addModule("wasm_worklet.js");
  const processorOptions = { code: bytes(module), events: bytes(notes) };
  const options = { numberOfInputs: 0, outputChannelCount: [2], processorOptions };
  new AudioWorkletNode(context, "wasm", options).connect(context.destination);
  let begin;
  context.suspend(0).then(async () => {
    await new Promise((resolve) => setTimeout(resolve, 200)); // it compiles the module
    begin = performance.now();
    context.resume();
  });
  const sound = await context.startRendering();
  if (!sound.getChannelData(0).some((sample) => sample !== 0)) throw new Error("silence");
  return performance.now() - begin;
}"""


def print_voices() -> None:
    """Prints how long a browser takes to render each built-in voice."""
    programs = [find_voice(name) for name in VOICES]
    address = PageAddress()
    ended = threading.Event()

    async def wait() -> None:
        await asyncio.to_thread(ended.wait)

    async def serve() -> None:
        files = {"voices.js": to_javascript(programs), "wasm_worklet.js": WASM_WORKLET}
        server = Server(None, address.token, files, is_public=False)
        await server.serve(address.socket, wait())

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    with chromium() as browser:
        page = browser.new_page(bypass_csp=True)  # which forbids to compile modules
        page.goto(address.url)
        for number, program in enumerate(programs):
            notes = simultaneous_notes()
            sent = encoded(encode_events(notes, *voices_and_tracks(number), 0, 0, None))
            code = encoded(compile_program(program, "wasm32"))
            calls = {case: (RENDER, [sent, NOTE_FRAMES]) for case in CASES[:2]}
            calls[CASES[2]] = (RENDER_WASM, [code, encoded(notes.tobytes()), NOTE_FRAMES])
            print_ratios(program.name, calls, page.evaluate)
    ended.set()
    thread.join()


def print_ratios(
    name: str,
    calls: dict[str, tuple[str, list[object]]],
    evaluate: Callable[[str, list[object]], float],
) -> None:
    """Prints the least time of each case for a sample, and the first one's in its terms."""
    times: dict[str, list[float]] = {case: [] for case in calls}
    for _ in range(ROUNDS):
        for case in random.sample([*calls], len(calls)):
            times[case].append(1e6 * evaluate(*calls[case]) / NOTE_FRAMES / NOTES)
    first, control, module = times.values()
    ratios = [
        statistics.median(a / b for a, b in zip(first, others))
        for others in (control, module)
    ]
    print(
        f"  {name:8} {min(first):5.0f} ns   control {ratios[0]:4.2f} x"
        f"   WebAssembly {min(module):5.1f} ns, {ratios[1]:4.1f} x as fast",
        flush=True,
    )


def encoded(data: bytes) -> str:
    """Returns bytes as text, for a browser's atob."""
    return base64.b64encode(data).decode()


def simultaneous_notes() -> NDArray[np.void]:
    """Returns events that sound at the same time."""
    events = np.zeros(NOTES, EVENT)
    events["count"], events["fade"] = NOTE_FRAMES, 100
    events["gain"], events["pan"] = 0.1, 0.7
    events["increment"] = np.arange(1, NOTES + 1) * 220.0 / RATE * 2**32
    return events


def voices_and_tracks(voice: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the voice of each note, and its track, which is none."""
    return np.full(NOTES, voice), np.full(NOTES, -1)
