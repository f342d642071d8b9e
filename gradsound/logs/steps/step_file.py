"""A temporary file without a name, which keeps the steps of a log in pieces.

A crash leaves nothing behind. The newest piece stays in memory, so a short log makes no
file.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import numpy as np

from gradsound.logs.steps.log_steps import LogSteps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)

_SAMPLES = 128  # numbers of steps of a piece that stay in memory, to find others


@dataclass(slots=True)
class Piece:
    """Ascending steps of a log.

    Attributes:
        samples: Every so many steps, the number of the step.
        spacing: How many steps.
        first: Number of the first step.
        end: No step has this number, or a higher one.
        size: How many steps, and how many entries.
        at: Byte of the file where the piece begins.
        steps: The steps, while they are in memory.
        cuts: By the index of a name, the step from which on its entries are discarded.
    """

    samples: NDArray[np.int64]
    spacing: int
    first: int
    end: int
    size: tuple[int, int]
    at: int = 0
    steps: LogSteps | None = None
    cuts: NDArray[np.int64] | None = None


class StepFile:
    """Pieces of a log, in its order. Several threads may read at once.

    Attributes:
        pieces: The pieces, none of which is empty.

    Raises:
        OSError: From every method, if the file cannot be written or read.
    """

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self._file: BinaryIO | None = None
        self._descriptor = -1

    def append(self, steps: LogSteps) -> None:
        """Adds one or more steps as a piece."""
        if self.pieces:
            self._write(self.pieces[-1])
        spacing = len(steps) // _SAMPLES + 1
        samples = steps.numbers[::spacing].copy()
        first, end = int(steps.numbers[0]), int(steps.numbers[-1]) + 1
        size = len(steps), len(steps.values)
        self.pieces.append(Piece(samples, spacing, first, end, size, steps=steps))

    def discard(self, cuts: NDArray[np.int64]) -> None:
        """Removes entries from all pieces.

        Args:
            cuts: By the index of each name so far, the step from which on its entries go.
        """
        for piece in self.pieces:
            piece.end = min(piece.end, int(cuts.max()))
            if piece.cuts is None:
                piece.cuts = cuts
            else:
                known = len(piece.cuts)
                piece.cuts = np.append(np.minimum(piece.cuts, cuts[:known]), cuts[known:])
        self.pieces = [piece for piece in self.pieces if piece.first < piece.end]

    def read(self, piece: Piece, low: float = 0, high: float = inf) -> LogSteps:
        """Returns the steps of a piece from a number on, and below another."""
        high, steps = min(high, piece.end), piece.steps
        if steps is None:
            begin, end = np.searchsorted(piece.samples, (low, high)).tolist()
            begin = max(0, begin - 1) * piece.spacing
            steps = self._read_rows(piece, begin, min(end * piece.spacing, piece.size[0]))
        steps = steps.between(low, high)
        return steps if piece.cuts is None else steps.cut(piece.cuts)

    def _read_rows(self, piece: Piece, begin: int, end: int) -> LogSteps:
        (steps, entries), at = piece.size, piece.at
        begins_at = at + 16 * steps
        values_at = begins_at + 8 * (steps + 1)
        places_at = values_at + 8 * entries
        begins = self._read_array(np.int64, begins_at + 8 * begin, end + 1 - begin)
        first, count = int(begins[0]), int(begins[-1] - begins[0])
        return LogSteps(
            self._read_array(np.int64, at + 8 * begin, end - begin),
            self._read_array(np.float64, at + 8 * (steps + begin), end - begin),
            begins - first,
            self._read_array(np.int32, places_at + 4 * first, count),
            self._read_array(np.float64, values_at + 8 * first, count),
        )

    def _read_array(self, dtype: type[Number], at: int, count: int) -> NDArray[Number]:
        array = np.empty(count, dtype)
        unread = memoryview(array.data).cast("B") if count else memoryview(b"")
        with _about_the_file():
            while unread:
                got = os.preadv(self._descriptor, [unread], at)
                if not got:
                    raise OSError("it is shorter than it was")
                unread, at = unread[got:], at + got
        return array

    def _write(self, piece: Piece) -> None:
        """Moves a piece from memory to the file."""
        steps = piece.steps
        if steps is None:
            return
        with _about_the_file():
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open while self is)
                self._descriptor = self._file.fileno()
                weakref.finalize(self, self._file.close)
            piece.at = self._file.tell()
            for array in (
                *(steps.numbers, steps.times, steps.begins),
                *(steps.values, steps.places),
            ):
                self._file.write(np.ascontiguousarray(array).data)
            self._file.flush()
        piece.steps = None


@contextmanager
def _about_the_file() -> Iterator[None]:
    """Says of an error that it is about the temporary file, not about the log."""
    try:
        yield
    except OSError as error:
        text = f"the temporary file for a log cannot be used: {error.strerror or error}"
        raise OSError(text) from error
