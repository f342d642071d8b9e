"""The file or pipe from which a thread reads a run that may still grow."""

from __future__ import annotations

import io
import os
import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gradsound.chosen_run import choose_run
from gradsound.open_run import open_run
from gradsound.runs.compressed_file import is_compressed
from gradsound.runs.lines import read_lines
from gradsound.runs.reader import find_restarts, parse_run, refuse_norms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gradsound.runs.model import Run

_POLL_SECONDS = 0.05  # between polls of a file or pipe that may have grown


class RunSource(io.RawIOBase):
    """A file that one thread reads until another thread closes it.

    Python waits at exit for a thread that blocks in one of its own files; this class
    polls, so such a thread ends within 0.05 s of `close`.

    Args:
        path: A run file, or the log of another tool; ``-`` for standard input.
        norms: Globs over the names in such a log, for `gradsound.read_run`.

    Attributes:
        name: Name of the source in messages.
        is_stdin: Whether the source is standard input.
        on_idle: Called by the reader thread whenever it has read all data so far.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If the path is a folder with several logs.
        ValueError: If norms are given for a run file, which names its own norms; or the
            file is compressed.

    Example:
        >>> import gradsound, torch
        >>> from pathlib import Path
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with gradsound.attach(model, optimizer, log="source.jsonl"):
        ...     model(torch.ones(2)).sum().backward()
        ...     optimizer.step()
        >>> with RunSource(Path("source.jsonl")) as source:
        ...     len([*source.run(growing=False).steps])
        1
    """

    def __init__(self, path: Path, norms: Sequence[str] | None = None) -> None:
        # Here, not at the top: the process that plays a training reads no logs.
        from gradsound.logs.detect import find_log

        path, *others = (path,) if str(path) == "-" else choose_run(path)
        if others:
            raise ValueError(
                f"{path}: is one of {len(others) + 1} ranks, and one file plays at a time: "
                "give that of one rank, or all to 'gradsound serve' or 'gradsound render'"
            )
        self._path, self._norms = path, norms
        self.is_stdin = str(path) == "-"
        self.name = "standard input" if self.is_stdin else str(path)
        if not self.is_stdin and is_compressed(path):
            raise ValueError(f"{path}: a compressed run is finished; leave out --follow")
        self._is_log = not self.is_stdin and find_log(path) is not None
        if not self._is_log:
            refuse_norms(self.name, norms)
        opened = 0 if self.is_stdin else os.devnull if self._is_log else path
        self._file = open(  # noqa: SIM115 (close() closes it)
            opened, "rb", buffering=0, closefd=not self.is_stdin
        )
        self._closing = False
        self.on_idle: Callable[[], object] = lambda: None

    def readable(self) -> bool:
        """Returns True, as `io.RawIOBase` asks of a file to read."""
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        """Reads into a buffer and returns the number of bytes; 0 once it is closed."""
        with suppress(ValueError):  # another thread has closed the file
            if not select.select([self._file], [], [], 0)[0]:
                self.on_idle()
            while not self._closing:
                if select.select([self._file], [], [], _POLL_SECONDS)[0]:
                    return self._file.readinto(buffer)
        return 0

    def close(self) -> None:
        """Closes the file and ends the reader thread's run."""
        self._closing = True
        with suppress(AttributeError):  # open() failed; Python closes the object anyway
            self._file.close()
        super().close()

    def run(self, *, growing: bool) -> Run:
        """Returns the run in the file.

        Args:
            growing: Whether to wait for more steps at the end of the file until `close`.

        Raises:
            RunFormatError: If the file holds no run.
            ValueError: If a log of another tool is to grow.
        """
        if self._is_log:
            if growing:
                raise ValueError(f"{self.name}: a log of another tool cannot be followed")
            return open_run(self._path, norms=self._norms)
        file = io.BufferedReader(self)
        lines = read_lines(file, self._wait) if growing else read_lines(file)
        restarts = []
        if not self.is_stdin:
            with self._path.open("rb") as ahead:
                restarts = find_restarts(self.name, ahead)
        return parse_run(self.name, lines, restarts)

    def _wait(self) -> bool:
        self.on_idle()
        time.sleep(_POLL_SECONDS)
        return not self._closing
