"""Processes that tests start: waiting for them, and finding those left over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

MARK = "GRADSOUND_TEST"  # in the environment of whatever a test starts


def until(done: Callable[[], object], otherwise: str, seconds: float = 15) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


def processes(name: str = "gradsound") -> list[int]:
    """Processes of this test whose command has that in it, ended ones not."""
    found = []
    mark = f"{MARK}={os.environ[MARK]}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            ours = mark in (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if ours and name in command and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def zombies() -> list[int]:
    """Children of this process that ended and were not waited for."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            _, rest = (folder / "stat").read_text().rsplit(")", 1)
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if state == "Z" and int(parent) == os.getpid():
            found.append(int(folder.name))
    return found
