"""Blocks of successive steps as arrays, in which a run travels.

Shapes: S steps, L layers, K numbers of a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from gradsound.runs.rank_layers import concatenate_times
from gradsound.runs.signals import (
    concatenate_signals,
    split_signals,
    stack_signals,
    take_signals,
)
from gradsound.runs.step import NO_SIGNALS, NO_VALUES, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from gradsound.runs.rank_layers import RankTimes


@dataclass(frozen=True, slots=True, eq=False)
class LoggedValue:
    """The numbers of one value in the steps of a block that have it.

    Attributes:
        rows: Indices of these steps in the block, ascending, shape (K,).
        numbers: The numbers, shape (K,), float64. NaN and infinities are kept.
    """

    rows: NDArray[np.intp]
    numbers: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class StepBlock:
    """Measurements of successive optimizer steps; the fields of `Step`, as arrays.

    Attributes:
        numbers: Indices of the optimizer steps, shape (S,), int64.
        times: Seconds since the start of the run, shape (S,), float64.
        norms: Norms of the layers, shape (S, L), float32.
        absent: Which layers had no gradient, shape (S, L), bool.
        loss_scales: Factors of the GradScaler, shape (S,), float64; NaN if unknown.
        skipped: At which steps the weights were not updated, shape (S,), bool.
        discarded: At which steps the training threw away clipped gradients, shape (S,).
        raw: Norms before clipping, shape (S, L), float32, equal to ``norms`` at steps
            without clipping. None if no step of the block was clipped.
        clipped: At which steps clipping was seen, shape (S,), bool.
        values: The logged values by name.
        rank_times: The times of the ranks, if the layers are ranks; else None.
        signals: The signals by name, each of shape (S, L), float32; NaN where a layer has
            none at a step. A signal that no step has is missing.
    """

    numbers: NDArray[np.int64]
    times: NDArray[np.float64]
    norms: NDArray[np.float32]
    absent: NDArray[np.bool_]
    loss_scales: NDArray[np.float64]
    skipped: NDArray[np.bool_]
    discarded: NDArray[np.bool_]
    raw: NDArray[np.float32] | None
    clipped: NDArray[np.bool_]
    values: Mapping[str, LoggedValue] = field(default_factory=dict)
    rank_times: RankTimes | None = None
    signals: Mapping[str, NDArray[np.float32]] = field(default_factory=lambda: NO_SIGNALS)

    def __len__(self) -> int:
        """Returns S."""
        return len(self.numbers)

    def __iter__(self) -> Iterator[Step]:
        """Yields the steps; their arrays share memory with the block."""
        values: dict[int, dict[str, float]] = {}
        for name, value in self.values.items():
            for row, number in zip(value.rows.tolist(), value.numbers.tolist()):
                values.setdefault(row, {})[name] = number
        rows, raw, clipped = range(len(self)), self.unclipped, self.clipped.tolist()
        return map(
            Step,
            self.numbers.tolist(),
            self.times.tolist(),
            self.norms,
            self.absent,
            [None if isnan(scale) else scale for scale in self.loss_scales.tolist()],
            self.skipped.tolist(),
            [raw[row] if clipped[row] else None for row in rows],
            [values.get(row, NO_VALUES) for row in rows],
            self.discarded.tolist(),
            split_signals(self.signals, len(self)),
        )

    @property
    def nonfinite(self) -> NDArray[np.bool_]:
        """Which layers' norms are NaN or infinite, shape (S, L), bool."""
        return ~(np.isfinite(self.norms) | self.absent)

    @property
    def unclipped(self) -> NDArray[np.float32]:
        """Norms before clipping, where it was seen, shape (S, L), float32."""
        return self.norms if self.raw is None else self.raw

    def take(self, rows: slice | NDArray[np.intp] | NDArray[np.bool_]) -> StepBlock:
        """Returns a block with some of the steps, in the order of their rows.

        Args:
            rows: A slice without step, ascending indices, or which steps, shape (S,).
        """
        times = self.rank_times
        return StepBlock(
            self.numbers[rows],
            self.times[rows],
            self.norms[rows],
            self.absent[rows],
            self.loss_scales[rows],
            self.skipped[rows],
            self.discarded[rows],
            None if self.raw is None else self.raw[rows],
            self.clipped[rows],
            self._take_values(rows) if self.values else self.values,
            times and times.take(rows),
            take_signals(self.signals, rows),
        )

    def take_layers(self, layers: Sequence[int]) -> StepBlock:
        """Returns a block with the layers of some indices, in their order."""
        columns, times = [*layers], self.rank_times
        return StepBlock(
            self.numbers,
            self.times,
            self.norms[:, columns],
            self.absent[:, columns],
            self.loss_scales,
            self.skipped,
            self.discarded,
            None if self.raw is None else self.raw[:, columns],
            self.clipped,
            self.values,
            times and times.take((slice(None), columns)),
            take_signals(self.signals, (slice(None), columns)),
        )

    def _take_values(
        self, rows: slice | NDArray[np.intp] | NDArray[np.bool_]
    ) -> dict[str, LoggedValue]:
        """Returns the values of some of the steps."""
        places = np.full(len(self), -1)  # of each old row, its new one
        chosen = np.arange(len(self))[rows]
        places[chosen] = np.arange(len(chosen))
        taken = {}
        for name, value in self.values.items():
            new_rows = places[value.rows]
            kept = new_rows >= 0
            if kept.any():
                taken[name] = LoggedValue(new_rows[kept], value.numbers[kept])
        return taken


