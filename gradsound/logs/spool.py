"""Rows of a log, put in the order of their steps, in a temporary file if they are many.

That takes the same memory for a log of any length: rows go to a file as they come,
SQLite sorts them there if they are not in order, and they are read from it one by one. The
file has no name, so nothing is left whatever happens.
"""

from __future__ import annotations

import sqlite3
import struct
import weakref
from contextlib import contextmanager
from math import isfinite
from threading import Lock
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.logs.row import Row

STEP_MAX = 2**53  # as in run files
_TIME_MAX = 1e12  # seconds; no clock has more
_NAMES = 100_000  # no model has more layers
_NAME_MAX = 1000  # characters; a longer one is none
_BATCH = 1 << 20  # bytes that are held before they are written
_CACHE = 16_384  # kiB of SQLite's memory
_FETCHED = 16  # rows at once


class Spool:
    """Takes rows in any order, and gives steps in order, as often as wanted.

    Several threads may read at once.

    Attributes:
        names: Of all numbers, in the order in which they came.
        rejected: How many rows had no whole number for a step.

    Raises:
        OSError: From every method, if the temporary file cannot be written or read.
        RunFormatError: If there are too many names.
    """

    def __init__(self) -> None:
        self._lock, self._index = Lock(), dict[str, int]()
        self.rejected = 0
        self._table, self._ordered, self._last = "unsorted", True, -1
        self._step = -1  # of what is gathered, as are these
        self._time: float | None = None
        self._gathered: dict[int, float] = {}
        self._steps, self._replaced = 0, False  # changes of step; whether anything is lost
        self._batch: list[tuple[int, float | None, bytes]] = []
        self._bytes = 0
        with _disk():
            self._database = sqlite3.connect("", check_same_thread=False)
            weakref.finalize(self, self._database.close)
            for setting in ("journal_mode = OFF", f"cache_size = -{_CACHE}"):
                self._database.execute(f"PRAGMA {setting}")
            self._database.execute("CREATE TABLE unsorted (step INTEGER, time REAL, data)")

    @property
    def names(self) -> list[str]:
        """Of all numbers, in the order in which they came."""
        return [*self._index]

    @property
    def replaced_at(self) -> int | None:
        """The one step that there is, if things were logged there more than once."""
        return self._last if self._steps == 1 and self._replaced else None

    def add(self, row: Row) -> None:
        """Takes a row; rows of one step that follow each other become one."""
        step = row.step
        if step is None or not 0 <= step <= STEP_MAX or step != int(step):
            self.rejected += 1
            return
        if step != self._step:
            self._put()
            self._step, self._time = int(step), None
        time = row.time
        if time is not None and isfinite(time) and abs(time) <= _TIME_MAX:
            self._time = time
        for name, number in row.numbers.items():
            index = self._index.get(name)
            if index is None:
                if len(name) > _NAME_MAX:
                    continue
                index = self._index[name] = len(self._index)
                if index >= _NAMES:
                    raise RunFormatError(f"more than {_NAMES:,} different names")
            self._replaced |= index in self._gathered
            self._gathered[index] = number

    def sort(self) -> None:
        """Puts in order what was taken; nothing is taken after that."""
        self._put()
        with _disk():
            self._write()
            if not self._ordered:
                # Rows of one step stay in the order in which they came.
                self._database.execute(
                    "CREATE TABLE sorted AS SELECT * FROM unsorted ORDER BY step, rowid"
                )
                self._database.execute("DROP TABLE unsorted")
                self._table = "sorted"

    def steps(self) -> Iterator[tuple[int, float | None, dict[int, float]]]:
        """Yields number, time if known, and the numbers of each step by index of name.

        Of what was logged twice at one step the later counts.
        """
        step, time, numbers = -1, None, dict[int, float]()
        for number, when, data in self._rows():
            if number != step and step >= 0:
                yield step, time, numbers
                time, numbers = None, {}
            step, time = number, time if when is None else when
            numbers.update(_unpack(data))
        if step >= 0:
            yield step, time, numbers

    def _rows(self) -> Iterator[tuple[int, float | None, bytes]]:
        with _disk(), self._lock:
            cursor = self._database.execute(
                f"SELECT step, time, data FROM {self._table} ORDER BY rowid"  # noqa: S608
            )
        while True:
            with _disk(), self._lock:
                rows = cursor.fetchmany(_FETCHED)
            if not rows:
                return
            yield from rows

    def _put(self) -> None:
        """Adds what is gathered to the batch."""
        if not self._gathered:
            return
        self._steps += self._step != self._last
        data = _pack(self._gathered)
        self._batch.append((self._step, self._time, data))
        self._ordered &= self._step >= self._last
        self._last, self._gathered = self._step, {}
        self._bytes += len(data) + 100  # of the tuple
        if self._bytes > _BATCH:
            with _disk():
                self._write()

    def _write(self) -> None:
        self._database.executemany("INSERT INTO unsorted VALUES (?, ?, ?)", self._batch)
        self._database.commit()
        self._batch.clear()
        self._bytes = 0


def _pack(numbers: dict[int, float]) -> bytes:
    count = len(numbers)
    return struct.pack(f"<{count}I{count}d", *numbers, *numbers.values())


def _unpack(data: bytes) -> Iterator[tuple[int, float]]:
    count = len(data) // (4 + 8)
    found = struct.unpack(f"<{count}I{count}d", data)
    return zip(found[:count], found[count:])


@contextmanager
def _disk() -> Iterator[None]:
    """What SQLite says of its file is what any file would say."""
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"the temporary file for a log cannot be used: {error}") from error
