"""The widget of a notebook without a notebook: its script in a page, fed by the worker."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.browser import open_page

from gradsound import web
from gradsound.music.preset_json import to_data
from gradsound.music.presets import Preset
from gradsound.workers.message_pipe import read_batches
from gradsound.workers.process import WorkerProcess

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_SCRIPT = (Path(web.__file__).parent / "notebook" / "widget.js").read_text()
# What anywidget gives to the script: a model with a state, and messages both ways.
_HOST = """
window.asked = [];
window.state = { page: "", run: [] };
const listeners = {};
window.tell = (name, ...values) => (listeners[name] ?? []).forEach((one) => one(...values));
window.model = {
  get: (name) => state[name],
  on: (name, listener) => (listeners[name] ??= []).push(listener),
  off: (name, listener) => {
    listeners[name] = listeners[name].filter((one) => one !== listener);
  },
  send: (content) => asked.push(content),
};
window.receive = (facts, buffers) => {
  if (facts.page) {
    Object.assign(state, facts);
    tell("change:page");
    return;
  }
  const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  tell("msg:custom", facts, buffers.map((text) => new DataView(bytes(text).buffer)));
};
window.show = () => {
  const element = document.body.appendChild(document.createElement("div"));
  window.hooks.render({ model, el: element });
};
null; // Playwright would call a function
"""
Batch = tuple[dict[str, Any], list[bytes]]


class Widget:
    """A widget in a page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        address = base64.b64encode(_SCRIPT.encode()).decode()
        page.evaluate(_HOST)
        page.evaluate(
            """async (address) => {
              const { default: make } = await import(address);
              window.hooks = make();
              hooks.initialize({ model });
            }""",
            f"data:text/javascript;base64,{address}",
        )

    def receive(self, batch: Batch) -> None:
        """Gives the widget a batch, as the kernel would."""
        facts, buffers = batch
        texts = [base64.b64encode(one).decode() for one in buffers]
        self.page.evaluate("([facts, texts]) => receive(facts, texts)", [facts, texts])

    def show(self) -> None:
        """Shows the widget once more."""
        self.page.evaluate("() => { show(); }")

    @property
    def asked(self) -> int:
        """How often the widget has asked the kernel for the past."""
        return self.page.evaluate("asked.length")


@contextmanager
def shown_widget(browser: Browser) -> Iterator[Widget]:
    """Opens a page with a widget; fails if it writes to the console."""
    with open_page(browser, "about:blank") as page:
        yield Widget(page)


class Worker:
    """The process that streams a run file to a notebook.

    Args:
        run: The run file.
        preset: How steps sound.
        first_step: Number of the first step to play.
    """

    def __init__(self, run: Path, preset: Preset, first_step: int = 0) -> None:
        reading, writing = os.pipe()
        job = {
            "run": str(run),
            "preset": to_data(preset),
            "first_step": first_step,
            "pipe": writing,
        }
        with run.open("rb") as file:
            self.process = WorkerProcess("serve_notebook", job, file.fileno(), writing)
        os.close(writing)
        self._pipe = os.fdopen(reading, "rb")
        self.batches = read_batches(self._pipe)

    def close(self) -> str:
        """Ends the process; returns its errors."""
        errors = self.process.close(5)
        self._pipe.close()
        return errors
