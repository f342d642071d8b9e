"""The line at the bottom of the terminal: a command's progress, or the step that plays."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

from gradsound.cli.output import escape_unprintable

if TYPE_CHECKING:
    from typing import TextIO

_COLUMNS = 80  # characters; the width of a terminal that reports none


class StatusLine:
    """A line on standard error that the command erases at its end.

    Warnings are printed above it. The line overwrites itself with spaces and backspaces
    instead of escape codes, so every terminal shows it. Several threads may use it.

    Attributes:
        visible: Whether standard error is a terminal; if not, the line is never printed.
    """

    def __init__(self) -> None:
        self.visible = sys.stderr.isatty()
        self._text, self._lock = "", threading.Lock()
        self._showwarning = warnings.showwarning

    def __enter__(self) -> StatusLine:
        if self.visible:
            warnings.showwarning = self._print_warning
        return self

    def __exit__(self, *_: object) -> None:
        if self.visible:
            warnings.showwarning = self._showwarning
        with self._lock:
            self._write("")

    def show(self, *texts: str) -> None:
        """Replaces the line by the first text that fits the terminal, or cuts the last."""
        if self.visible and _in_foreground():
            width = _columns() - 1
            text = next((one for one in texts if len(one) <= width), texts[-1])
            with self._lock:
                self._write(text[:width])

    def print_above(self, text: str) -> None:
        """Prints a line that stays, with or without a terminal."""
        with self._lock:
            line = self._text
            self._write("")
            with suppress(OSError):  # a closed standard error must not end the command
                sys.stderr.write(f"{escape_unprintable(text)}\n")
                sys.stderr.flush()
            self._write(line)

    def _write(self, text: str) -> None:
        if text == self._text:
            return
        surplus = len(self._text) - len(text)
        erasure = " " * surplus + ("\b" * surplus if text else "\r")
        with suppress(OSError):
            sys.stderr.write(f"\r{text}{erasure}")
            sys.stderr.flush()
        self._text = text

    def _print_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG002 (the signature of warnings.showwarning)
        line: str | None = None,
    ) -> None:
        text = warnings.formatwarning(message, category, filename, lineno, line)
        self.print_above(text.rstrip())


def _in_foreground() -> bool:
    """Returns whether the terminal is ours; a shell may have moved us to the background."""
    try:
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except (AttributeError, OSError):  # not POSIX, or a terminal without a shell
        return True


def _columns() -> int:
    with suppress(OSError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    return _COLUMNS
