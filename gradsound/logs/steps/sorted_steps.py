"""Sorts the entries of a log by step, in memory that the length of the log does not change.

Entries come in the order of the log. Each 32,768 of them become a sorted piece in a
temporary file. Pieces whose steps overlap are merged, one range of steps after the other.
"""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from gradsound.logs.steps.checked_entries import Entries, EntryChecker
from gradsound.logs.steps.log_steps import LogSteps, merge, sort_entries
from gradsound.logs.steps.odd_norms import are_odd
from gradsound.logs.steps.step_file import StepFile
from gradsound.runs.step_line import STEP_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gradsound.logs.scalars import Scalars

_PIECE_ENTRIES = 1 << 15  # entries of a piece; they take 2 MB while they are sorted
_RANGE_SAMPLES = 128  # of the pieces, so that a range has about as many entries as a piece


class SortedSteps:
    """Takes the entries of a log, and yields its steps in order, repeatably.

    Several threads may read at once.

    Attributes:
        first: Number of the first step.
        last: Number of the last step; lower than the first if there is none.
        count: How many entries had a valid step.
        odd_places: Indices of the names that had a number which no norm can be.

    Raises:
        OSError: From every method, if the temporary file cannot be written or read.
        RunFormatError: If the log has more than 100,000 names.
    """

    def __init__(self) -> None:
        self.odd_places: set[int] = set()
        self._checker = EntryChecker()
        self._file = StepFile()
        self._waiting: list[Entries] = []  # for the next piece
        self._waiting_count, self.count = 0, 0  # entries
        self.first, self.last = STEP_MAX, 0  # of all numbers of steps

    @property
    def names(self) -> list[str]:
        """The names of all entries, in the order in which the log first has them."""
        return self._checker.names

    @property
    def rejected(self) -> int:
        """How many entries had no valid step."""
        return self._checker.rejected

    @property
    def overwritten_step(self) -> int | None:
        """The only step, if a value was logged there more than once; else None."""
        if self.first == self.last and self.count > len(self.names):
            return self.first
        return None

    def add(self, scalars: Scalars) -> None:
        """Adds entries, in the order of the log."""
        if scalars.discards:
            self._discard(scalars.discards)
        entries = self._checker.check(scalars)
        if not len(entries.numbers):
            return
        numbers, _, places, values = entries
        odd = are_odd(values)
        if odd.any():
            self.odd_places.update(np.unique(places[odd]).tolist())
        self.first = min(self.first, int(numbers.min()))
        self.last = max(self.last, int(numbers.max()))
        self.count += len(numbers)
        self._waiting.append(entries)
        self._waiting_count += len(numbers)
        if self._waiting_count >= _PIECE_ENTRIES:
            self._end_piece()

    def sort(self) -> None:
        """Sorts the steps; no entry may be added afterwards."""
        self._end_piece()
        pieces = self._file.pieces
        if any(after.first < before.end - 1 for before, after in pairwise(pieces)):
            merged = StepFile()
            for steps in self._merge_pieces():
                merged.append(steps)
            self._file = merged

    def read(self) -> Iterator[LogSteps]:
        """Yields all steps in parts of bounded size; no step is in two of them."""
        pieces, held = self._file.pieces, None
        for k, piece in enumerate(pieces):
            steps = self._file.read(piece)
            if held is not None:
                steps = merge([held, steps])
            count, held = len(steps), None
            if k + 1 < len(pieces) and count and pieces[k + 1].first == steps.numbers[-1]:
                count, held = count - 1, steps.take(count - 1, count)
            if count:
                yield steps.take(0, count)

    def drain(self) -> Iterator[LogSteps]:
        """Sorts and yields all steps as `read` does, and keeps their names only."""
        self.sort()
        yield from self.read()
        self._file = StepFile()

    def _discard(self, discards: Mapping[str, int]) -> None:
        """Discards entries with some names, from a step on."""
        self._end_piece()
        cuts = np.full(len(self.names), STEP_MAX + 1)
        for name, step in discards.items():
            if (place := self._checker.find_place(name)) is not None:
                cuts[place] = step
        self._file.discard(cuts)

    def _end_piece(self) -> None:
        """Sorts the waiting entries, and adds them as a piece."""
        if self._waiting:
            numbers, times, places, values = map(np.concatenate, zip(*self._waiting))
            self._waiting, self._waiting_count = [], 0
            self._file.append(sort_entries(numbers, times, places, values))

    def _merge_pieces(self) -> Iterator[LogSteps]:
        """Yields the steps of all pieces in order, each step once."""
        pieces = self._file.pieces
        samples = np.sort(np.concatenate([piece.samples for piece in pieces]))
        bounds = np.unique(samples[::_RANGE_SAMPLES]).tolist()
        for low, high in pairwise([*bounds, inf]):
            parts = [
                self._file.read(piece, low, high)
                for piece in pieces
                if piece.first < high and low < piece.end
            ]
            if parts := [part for part in parts if len(part)]:
                yield merge(parts)
