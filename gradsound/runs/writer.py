"""Writes run files so that a kill costs one line at most, and a full disk none.

It also restores a run file that somebody removes, and never overwrites an older run.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING

from gradsound.runs.json_lines import encode_header, encode_step

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gradsound.runs.model import Header, Step

_UNWRITTEN_MAX = 1 << 26  # bytes; a longer backlog would take the training's memory
_COPY_BYTES = 1 << 20  # bytes per copy; one takes a millisecond of the training


class RunWriter:
    """Writes a run file, whole lines per system call, without a buffer of Python's.

    A run file that exists at ``path`` is not overwritten: the writer renames it to the
    first free name of ``run.1.jsonl``, ``run.2.jsonl`` ...

    Args:
        path: The run file.
        header: The header, which becomes the first line.
        readers: How many processes read the file while it grows.
        unwritten_max: Bytes that may wait in memory while the disk is full. The writer
            drops steps that arrive beyond that.

    Attributes:
        reader_files: The run file, opened once for each reader at its start. They stay
            valid if the file is renamed or removed.
        unwritten: Numbers of the steps that wait in memory because the disk is full. A
            part of the first may be in the file.
        dropped: How many steps were dropped because too many bytes waited.

    Raises:
        OSError: If the file cannot be made or written.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        readers: int = 0,
        *,
        unwritten_max: int = _UNWRITTEN_MAX,
    ) -> None:
        self.unwritten: list[int] = []
        self.dropped = 0
        self._backlog, self._backlog_max = bytearray(encode_header(header)), unwritten_max
        self._path, self._older = path, None
        # After somebody removes the file, its readers continue with the removed one, and a
        # copy takes its name.
        self._copy: io.FileIO | None = None
        self._copied = 0  # bytes
        with _lock_folder(path.parent):  # two writers that start at once need two names
            if path.is_file() and path.stat().st_size > 0:
                self._older = path.rename(_free_name(path))
            self._file = path.open("w+b", buffering=0)
            # Within the lock, because another writer overwrites an empty file. The second
            # call below raises the error, if it lasts.
            with suppress(OSError):
                self._write_backlog()
        self.reader_files: list[io.FileIO] = []
        try:
            self._write_backlog()
            self.reader_files += [path.open("rb", buffering=0) for _ in range(readers)]
        except OSError as error:
            self.discard()
            raise type(error)(error.errno, error.strerror, str(path)) from error

    def write(self, steps: Sequence[Step]) -> None:
        """Appends steps with one system call.

        Raises:
            OSError: If the steps cannot be written, for example because the disk is full.
                They wait in memory, and the next call tries again. Until then, the last
                line of the file may be torn.
        """
        if len(self._backlog) < self._backlog_max:
            self.unwritten += [step.number for step in steps]
            self._backlog += b"".join(map(encode_step, steps))
        else:
            self.dropped += len(steps)
        self._write_backlog()
        with suppress(OSError):  # later calls try again, and close() reports
            self._copy_more()

    def restore_if_removed(self) -> bool:
        """Makes the file anew if somebody removed it; returns whether that was so.

        Each later call of `write` copies a part of the removed file, `close` the rest.

        Raises:
            OSError: If the file cannot be made.
        """
        if os.fstat((self._copy or self._file).fileno()).st_nlink:
            return False
        if self._copy is not None:
            self._copy.close()
        self._copy = None
        with _lock_folder(self._path.parent):
            if self._path.is_file():
                self._path.rename(_free_name(self._path))
            self._copy, self._copied = self._path.open("xb", buffering=0), 0
        return True

    def discard(self) -> None:
        """Removes the file, and gives an older run that was renamed its name back."""
        with suppress(OSError):
            self.close()
        if self._path.is_file():  # a device stays
            self._path.unlink()
        if self._older is not None:
            with _lock_folder(self._path.parent):
                if not self._path.exists():
                    self._older.rename(self._path)

    def close(self) -> None:
        """Tries once more to write the steps in memory, and closes the file.

        A second call does nothing.

        Raises:
            OSError: If the disk is still full.
        """
        try:
            self._write_backlog()
            while self._copy_more():
                pass
        finally:
            for file in (self._file, self._copy, *self.reader_files):
                if file is not None:
                    file.close()
            self._backlog.clear()
            self._copy = None

    def _write_backlog(self) -> None:
        while self._backlog:  # one call may write a part only
            written = self._file.write(self._backlog)
            del self.unwritten[: self._backlog.count(b"\n", 0, written)]
            del self._backlog[:written]

    def _copy_more(self) -> bool:
        """Copies a part of the removed file; returns whether there was any left."""
        if self._copy is None:
            return False
        part = os.pread(self._file.fileno(), _COPY_BYTES, self._copied)
        self._copied += self._copy.write(part)
        return bool(part)


@contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    """Keeps other processes and threads from choosing names in a folder, where it can."""
    handle = None
    with suppress(
        OSError
    ):  # the folder is missing, or its network file system has no locks
        if fcntl is not None:
            handle = os.open(folder, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)  # unlocks


def _free_name(path: Path) -> Path:
    """Returns the first of ``run.1.jsonl``, ``run.2.jsonl`` ... that does not exist."""
    names = (path.with_suffix(f".{k}{path.suffix}") for k in count(1))
    return next(name for name in names if not name.exists())
