"""The file or pipe from which a thread reads a run that may still grow."""

from __future__ import annotations

import io
import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from gradsound.chosen_run import choose_run
from gradsound.errors import RunFormatError
from gradsound.live.pipe_spool import PipeSpool
from gradsound.open_run import open_run
from gradsound.runs.compressed_file import is_compressed
from gradsound.runs.file_names import HEADER_BYTES, is_run, names_format
from gradsound.runs.lines import read_lines
from gradsound.runs.log_choice import NO_CHOICE, LogChoice
from gradsound.runs.run_file import find_restarts, parse_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gradsound.logs.log import Log
    from gradsound.runs.model import Run

_POLL_SECONDS = 0.05  # between polls of a file or pipe that may have grown
_DETECTION_SECONDS = 0.3  # between looks at a file that is no run yet
_READ_BYTES = 1 << 16  # of a pipe at once, at most


class RunSource(io.RawIOBase):
    """A file that one thread reads until another thread closes it.

    Python waits at exit for a thread that blocks in one of its own files; this class
    polls, so such a thread ends within 0.05 s of `close`.

    Args:
        path: A run file, or the log of another tool; ``-`` for standard input.
        choice: What to read of such a log.
        on_wait: Called with a sentence if there is no run yet.

    Attributes:
        name: Name of the source in messages.
        is_stdin: Whether the source is standard input.
        on_idle: Called by the reader thread whenever it has read all data so far.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If the path is a folder with several logs.
        ValueError: If the file is compressed, or one of several ranks.

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

    def __init__(
        self,
        path: Path,
        choice: LogChoice = NO_CHOICE,
        on_wait: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._closing = False
        self._file: io.FileIO | None = None
        self._ahead = b""  # of the pipe; read to find out what it has
        self._spool: PipeSpool | None = None  # of a pipe with a log
        path, *others = (path,) if str(path) == "-" else choose_run(path)
        if others:
            raise ValueError(
                f"{path}: is one of {len(others) + 1} ranks, and one file plays at a time: "
                "give that of one rank, or all to 'gradsound serve' or 'gradsound render'"
            )
        self._path, self._choice, self._on_wait = path, choice, on_wait
        self.is_stdin = str(path) == "-"
        self.name = "standard input" if self.is_stdin else str(path)
        if not self.is_stdin and is_compressed(path):
            raise ValueError(f"{path}: a compressed run is finished; leave out --follow")
        self.on_idle: Callable[[], object] = lambda: None

    def readable(self) -> bool:
        """Returns True, as `io.RawIOBase` asks of a file to read."""
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        """Reads into a buffer and returns the number of bytes; 0 once it is closed."""
        if self._ahead:
            count = min(len(buffer), len(self._ahead))
            buffer[:count], self._ahead = self._ahead[:count], self._ahead[count:]
            return count
        file = self._open()
        with suppress(ValueError):  # another thread has closed the file
            if self._spool is None and not select.select([file], [], [], 0)[0]:
                self.on_idle()
            while not self._closing:
                if select.select([file], [], [], _POLL_SECONDS)[0]:
                    return file.readinto(buffer)
        return 0

    def fileno(self) -> int:
        """Returns the descriptor of the file or pipe."""
        return self._open().fileno()

    def close(self) -> None:
        """Closes the file and ends the reader thread's run."""
        self._closing = True
        if self._file is not None:
            self._file.close()
        if self._spool is not None:
            self._spool.close()
        super().close()

    def run(self, *, growing: bool) -> Run:
        """Returns the run in the file; if it grows, once it has begun.

        Args:
            growing: Whether to wait for more steps at the end of the file until `close`. A
                pipe is read until it ends.

        Raises:
            OSError: If the file cannot be read.
            RunFormatError: If the file has neither a run nor a log, or a log no norm.
            ValueError: If there are choices for a run file.
        """
        if self.is_stdin or self._is_pipe():
            head = self._look_ahead()
            if not head or names_format(head):
                return self._read_run(growing=False)
            self._spool = PipeSpool(self.read)
            wait_for_pipe = self._spool.make_wait()

            def wait_for_more() -> bool:
                self.on_idle()
                return wait_for_pipe() and not self._closing

            log = self._wait_for_log(self._spool.path, wait_for_more)
            if log is None:
                raise RunFormatError(f"{self.name}: a run file begins after other text")
            return self._read_log(log, wait_for_more)
        if not growing:
            return open_run(self._path, choice=self._choice)
        log = self._wait_for_log(self._path, self._wait)
        if log is None:
            return self._read_run(growing=True)
        return self._read_log(log, self._wait)

    def _open(self) -> io.FileIO:
        """Returns the open file or pipe."""
        if self._file is None:
            source = 0 if self.is_stdin else self._path
            self._file = open(  # noqa: SIM115 (close() closes it)
                source, "rb", buffering=0, closefd=not self.is_stdin
            )
        return self._file

    def _is_pipe(self) -> bool:
        return self._path.exists() and not (self._path.is_file() or self._path.is_dir())

    def _read_run(self, *, growing: bool) -> Run:
        """Returns the run of a run file."""
        self._choice.refuse(self.name)
        self._open()
        file = io.BufferedReader(self)
        lines = read_lines(file, self._wait) if growing else read_lines(file)
        restarts = []
        if growing:
            with self._path.open("rb") as ahead:
                restarts = find_restarts(self.name, ahead)
        return parse_run(self.name, lines, restarts)

    def _read_log(self, log: Log, wait_for_more: Callable[[], bool]) -> Run:
        """Returns the run of a log once it has a norm."""
        # Here, not at the top: the process that plays a training reads no logs.
        from gradsound.logs.growing_log import GrowingLog

        return GrowingLog(
            self.name, log, self._choice.norms, wait_for_more, self._on_wait
        ).run()

    def _wait_for_log(self, path: Path, wait_for_more: Callable[[], bool]) -> Log | None:
        """Waits until a path is a log, and returns it; None if it is a run file.

        Args:
            path: The path.
            wait_for_more: As for readers of logs.

        Raises:
            RunFormatError: If the log ends before that, or there are several.
        """
        said, ended = "", False
        while True:
            reason = f"waiting for a run to begin in {self.name}"
            try:
                if not path.is_file() or path.stat().st_size:
                    if is_run(path):
                        return None
                    # All readers of logs take time to import.
                    from gradsound.logs.log_folders import find_log

                    if (log := find_log(path, self._choice)) is not None:
                        return log
                    if not path.exists():
                        reason = f"waiting for {self.name}, which does not exist yet"
            except IsADirectoryError:
                reason = f"waiting for a run or a log in {self.name}"
            except RunFormatError as error:
                # A training may have made the file meanwhile, or empties it to write anew.
                if ended or not path.is_file() or path.stat().st_size:
                    raise RunFormatError(
                        str(error).replace(str(path), self.name)
                    ) from error
            if ended:
                raise RunFormatError(f"{self.name}: has neither a run nor a log")
            if reason != said:
                said = reason
                self._on_wait(reason)
            again = time.monotonic() + _DETECTION_SECONDS
            while time.monotonic() < again and not ended:
                ended = not wait_for_more()

    def _look_ahead(self) -> bytes:
        """Returns the first bytes of a pipe: a whole line, if it may be that of a run."""
        while self._may_be_header():
            ahead, self._ahead = self._ahead, b""
            data = self.read(_READ_BYTES)
            self._ahead = ahead + (data or b"")
            if not data:
                break
        return self._ahead

    def _may_be_header(self) -> bool:
        """Returns whether what was read ahead is the beginning of a header."""
        if b"\n" in self._ahead or len(self._ahead) >= HEADER_BYTES:
            return False
        return self._ahead.lstrip()[:1] in (b"", b"{")

    def _wait(self) -> bool:
        self.on_idle()
        time.sleep(_POLL_SECONDS)
        return not self._closing
