"""Pages of one file in a browser: what they play, frame by frame, and their modules."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from helpers.browser import expect_state

from gradsound import web
from gradsound.web.module_bundle import bundle

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDERS = [Path(web.__file__).with_name(name) for name in ("one_file", "page")]
# Keeps every block that the synthesizer of a page makes, before volume and mute.
TAP = r"""
window.blocks = [];
const code = `registerProcessor("tap", class extends AudioWorkletProcessor {
  process([channels]) {
    if (channels.length) this.port.postMessage(channels.map((one) => one.slice()));
    return true;
  }
});`;
const add = AudioWorklet.prototype.addModule;
AudioWorklet.prototype.addModule = async function (address) {
  const tap = `data:text/javascript,${encodeURIComponent(code)}`;
  if (!this.tapped) await add.call(this, tap);
  this.tapped = true;
  return add.call(this, address);
};
const Plain = AudioWorkletNode;
window.AudioWorkletNode = class extends Plain {
  constructor(context, name, options) {
    super(context, name, options);
    const stereo = { channelCount: 2, channelCountMode: "explicit" };
    const tap = new Plain(context, "tap", stereo);
    this.connect(tap).connect(context.destination);
    tap.port.onmessage = ({ data }) => blocks.push(data);
  }
};
"""
READ = """() => [0, 1].map((channel) => {
  const all = new Float32Array(128 * blocks.length);
  blocks.forEach((block, k) => all.set(block[channel], 128 * k));
  const bytes = new Uint8Array(all.buffer);
  let text = "";
  for (let k = 0; k < bytes.length; k += 8192) {
    text += String.fromCharCode(...bytes.subarray(k, k + 8192));
  }
  return btoa(text);
})"""


@contextmanager
def tapped_page(browser: Browser, path: Path) -> Iterator[Page]:
    """Opens a page of one file whose blocks `played` returns; it must log nothing."""
    context = browser.new_context()
    page, lines = context.new_page(), []
    page.on("console", lambda message: lines.append(message.text))
    page.on("pageerror", lambda error: lines.append(str(error)))
    page.add_init_script(TAP)
    page.goto(path.absolute().as_uri())
    expect_state(page, "waiting")
    yield page
    context.close()
    assert not lines


def played(page: Page) -> np.ndarray:
    """Waits for the end of the run; returns all that the page has played, shape (N, 2)."""
    expect_state(page, "over")
    page.wait_for_timeout(100)  # until the last blocks have come
    channels = page.evaluate(READ)
    return np.stack(
        [np.frombuffer(base64.b64decode(one), np.float32) for one in channels], axis=1
    )


def call_module(page: Page, name: str, code: str, argument: object = None) -> object:
    """Returns what a function returns to which the exports of a module are given.

    Args:
        page: Any page.
        name: File name of the module.
        code: The function, of the exports and the argument.
        argument: Fit for JSON.
    """
    script = f"(() => {{ {bundle(name, FOLDERS)} return {name.replace('.', '_')}; }})()"
    return page.evaluate(f"({code})({script}, {json.dumps(argument)})")
