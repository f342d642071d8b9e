"""Processes that a test starts: runs them, waits for a condition, lists those running."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = "GRADSOUND_TEST"  # environment variable that marks every process of a test


@contextmanager
def started(*args, **kwargs) -> Iterator[subprocess.Popen]:
    """Starts a process as `subprocess.Popen` does, and kills it if the test fails.

    `subprocess.Popen` as a context waits for the end of the process, so that a failure in
    the context of an endless one would never come out.
    """
    with subprocess.Popen(*args, **kwargs) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def until(condition: Callable[[], object], otherwise: str, seconds: float = 15) -> None:
    """Waits until a condition holds; fails with a message after some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


def processes(name: str = "gradsound") -> list[int]:
    """Returns the running processes of this test whose command line contains a name."""
    pids = []
    mark = f"{MARK}={os.environ[MARK]}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            has_mark = mark in (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if has_mark and name in command and int(folder.name) != os.getpid():
            pids.append(int(folder.name))
    return pids


def zombies() -> list[int]:
    """Returns the children of this process that ended and that it has not waited for."""
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            _, rest = (folder / "stat").read_text().rsplit(")", 1)
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if state == "Z" and int(parent) == os.getpid():
            pids.append(int(folder.name))
    return pids
