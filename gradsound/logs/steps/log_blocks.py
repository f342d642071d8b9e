"""Makes blocks of a run's steps from the steps of a log.

Shapes: S steps, E entries, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.runs.step_block import LoggedValue, StepBlock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from gradsound.logs.names.classified_names import ClassifiedNames
    from gradsound.logs.steps.log_steps import LogSteps

_STEPS, _NORMS = 4096, 1 << 16  # of a block; the norms of more layers take more memory


@dataclass(frozen=True, slots=True)
class _Norms:
    """Norms in ascending rows of a run.

    Attributes:
        rows: The row of each norm, shape (E,).
        layers: The layer of each norm, shape (E,).
        numbers: The norms as logged, shape (E,).
    """

    rows: NDArray[np.intp]
    layers: NDArray[np.intp]
    numbers: NDArray[np.float64]

    def fill(
        self, norms: NDArray[np.float32], absent: NDArray[np.bool_], begin: int, end: int
    ) -> NDArray[np.intp]:
        """Writes the norms of some rows into arrays; returns which of these have a norm."""
        part = slice(*np.searchsorted(self.rows, (begin, end)))
        cells = self.rows[part] - begin, self.layers[part]
        numbers = self.numbers[part]
        numbers = np.where(numbers < 0, np.nan, numbers)  # DeepSpeed's -1: NaN or infinity
        with np.errstate(over="ignore"):  # float32 rounds a larger norm to infinity
            norms[cells] = numbers
        absent[cells] = False
        return cells[0]


class LogBlocks:
    """Turns successive steps of a log into blocks.

    A step of a log becomes a step of the run if it has a norm. Values logged at other steps
    belong to the next one that has a norm, as `Step.values` requires.

    Args:
        names: The names of the log; entries with other names are left out.
    """

    def __init__(self, names: ClassifiedNames) -> None:
        self._size = len(names.layers)
        self._layers = {index: layer for layer, index in enumerate(names.layers)}
        self._raw_layers = {raw: self._layers[index] for index, raw in names.raw.items()}
        self._value_names: list[str] = []
        self._values: dict[int, int] = {}  # index in _value_names by index of a name
        self.add_values(names.values)
        # Values that wait for the next norm: their indices, and the numbers.
        self._waiting = np.empty(0, np.intp), np.empty(0)
        self._begin: float | None = None
        self._seconds = 0.0

    def add_values(self, names: Mapping[int, str]) -> None:
        """Adds names of values, by index of the name in the log."""
        for index, name in names.items():
            if name not in self._value_names:
                self._value_names.append(name)
            self._values[index] = self._value_names.index(name)
        of_names = self._layers, self._raw_layers, self._values
        self._lookups = np.full((3, max(max(one, default=0) for one in of_names) + 2), -1)
        for lookup, one in zip(self._lookups, of_names):
            lookup[[*one]] = [*one.values()]

    def make(self, steps: LogSteps) -> Iterator[StepBlock]:
        """Yields the blocks of some steps, which come after all before."""
        rows = steps.rows
        # The last place of the lookups is for all other names.
        places = np.minimum(steps.places, self._lookups.shape[1] - 1)
        layers, raw_layers, value_indices = self._lookups[:, places]
        is_norm, is_raw = layers >= 0, raw_layers >= 0
        has_norm = np.zeros(len(steps), bool)
        has_norm[rows[is_norm | is_raw]] = True
        # Of each entry, the row in the run: that of its step, or of the next with a norm.
        rows = (np.cumsum(has_norm) - has_norm)[rows]
        kept = np.flatnonzero(has_norm)
        values = self._split_values(rows, value_indices, steps.values, len(kept))
        numbers, times = steps.numbers[kept], self._find_times(steps.times[kept])
        # A log may have the norm before clipping alone; then nothing else is known of it.
        applied = _Norms(rows[is_norm], layers[is_norm], steps.values[is_norm])
        raw = _Norms(rows[is_raw], raw_layers[is_raw], steps.values[is_raw])
        size = max(1, min(_STEPS, _NORMS // self._size))
        for begin in range(0, len(kept), size):
            end = min(begin + size, len(kept))
            count, shape = end - begin, (end - begin, self._size)
            norms, absent = np.full(shape, np.nan, np.float32), np.ones(shape, bool)
            raw.fill(norms, absent, begin, end)
            applied.fill(norms, absent, begin, end)
            raw_norms, clipped = norms.copy(), np.zeros(count, bool)
            clipped[raw.fill(raw_norms, absent, begin, end)] = True
            yield StepBlock(
                numbers[begin:end],
                times[begin:end],
                norms,
                absent,
                np.full(count, np.nan),
                np.zeros(count, bool),
                np.zeros(count, bool),
                raw_norms if clipped.any() else None,
                clipped,
                _take_values(values, begin, end),
            )

    def _split_values(
        self,
        rows: NDArray[np.intp],
        indices: NDArray[np.intp],
        numbers: NDArray[np.float64],
        count: int,
    ) -> dict[str, LoggedValue]:
        """Returns the values by name; those after the last norm wait.

        Args:
            rows: The row of each entry in the run, shape (E,).
            indices: The index of the value of each entry, shape (E,); -1 if it has none.
            numbers: The numbers, shape (E,).
            count: How many rows there are.
        """
        is_value = indices >= 0
        waiting_indices, waiting_numbers = self._waiting
        rows = np.concatenate([np.zeros_like(waiting_indices), rows[is_value]])
        indices = np.concatenate([waiting_indices, indices[is_value]])
        numbers = np.concatenate([waiting_numbers, numbers[is_value]])
        order = np.argsort(indices, kind="stable")
        rows, indices, numbers = rows[order], indices[order], numbers[order]
        # Values of several steps of the log may belong to one; the last of a name counts.
        last = np.append((np.diff(indices) > 0) | (np.diff(rows) > 0), True)[: len(rows)]
        waits = last & (rows == count)
        self._waiting = indices[waits], numbers[waits]
        chosen = last & (rows < count)
        rows, indices, numbers = rows[chosen], indices[chosen], numbers[chosen]
        bounds = np.searchsorted(indices, np.arange(len(self._value_names) + 1)).tolist()
        values = {}
        for name, begin, end in zip(self._value_names, bounds, bounds[1:]):
            if begin < end:
                logged = numbers[begin:end]
                if name == "epoch":  # Trainer logs fractions of an epoch
                    logged = np.floor(logged)
                values[name] = LoggedValue(rows[begin:end], logged)
        return values

    def _find_times(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the seconds since the first step, of the next steps' times."""
        known = times[~np.isnan(times)]
        if self._begin is None and len(known):
            self._begin = float(known[0])
        seconds = np.where(np.isnan(times), -np.inf, times - (self._begin or 0.0))
        # A clock may be set back.
        seconds = np.maximum.accumulate(np.append([self._seconds], seconds))
        self._seconds = float(seconds[-1])
        return seconds[1:]


def _take_values(
    values: dict[str, LoggedValue], begin: int, end: int
) -> dict[str, LoggedValue]:
    """Returns the values of the rows from one to another, which is not among them."""
    taken = {}
    for name, value in values.items():
        first, last = np.searchsorted(value.rows, (begin, end)).tolist()
        if first < last:
            rows = value.rows[first:last] - begin
            taken[name] = LoggedValue(rows, value.numbers[first:last])
    return taken
