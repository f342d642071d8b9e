"""Sorts the rows of a log by step in a temporary file, so that memory stays bounded.

Rows go to the file in the order of the log. SQLite sorts them there if they are out of
order, and returns them one by one. The file has no name, so a crash leaves nothing behind.
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
from gradsound.logs.odd_norms import is_odd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.logs.row import Row

_STEP_MAX = 2**53  # as in run files
_TIME_MAX = 1e12  # seconds, 30,000 years; no clock shows more
_NAMES_MAX = 100_000  # names; no model has more layers
_NAME_MAX = 1000  # characters; a longer one is damage
_BATCH_BYTES = 1 << 20  # bytes of rows in memory; SQLite writes many rows at once faster
_ROW_OVERHEAD = 100  # bytes, of a row's tuple in memory
_CACHE_KIB = 16_384  # KiB of SQLite's memory, which sorting uses
_ROWS_PER_READ = 16  # rows per query under the lock; a row may have thousands of values


class SortedSteps:
    """Takes rows in any order, and yields steps in order, repeatably.

    Several threads may read at once.

    Attributes:
        rejected: How many rows had no valid step.
        odd_names: Indices of the names that had a number which no norm can be.

    Raises:
        OSError: From every method, if the temporary file cannot be written or read.
        RunFormatError: If the log has more than 100,000 names.
    """

    def __init__(self) -> None:
        self._lock, self._name_indices = Lock(), dict[str, int]()
        self.rejected, self.odd_names = 0, set[int]()
        self._table, self._in_order = "unsorted", True
        # The row in progress: rows of one step that follow each other are merged.
        self._step = -1
        self._time: float | None = None
        self._values: dict[int, float] = {}
        self._last_step = -1  # of the previous row
        self._step_changes, self._overwritten = 0, False
        self._batch: list[tuple[int, float | None, bytes]] = []
        self._batch_bytes = 0
        with _sqlite_errors_as_os_errors():
            self._database = sqlite3.connect("", check_same_thread=False)
            weakref.finalize(self, self._database.close)
            for setting in ("journal_mode = OFF", f"cache_size = -{_CACHE_KIB}"):
                self._database.execute(f"PRAGMA {setting}")
            self._database.execute("CREATE TABLE unsorted (step INTEGER, time REAL, data)")

    @property
    def names(self) -> list[str]:
        """Names of all values, in the order in which the log first has them."""
        return [*self._name_indices]

    @property
    def overwritten_step(self) -> int | None:
        """The only step, if a value was logged there more than once; else None."""
        return self._last_step if self._step_changes == 1 and self._overwritten else None

    def add(self, row: Row) -> None:
        """Adds a row; consecutive rows of one step are merged."""
        step = row.step
        if step is None or not 0 <= step <= _STEP_MAX or step != int(step):
            self.rejected += 1
            return
        if step != self._step:
            self._end_row()
            self._step, self._time = int(step), None
        time = row.time
        if time is not None and isfinite(time) and abs(time) <= _TIME_MAX:
            self._time = time
        for name, value in row.values.items():
            index = self._name_indices.get(name)
            if index is None:
                if len(name) > _NAME_MAX:
                    continue
                index = self._name_indices[name] = len(self._name_indices)
                if index >= _NAMES_MAX:
                    raise RunFormatError(f"more than {_NAMES_MAX:,} different names")
            self._overwritten |= index in self._values
            self._values[index] = value
            if is_odd(value):
                self.odd_names.add(index)

    def sort(self) -> None:
        """Sorts the rows by step; no row may be added afterwards."""
        self._end_row()
        with _sqlite_errors_as_os_errors():
            self._write_batch()
            if not self._in_order:
                # Rows of one step stay in the order of the log.
                self._database.execute(
                    "CREATE TABLE sorted AS SELECT * FROM unsorted ORDER BY step, rowid"
                )
                self._database.execute("DROP TABLE unsorted")
                self._table = "sorted"

    def steps(self) -> Iterator[tuple[int, float | None, dict[int, float]]]:
        """Yields number, time (None if unknown) and values by name index of each step.

        If a value was logged twice at one step, the later one counts.
        """
        step, time, values = -1, None, dict[int, float]()
        for row_step, row_time, data in self._read_rows():
            if row_step != step and step >= 0:
                yield step, time, values
                time, values = None, {}
            step, time = row_step, time if row_time is None else row_time
            values.update(_unpack(data))
        if step >= 0:
            yield step, time, values

    def _read_rows(self) -> Iterator[tuple[int, float | None, bytes]]:
        with _sqlite_errors_as_os_errors(), self._lock:
            cursor = self._database.execute(
                f"SELECT step, time, data FROM {self._table} ORDER BY rowid"  # noqa: S608
            )
        while True:
            with _sqlite_errors_as_os_errors(), self._lock:
                rows = cursor.fetchmany(_ROWS_PER_READ)
            if not rows:
                return
            yield from rows

    def _end_row(self) -> None:
        """Adds the row in progress to the batch."""
        if not self._values:
            return
        self._step_changes += self._step != self._last_step
        data = _pack(self._values)
        self._batch.append((self._step, self._time, data))
        self._in_order &= self._step >= self._last_step
        self._last_step, self._values = self._step, {}
        self._batch_bytes += len(data) + _ROW_OVERHEAD
        if self._batch_bytes > _BATCH_BYTES:
            with _sqlite_errors_as_os_errors():
                self._write_batch()

    def _write_batch(self) -> None:
        self._database.executemany("INSERT INTO unsorted VALUES (?, ?, ?)", self._batch)
        self._database.commit()
        self._batch.clear()
        self._batch_bytes = 0


def _pack(values: dict[int, float]) -> bytes:
    """Encodes the indices as uint32, and then the values as float64."""
    count = len(values)
    return struct.pack(f"<{count}I{count}d", *values, *values.values())


def _unpack(data: bytes) -> Iterator[tuple[int, float]]:
    count = len(data) // (4 + 8)
    items = struct.unpack(f"<{count}I{count}d", data)
    return zip(items[:count], items[count:])


@contextmanager
def _sqlite_errors_as_os_errors() -> Iterator[None]:
    """Converts errors of SQLite, which here concern the temporary file."""
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"the temporary file for a log cannot be used: {error}") from error
