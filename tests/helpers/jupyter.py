"""A JupyterLab for tests, and its notebooks in a browser."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from helpers.page_files import TAP
from helpers.pages import get

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FrameLocator, Locator

_START_SECONDS = 60.0
_CELL_MS = 60_000  # in which a cell must end; the first one imports torch
_SIZE = {"width": 1100, "height": 1500}
# The example of all tests: a model of two layers, and a loop over it.
LISTEN = """
import pathlib, time, torch, gradsound
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
def train(steps, seconds):
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(2, 3)).square().mean().backward()
        optimizer.step()
        time.sleep(seconds)
def wait_for_file():
    while not pathlib.Path(LOG + ".go").exists():
        time.sleep(0.05)
run = gradsound.listen(model, optimizer, web="notebook", log=LOG)
"""


class Lab:
    """A JupyterLab server with a folder of its own.

    Attributes:
        folder: The folder of the notebooks.
        url: Its address.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        names = ("CONFIG", "DATA", "RUNTIME")
        own = {f"JUPYTER_{name}_DIR": str(folder / f".{name}") for name in names}
        root = str(Path(__file__).parents[2])
        paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        options = {
            "ServerApp.port": port,
            "ServerApp.root_dir": folder,
            "ServerApp.disable_check_xsrf": True,
            "IdentityProvider.token": "",
            "LabApp.expose_app_in_browser": True,
        }
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *(f"--{name}={value}" for name, value in options.items()),
            ],
            env=os.environ | own | {"IPYTHONDIR": str(folder / ".i"), "PYTHONPATH": paths},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert time.monotonic() < end, "JupyterLab does not start"
            assert self._process.poll() is None, "JupyterLab has ended"
            time.sleep(0.05)

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.request("GET", "status") is not None
        return False

    def request(self, method: str, path: str) -> object:
        """Requests something of the server; returns what it answers."""
        return json.loads(get(self.url, f"/api/{path}", method)[1] or "null")

    def stop(self) -> None:
        """Ends the server and its kernels."""
        self._process.terminate()
        self._process.wait(30)

    @contextmanager
    def notebook(
        self, browser: Browser, *cells: str, recorded: bool = True
    ) -> Iterator[Notebook]:
        """Opens a new notebook; ends its kernel afterwards."""
        path = self.folder / f"{len([*self.folder.glob('*.ipynb')])}.ipynb"
        _write(path, [cell.replace("LOG", repr(f"{path.stem}.jsonl")) for cell in cells])
        with self.reading(browser, path.name, recorded=recorded) as notebook:
            yield notebook

    @contextmanager
    def reading(
        self, browser: Browser, name: str, *, recorded: bool = True
    ) -> Iterator[Notebook]:
        """Opens a notebook of the folder; ends its kernel afterwards.

        Args:
            browser: The browser.
            name: Name of the notebook's file.
            recorded: Whether the tab keeps all samples that it plays, for `READ`.
        """
        context = browser.new_context(viewport=_SIZE)
        if recorded:
            context.add_init_script(TAP)
        notebook = Notebook(self, self.folder / name, context.new_page())
        try:
            notebook.open()
            yield notebook
        finally:
            context.close()
            for kernel in self.request("GET", "kernels"):
                self.request("DELETE", f"kernels/{kernel['id']}")


class Notebook:
    """A notebook in a browser.

    Attributes:
        path: Its file.
        page: The page of JupyterLab that shows it.
    """

    def __init__(self, lab: Lab, path: Path, page: object) -> None:
        self._lab, self.path, self.page = lab, path, page

    def open(self) -> None:
        """Opens the notebook, and waits until its kernel answers."""
        self.page.goto(f"{self._lab.url}/lab/tree/{self.path.name}?reset")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=_CELL_MS)
        self.page.evaluate(_READY)

    @property
    def status(self) -> str:
        """Whether the kernel is idle or busy."""
        return self.page.locator(_INDICATOR).get_attribute("data-status")

    def wait_until_idle(self) -> None:
        """Waits until the kernel is idle."""
        self.page.wait_for_selector(f"{_INDICATOR}[data-status=idle]", timeout=_CELL_MS)

    def cell(self, index: int) -> Locator:
        """Returns a cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def player(self, index: int) -> FrameLocator:
        """Returns the page in the output of a cell."""
        return self.cell(index).frame_locator("iframe")

    def start(self, index: int) -> None:
        """Runs a cell, and does not wait for it."""
        self.page.evaluate(f"(index) => {{ (() => {_RUN})(); }}", index)

    def run(self, index: int) -> None:
        """Runs a cell to its end."""
        self.page.evaluate(f"(index) => {_RUN}", index)

    def interrupt(self) -> None:
        """Interrupts the cell that runs."""
        kernel = self._lab.request("GET", "kernels")[0]["id"]
        self._lab.request("POST", f"kernels/{kernel}/interrupt")

    def let_go_on(self) -> None:
        """Ends the wait of a cell."""
        self.path.with_suffix(".jsonl.go").touch()
        self.wait_until_idle()

    def save(self) -> None:
        """Saves the notebook."""
        before = self.path.stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        end = time.monotonic() + 10
        while self.path.stat().st_mtime_ns == before:
            assert time.monotonic() < end, "the notebook is not saved"
            self.page.wait_for_timeout(50)


_INDICATOR = ".jp-Notebook-ExecutionIndicator"
_PANEL = "jupyterapp.shell.currentWidget"
_READY = f"""async () => {{
  await jupyterapp.restored;
  await {_PANEL}.context.ready;
  await {_PANEL}.sessionContext.ready;
  await {_PANEL}.sessionContext.session.kernel.info;
}}"""
_RUN = f"""{{
  {_PANEL}.content.activeCellIndex = index;
  return jupyterapp.commands.execute("notebook:run-cell");
}}"""


def _write(path: Path, cells: list[str]) -> None:
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"cell{index}",
                "metadata": {},
                "outputs": [],
                "source": cell.strip(),
            }
            for index, cell in enumerate(cells)
        ],
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(content))


@contextmanager
def jupyter_lab(folder: Path) -> Iterator[Lab]:
    """Starts a JupyterLab; skips the test if it or anywidget is not installed."""
    for package in ("jupyterlab", "ipykernel", "anywidget"):
        pytest.importorskip(package, reason=f"needs {package}")
    lab = Lab(folder)
    yield lab
    lab.stop()
