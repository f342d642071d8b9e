"""Statistics of the signals of a run: lowest, typical, highest and last number of a layer.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.summary.medians import Medians

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gradsound.runs.step_block import StepBlock

_LEAST = np.finfo(np.float32).tiny  # a median below it stands for 0


@dataclass(frozen=True, slots=True)
class SignalRange:
    """The numbers of one signal of a layer over a run.

    Attributes:
        name: Name of the layer.
        count: How many steps have a number.
        zeros: At how many of them it is exactly 0.
        lowest: The lowest number; NaN without one.
        typical: Median of the finite numbers, those of 0 too; NaN without one. Exact for
            262,144 numbers of all layers together; of more, to 1 % or better.
        highest: The highest number, which may be infinite; NaN without one.
        last: The last number; NaN without one.

    Example:
        >>> import numpy as np
        >>> import gradsound
        >>> header = gradsound.Header(layers=("fc",), parameters=(10,), start="")
        >>> one, absent = np.ones(1, np.float32), np.zeros(1, bool)
        >>> steps = [
        ...     gradsound.Step(k, k / 2, one, absent, signals={"snr": one / 2**k})
        ...     for k in range(3)
        ... ]
        >>> (snr,) = gradsound.summarize(gradsound.Run(header, steps)).signals["snr"]
        >>> snr.name, snr.count, snr.typical, snr.last
        ('fc', 3, 0.5, 0.25)
    """

    name: str
    count: int
    zeros: int
    lowest: float
    typical: float
    highest: float
    last: float


class SignalStatistics:
    """Statistics of all signals of a run.

    Args:
        layers: Names of the layers, L of them.
        signals: Names of the signals that the run has by its header.
    """

    def __init__(self, layers: Sequence[str], signals: Sequence[str]) -> None:
        self._layers = layers
        self._readings = {name: _Reading(len(layers)) for name in signals}

    def add(self, steps: StepBlock) -> None:
        """Adds the signals of successive steps."""
        for name, numbers in steps.signals.items():
            if name not in self._readings:
                self._readings[name] = _Reading(len(self._layers))
            self._readings[name].add(numbers)

    def ranges(self) -> Mapping[str, tuple[SignalRange, ...]]:
        """Returns the statistics of each layer, by the name of the signal."""
        return {name: one.ranges(self._layers) for name, one in self._readings.items()}


class _Reading:
    """Statistics of one signal, of L layers."""

    def __init__(self, layers: int) -> None:
        self._count, self._zeros = np.zeros(layers, int), np.zeros(layers, int)
        self._lowest, self._highest, self._last = (np.full(layers, np.nan) for _ in "123")
        self._medians = Medians(layers)

    def add(self, numbers: NDArray[np.float32]) -> None:
        """Adds successive steps, shape (S, L); NaN where a layer has no number."""
        known = ~np.isnan(numbers)
        self._count += known.sum(axis=0)
        self._zeros += (numbers == 0).sum(axis=0)
        self._lowest = np.fmin(self._lowest, np.fmin.reduce(numbers))
        self._highest = np.fmax(self._highest, np.fmax.reduce(numbers))
        lasts = len(numbers) - 1 - known[::-1].argmax(axis=0)
        last = numbers[lasts, np.arange(numbers.shape[1])]
        self._last = np.where(np.isnan(last), self._last, last)
        self._medians.add(numbers, np.isfinite(numbers))

    def ranges(self, layers: Sequence[str]) -> tuple[SignalRange, ...]:
        """Returns the statistics of each layer."""
        medians = self._medians.values()
        return tuple(
            SignalRange(
                name=name,
                count=int(self._count[k]),
                zeros=int(self._zeros[k]),
                lowest=_to_float(self._lowest[k]),
                typical=0.0 if medians[k] < _LEAST else _to_float(medians[k]),
                highest=_to_float(self._highest[k]),
                last=_to_float(self._last[k]),
            )
            for k, name in enumerate(layers)
        )


def _to_float(number: float) -> float:
    """Returns the number with the digits of float32: 0.1, not 0.10000000149011612."""
    return float(str(np.float32(number)))
