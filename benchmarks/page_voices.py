"""The part of web.py that times how a browser renders each built-in voice."""

from __future__ import annotations

import asyncio
import base64
import sys
import threading
from pathlib import Path

import numpy as np

from gradsound.synth.events import EVENT
from gradsound.synth.kernels.javascript import to_javascript
from gradsound.synth.voices.builtin import VOICES, find_voice
from gradsound.web.messages import encode_events
from gradsound.web.page_address import PageAddress
from gradsound.web.server import Server

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.browser import chromium
from helpers.sound_server import RATE

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


def print_voices() -> None:
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
