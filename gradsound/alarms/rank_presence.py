"""Detection of ranks that make no steps any more while others go on.

Shapes: S steps, R ranks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.thresholds import STOPPED_SECONDS, STOPPED_STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.step_report import StepReports
    from gradsound.runs.step_block import StepBlock


class RankPresence:
    """The last step of each rank.

    Args:
        names: Names of the ranks, R of them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._missing = np.zeros(len(names), int)  # steps since the last one of each rank
        self._last_steps = np.full(len(names), -1)  # their numbers
        self._last_times = np.zeros(len(names))  # seconds, on the clock of the run
        self._stopped = np.zeros(len(names), bool)

    def detect(self, steps: StepBlock, reports: StepReports) -> None:
        """Reports the ranks that stop or go on in successive steps."""
        times = steps.rank_times
        has_step = ~steps.absent if times is None else ~np.isnan(times.times)
        unusual = ~has_step.all(axis=1)
        if not unusual.any() and not self._missing.any():
            self._note(has_step[-1], steps, -1)
            return  # nearly always
        for row in range(len(steps)):
            here = has_step[row]
            back = self._stopped & here
            self._missing = np.where(here, 0, self._missing + 1)
            self._note(here, steps, row)
            if back.any():
                self._stopped &= ~back
                reports[row].add_recovery("dead", "steps again of", back)
            waited = steps.times[row] - self._last_times
            stopped = ~self._stopped & (self._missing >= STOPPED_STEPS)
            if steps.times[row]:  # some runs have no clock
                stopped &= waited >= STOPPED_SECONDS
            if stopped.any():
                self._stopped |= stopped
                first = int(np.argmax(stopped))
                last = int(self._last_steps[first])
                detail = (
                    f" has stopped after step {last:,}" if last >= 0 else " has no step"
                )
                reports[row].add("dead", "", stopped, first, f"{detail}; others go on")

    def _note(self, here: NDArray[np.bool_], steps: StepBlock, row: int) -> None:
        self._last_steps[here] = steps.numbers[row]
        self._last_times[here] = steps.times[row]
