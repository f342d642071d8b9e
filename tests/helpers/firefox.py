"""A real browser for tests: the installed Firefox, driven by its own WebDriver BiDi."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

_NAMES = ("firefox-esr", "firefox")
_PREFERENCES = {  # Firefox requests nothing but what a test opens
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.enabled": False,
}
_UNTIL_SECONDS = 60.0  # its processes start slowly on a busy machine


class FirefoxTab:
    """A tab, and the lines that pages write to its console.

    Args:
        socket: The connection to Firefox.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number = socket, 0
        self.lines: list[str] = []
        self._call("session.new", capabilities={})
        self._call("session.subscribe", events=["log.entryAdded"])
        self._tab = self._call("browsingContext.create", type="tab")["context"]

    def open(self, url: str) -> None:
        """Opens a page and waits until it is loaded."""
        self._call("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def press(self, key: str) -> None:
        """Presses a key."""
        keys = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": keys}]
        self._call("input.performActions", context=self._tab, actions=actions)

    def text(self, expression: str, *, frame: bool = False) -> str:
        """Returns the value of an expression in the page, or in its only frame."""
        (tree,) = self._call("browsingContext.getTree", root=self._tab)["contexts"]
        target = tree["children"][0] if frame else tree
        answer = self._call(
            "script.evaluate",
            expression=f"String({expression})",
            target={"context": target["context"]},
            awaitPromise=True,
        )
        return answer["result"]["value"]

    def until(self, pattern: str, expression: str, *, frame: bool = False) -> None:
        """Waits until the value of an expression matches a pattern."""
        deadline = time.monotonic() + _UNTIL_SECONDS
        while not re.search(pattern, found := self.text(expression, frame=frame)):
            assert time.monotonic() < deadline, f"{expression} is {found!r}: {self.lines}"
            time.sleep(0.05)

    def _call(self, method: str, **parameters: object) -> dict:
        self._number += 1
        call = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(call))
        while True:
            message = json.loads(self._socket.recv(_UNTIL_SECONDS))
            if message.get("method") == "log.entryAdded":
                self.lines.append(message["params"]["text"])
            elif message.get("id") == self._number:
                assert message["type"] == "success", message
                return message["result"]


@contextmanager
def firefox() -> Iterator[FirefoxTab]:
    """Starts a Firefox, which plays on the sound server that the environment names.

    Skips the test if Firefox is not installed.
    """
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("Firefox is not installed")
    profile = tempfile.mkdtemp(prefix="gs-")
    lines = [
        f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in _PREFERENCES.items()
    ]
    Path(profile, "user.js").write_text("\n".join(lines))
    options = ["--headless", "--no-remote", "--profile", profile]
    log = Path(profile, "stderr.txt")  # a pipe that nobody reads would stop it when full
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [path, *options, "--remote-debugging-port", "0", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        with connect(f"{_address(log)}/session", max_size=None) as socket:
            yield FirefoxTab(socket)
    finally:
        process.terminate()
        process.wait(timeout=20)
        shutil.rmtree(profile, ignore_errors=True)


def _address(log: Path) -> str:
    """Waits until Firefox has printed where it listens."""
    deadline = time.monotonic() + _UNTIL_SECONDS
    while (found := re.search(r"ws://[\d.:]+(?=\s)", log.read_text())) is None:
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return found[0]
