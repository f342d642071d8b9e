"""Writing run files: a kill costs one line at most, a full or emptied folder none."""

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

_WAITING_MAX = 1 << 26  # bytes that wait for room; what comes then is left out
_SLICE = 1 << 20  # bytes that are copied in one go: a millisecond


class RunWriter:
    """Writes a run, whole lines in one go, past Python's buffers.

    A run that is at ``path`` already is not overwritten but kept beside it, under the
    first free name of ``run.1.jsonl``, ``run.2.jsonl`` ...

    Args:
        path: Where to write.
        header: The first line.
        readers: How many will read it meanwhile.

    Attributes:
        readings: The same file for each of them, open from its start, whatever its name
            becomes.
        waiting: Numbers of the steps that are not written whole, for want of room.
        left_out: How many steps came when too many waited, and are not recorded.

    Raises:
        OSError: If the file cannot be made or written.
    """

    def __init__(self, path: Path, header: Header, readers: int = 0) -> None:
        self.waiting: list[int] = []
        self.left_out = 0
        self._rest = bytearray(encode_header(header))  # not yet written
        self._path, self._older = path, None
        # If somebody removed the file, those who read it go on doing so, and what is there
        # again is a copy.
        self._copy: io.FileIO | None = None
        self._copied = 0  # bytes
        with _locked(path.parent):  # two that begin at once must not take one name
            if path.is_file() and path.stat().st_size > 0:
                self._older = path.rename(_free_name(path))
            self._file = path.open("w+b", buffering=0)
            with suppress(OSError):  # told below; others take an empty file for nobody's
                self._write_rest()
        self.readings: list[io.FileIO] = []
        try:
            self._write_rest()
            self.readings += [path.open("rb", buffering=0) for _ in range(readers)]
        except OSError as error:
            self.discard()
            raise type(error)(error.errno, error.strerror, str(path)) from error

    def write(self, steps: Sequence[Step]) -> None:
        """Appends steps, in one go.

        Raises:
            OSError: If the disk is full, for one. What is not written waits, and is when
                there is room; the last line may be torn until then.
        """
        if len(self._rest) < _WAITING_MAX:
            self.waiting += [step.number for step in steps]
            self._rest += b"".join(map(encode_step, steps))
        else:
            self.left_out += len(steps)
        self._write_rest()
        with suppress(OSError):  # it is not too late for that before close()
            self._copy_on()

    def restore(self) -> bool:
        """Has the file be there again if somebody removed it; returns whether that was so.

        It is copied little by little, with every call of `write`.

        Raises:
            OSError: If it cannot be made.
        """
        if os.fstat((self._copy or self._file).fileno()).st_nlink:
            return False
        if self._copy is not None:
            self._copy.close()
        self._copy = None
        with _locked(self._path.parent):
            if self._path.is_file():
                self._path.rename(_free_name(self._path))
            self._copy, self._copied = self._path.open("xb", buffering=0), 0
        return True

    def discard(self) -> None:
        """Removes the file, and what was kept beside it has its name again."""
        with suppress(OSError):
            self.close()
        if self._path.is_file():  # and no device
            self._path.unlink()
        if self._older is not None:
            with _locked(self._path.parent):
                if not self._path.exists():
                    self._older.rename(self._path)

    def close(self) -> None:
        """Closes the file, after a last try to write what waits.

        A second call does nothing.

        Raises:
            OSError: If there is no room even now.
        """
        try:
            self._write_rest()
            while self._copy_on():
                pass
        finally:
            for file in (self._file, self._copy, *self.readings):
                if file is not None:
                    file.close()
            self._rest.clear()
            self._copy = None

    def _write_rest(self) -> None:
        while self._rest:  # the system may take less than it is given
            taken = self._file.write(self._rest)
            del self.waiting[: self._rest.count(b"\n", 0, taken)]
            del self._rest[:taken]

    def _copy_on(self) -> bool:
        """Copies some of what was written; returns whether there was any."""
        if self._copy is None:
            return False
        some = os.pread(self._file.fileno(), _SLICE, self._copied)
        self._copied += self._copy.write(some)
        return bool(some)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lets one process or thread at a time choose names in a folder, where that works."""
    handle = None
    with suppress(OSError):  # no such folder, or a network file system that cannot
        if fcntl is not None:
            handle = os.open(folder, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)  # unlocks, too


def _free_name(path: Path) -> Path:
    names = (path.with_suffix(f".{k}{path.suffix}") for k in count(1))
    return next(name for name in names if not name.exists())
