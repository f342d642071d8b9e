"""A file or pipe that a run is read from by a thread, and that may grow meanwhile."""

from __future__ import annotations

import io
import os
import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gradsound.open_run import open_run
from gradsound.runs.reader import lines, parse, refuse_norms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gradsound.runs.model import Run

_POLL_SECONDS = 0.05  # seconds between looks at what grows


class RunSource(io.RawIOBase):
    """A file that one thread reads, and that ends when another closes it.

    A thread that waits in a file of Python's own would keep the program from ending.

    Args:
        path: Of the file; ``-`` is standard input. It may be a log of another tool, too.
        norms: Globs over the names in such a log, for `gradsound.read_run`.

    Attributes:
        name: What to call it.
        piped: Whether it is standard input.
        at_end: Called, by the thread that reads, whenever there is no more at present.

    Raises:
        OSError: If it cannot be read.
        RunFormatError: If it is a folder that has several logs.
        ValueError: If norms are given for a run file, which says itself what they are.
    """

    def __init__(self, path: Path, norms: Sequence[str] | None = None) -> None:
        from gradsound.logs.detect import find  # of which a player has no need

        self._path, self._norms = path, norms
        self.piped = str(path) == "-"
        self.name = "standard input" if self.piped else str(path)
        self._logged = not self.piped and find(path) is not None
        if not self._logged:
            refuse_norms(self.name, norms)
        opened = 0 if self.piped else os.devnull if self._logged else path
        self._file = open(  # noqa: SIM115 (closed with this)
            opened, "rb", buffering=0, closefd=not self.piped
        )
        self._over = False
        self.at_end: Callable[[], object] = lambda: None

    def readable(self) -> bool:
        """As any file's."""
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        """As any file's; 0 once it is closed."""
        with suppress(ValueError):  # closed meanwhile
            if not select.select([self._file], [], [], 0)[0]:
                self.at_end()
            while not self._over:
                if select.select([self._file], [], [], _POLL_SECONDS)[0]:
                    return self._file.readinto(buffer)
        return 0

    def close(self) -> None:
        """Ends it, for whoever reads too."""
        self._over = True
        with suppress(AttributeError):  # it could not be opened; Python closes it anyway
            self._file.close()
        super().close()

    def run(self, *, growing: bool) -> Run:
        """The run in it; one that grows has no end before this is closed.

        Raises:
            RunFormatError: If it is no run.
            ValueError: If it is to grow, and a log of another tool.
        """
        if self._logged:
            if growing:
                raise ValueError(f"{self.name}: a log of another tool cannot be followed")
            return open_run(self._path, norms=self._norms)
        file = io.BufferedReader(self)
        return parse(self.name, lines(file, self._more) if growing else lines(file))

    def _more(self) -> bool:
        self.at_end()
        time.sleep(_POLL_SECONDS)
        return not self._over