def make_block(steps: Sequence[Step]) -> StepBlock:
    """Returns the block of one or more steps."""
    norms = np.stack([step.norms for step in steps])
    clipped = np.array([step.raw is not None for step in steps])
    scales = [step.loss_scale for step in steps]
    return StepBlock(
        np.array([step.number for step in steps], np.int64),
        np.array([step.time for step in steps], np.float64),
        norms,
        np.stack([step.absent for step in steps]),
        np.array([np.nan if s is None else s for s in scales], np.float64),
        np.array([step.skipped for step in steps], bool),
        np.array([step.discarded for step in steps], bool),
        np.stack([step.unclipped for step in steps]) if clipped.any() else None,
        clipped,
        gather_values([step.values for step in steps]),
        signals=stack_signals([step.signals for step in steps], norms.shape[1]),
    )


def gather_values(values: Iterable[Mapping[str, float] | None]) -> dict[str, LoggedValue]:
    """Returns the values of steps by name.

    Args:
        values: The values of each step by name; None for a step without values.
    """
    gathered: dict[str, tuple[list[int], list[float]]] = {}
    for row, of_step in enumerate(values):
        for name, number in of_step.items() if of_step else ():
            rows, numbers = gathered.setdefault(name, ([], []))
            rows.append(row)
            numbers.append(number)
    return {
        name: LoggedValue(np.array(rows, np.intp), np.array(numbers, np.float64))
        for name, (rows, numbers) in gathered.items()
    }


def concatenate(blocks: Sequence[StepBlock]) -> StepBlock:
    """Returns one block with the steps of one or more successive blocks."""
    if len(blocks) == 1:
        return blocks[0]
    clipped = np.concatenate([block.clipped for block in blocks])
    starts = np.cumsum([0, *map(len, blocks)])
    values: dict[str, list[LoggedValue]] = {}
    for block, start in zip(blocks, starts.tolist()):
        for name, value in block.values.items():
            moved = LoggedValue(value.rows + start, value.numbers)
            values.setdefault(name, []).append(moved)
    return StepBlock(
        np.concatenate([block.numbers for block in blocks]),
        np.concatenate([block.times for block in blocks]),
        np.concatenate([block.norms for block in blocks]),
        np.concatenate([block.absent for block in blocks]),
        np.concatenate([block.loss_scales for block in blocks]),
        np.concatenate([block.skipped for block in blocks]),
        np.concatenate([block.discarded for block in blocks]),
        np.concatenate([block.unclipped for block in blocks]) if clipped.any() else None,
        clipped,
        {
            name: LoggedValue(
                np.concatenate([part.rows for part in parts]),
                np.concatenate([part.numbers for part in parts]),
            )
            for name, parts in values.items()
        },
        concatenate_times([block.rank_times for block in blocks]),
        concatenate_signals(
            [block.signals for block in blocks], [block.norms.shape for block in blocks]
        ),
    )
