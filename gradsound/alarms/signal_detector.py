"""Detection of alarms in the signals of layers: what the optimizer does with gradients.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.coarse_detector import CoarseDetector
from gradsound.alarms.echo_detector import EchoDetector
from gradsound.alarms.leap_detector import LeapDetector
from gradsound.alarms.rank_centers import median_known
from gradsound.alarms.running_median import split
from gradsound.alarms.step_report import StepReports
from gradsound.alarms.still_detector import StillDetector
from gradsound.alarms.update_ratios import UpdateHistory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Alarm
    from gradsound.runs.step_block import LoggedValue, StepBlock

_CHUNK_NUMBERS = 1 << 14  # of layers in steps at a time; their windows take 2 MB


class SignalDetector:
    """Finds alarms in the signals of successive steps.

    Args:
        names: Names of the layers, L of them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        layers = len(names)
        self._names, self._updates = names, UpdateHistory(layers)
        self._still, self._leap = StillDetector(layers), LeapDetector(layers)
        self._echo, self._coarse = EchoDetector(layers), CoarseDetector(layers)
        self._rate = self._ratio = np.nan  # the last learning rate, and update ratio

    def detect(
        self, steps: StepBlock, rates: LoggedValue | None
    ) -> Iterator[tuple[int, list[Alarm]]]:
        """Yields the row of each step with alarms, and these.

        Args:
            steps: Successive steps that changed the weights, S of them.
            rates: The learning rates of the steps, if any has one.
        """
        if not len(steps):
            return
        known = np.full(len(steps), np.nan)
        if rates is not None:
            known[rates.rows] = rates.numbers
        filled = _fill(known, self._rate)
        self._rate = filled[-1]
        for part in split(len(steps), max(1, _CHUNK_NUMBERS // len(self._names))):
            for row, alarms in self._detect(steps.take(part), filled[part]):
                yield part.start + row, alarms

    def _detect(
        self, steps: StepBlock, rates: NDArray[np.float64]
    ) -> Iterator[tuple[int, list[Alarm]]]:
        """Yields the row of each step with alarms, and these, of a few steps."""
        reports = StepReports(steps.numbers, self._names)
        norms = np.where(steps.absent, np.nan, steps.norms.astype(np.float64))
        unknown = np.full(norms.shape, np.nan, np.float32)
        ratios, noise, zeros = (
            steps.signals.get(name, unknown) for name in ("update_ratio", "snr", "zeros")
        )
        updates = self._updates.measure(norms, ratios, rates)
        if updates is not None:
            self._still.detect(updates, reports)
            self._leap.detect(updates, reports)
        paces = self._find_paces(ratios, rates)
        self._echo.detect(steps.numbers, norms, noise, paces, reports)
        self._coarse.detect(zeros, norms, reports)
        yield from reports.alarms()

    def _find_paces(
        self, ratios: NDArray[np.float32], rates: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Returns the learning rates, or else the update ratios of most layers, (S,)."""
        most = _fill(median_known(ratios.astype(np.float64)), self._ratio)
        self._ratio = most[-1]
        return np.nan_to_num(np.where(np.isnan(rates), most, rates))


def _fill(numbers: NDArray[np.floating], first: float) -> NDArray[np.float64]:
    """Returns numbers with the last known one in place of NaN, shape (S,).

    Args:
        numbers: Shape (S,).
        first: What is known before them; NaN for nothing.
    """
    known = np.concatenate([[first], numbers])
    last = np.where(np.isnan(known), 0, np.arange(len(known)))
    return known[np.maximum.accumulate(last)][1:]
