"""A line at the bottom of the terminal, which changes; nothing where there is none."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

from gradsound.cli.output import printable

if TYPE_CHECKING:
    from typing import TextIO

_COLUMNS = 80  # where a terminal does not say


class StatusLine:
    """A line on standard error, which is gone at the end; warnings are printed above it.

    It is written over by itself, or by spaces: no escape code is printed, so that any
    terminal will do. Several threads may use it.

    Attributes:
        visible: Whether there is a terminal.
    """

    def __init__(self) -> None:
        self.visible = sys.stderr.isatty()
        self._shown, self._lock = "", threading.Lock()
        self._showwarning = warnings.showwarning

    def __enter__(self) -> StatusLine:
        if self.visible:
            warnings.showwarning = self._warn
        return self

    def __exit__(self, *_: object) -> None:
        if self.visible:
            warnings.showwarning = self._showwarning
        with self._lock:
            self._write("")

    def show(self, text: str) -> None:
        """Shows a text, in place of the last."""
        if self.visible and _in_foreground():
            with self._lock:
                self._write(text[: _columns() - 1])

    def above(self, text: str) -> None:
        """Prints a line that stays, whether there is a terminal or not."""
        with self._lock:
            shown = self._shown
            self._write("")
            with suppress(OSError):  # nobody is left who could read it
                sys.stderr.write(f"{printable(text)}\n")
                sys.stderr.flush()
            self._write(shown)

    def _write(self, text: str) -> None:
        if text == self._shown:
            return
        rest = len(self._shown) - len(text)
        over = " " * rest + "\b" * rest if text else " " * rest + "\r"
        with suppress(OSError):
            sys.stderr.write(f"\r{text}{over}")
            sys.stderr.flush()
        self._shown = text

    def _warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG002 (as warnings.showwarning)
        line: str | None = None,
    ) -> None:
        told = warnings.formatwarning(message, category, filename, lineno, line)
        self.above(told.rstrip())


def _in_foreground() -> bool:
    """Whether the terminal is ours at present; a shell may have put us aside."""
    try:
        return os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp()
    except (AttributeError, OSError):  # not POSIX, or a terminal without shell
        return True


def _columns() -> int:
    with suppress(OSError):
        return os.get_terminal_size(sys.stderr.fileno()).columns or _COLUMNS
    return _COLUMNS
