"""The line at the bottom of a terminal: it fits any width."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Callable, Iterator

import pytest

from gradsound.cli.keyboard import status_texts
from gradsound.cli.status_line import StatusLine


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Returns a function that shows texts in a terminal of some width."""
    terminal, program = pty.openpty()

    def show(columns: int, *texts: str) -> str:
        fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        monkeypatch.setattr(sys, "stderr", stream)  # here: pytest sets its own before
        StatusLine().show(*texts)
        return os.read(terminal, 4096).decode().strip()

    with open(program, "w", encoding="utf-8") as stream:  # noqa: PTH123 (a descriptor)
        yield show
        monkeypatch.undo()
    os.close(terminal)


@pytest.mark.parametrize("number", [-1, 7, 13_912, 123_456_789])
@pytest.mark.parametrize(("volume", "muted"), [(1.0, False), (0.004, False), (1.0, True)])
@pytest.mark.parametrize("columns", [20, 30, 40, 41, 80, 200])
def test_all_keys_are_shown(
    shown: Callable[..., str], columns: int, number: int, volume: float, muted: bool
) -> None:
    """Each key is in the line; from 40 columns on, so are the step and the volume."""
    texts = status_texts(number, volume, muted=muted, keys=True)
    text = shown(columns, *texts)

    assert len(text) < columns
    for key in ("+ ", "- ", "m", "q"):
        assert key in text
    if columns >= 40:
        assert text.startswith("waiting" if number < 0 else f"step {number:,}")
        assert ("muted" if muted else f"volume {volume:.0%}") in text
    if columns >= 80:
        assert text.endswith("+ louder  - softer  m mute  q quit")


def test_without_a_keyboard_there_are_no_keys(shown: Callable[..., str]) -> None:
    """The state alone is cut to the width."""
    texts = status_texts(7, 1.0, muted=False, keys=False)

    assert shown(80, *texts) == "step 7  volume 100%"
    assert shown(10, *texts) == "step 7  v"
