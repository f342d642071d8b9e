"""Detection of ranks for which the others wait at each step.

All ranks of DistributedDataParallel end a step together, so the durations of their steps
are equal. What tells a straggler is that it waits least for the others' gradients.

Shapes: S steps, R ranks.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.lasting_outliers import LastingOutliers
from gradsound.alarms.rank_centers import center, spread_pairs
from gradsound.alarms.rank_clocks import RankClocks
from gradsound.alarms.thresholds import LATE_SECONDS, LATE_SHARE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.alarms.lasting_outliers import Outliers
    from gradsound.alarms.step_report import StepReport, StepReports
    from gradsound.runs.step_block import StepBlock

_WAIT_MIN = 1e-3  # seconds; a callback takes less
_INTERVALS = 32  # between steps; their median is the usual one


class StragglerDetector:
    """How late each rank is.

    Where the run files have the seconds for which each rank waited, these tell it, without
    any clock that ranks share. Otherwise the time of each step tells it, compared with the
    usual difference of the clocks.

    Args:
        names: Names of the ranks, R of them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._waits = LastingOutliers(len(names), (inf, inf, inf))
        self._clocks = RankClocks(len(names))
        self._delays = LastingOutliers(len(names), (inf, inf, inf), own_levels=False)
        self._times = np.zeros(0)  # seconds, of the last steps

    def detect(self, steps: StepBlock, reports: StepReports) -> None:
        """Reports ranks that begin to be late, or are no longer, in successive steps."""
        ranks = steps.rank_times
        if ranks is None:
            return
        late = spread_pairs(center(ranks.waits) - ranks.waits)
        # Of ranks that reduce gradients by themselves, no wait is known.
        has_wait = (ranks.waits > _WAIT_MIN).any(axis=1, keepdims=True)
        times = np.where(has_wait, np.nan, ranks.times)
        begin = 0
        while begin < len(steps):
            size = self._waits.until_check
            rows = slice(begin, min(begin + size, len(steps)))
            self._times = np.append(self._times, steps.times[rows])[-_INTERVALS - 1 :]
            intervals = np.diff(self._times)
            usual = float(np.median(intervals)) if len(intervals) else 0.0
            short, long = (max(limit, LATE_SHARE * usual) for limit in LATE_SECONDS)
            found = [
                *self._waits.find(late[rows], (inf, short, long)),
                *self._delays.find(
                    self._clocks.find_delays(times[rows]), (inf, short, inf)
                ),
            ]
            if rows.stop - begin == size:
                self._clocks.update(self._delays.far)
            for outliers in found:
                self._report(outliers, reports[begin + outliers.row])
            begin = rows.stop

    @staticmethod
    def _report(outliers: Outliers, report: StepReport) -> None:
        ranks = outliers.ranks
        if not outliers.steps:
            report.add_recovery("straggler", "as fast as the others again:", ranks)
            return
        first = int(np.argmax(np.where(ranks, outliers.numbers, -inf)))
        seconds = outliers.numbers[first]
        detail = f" is {seconds:.2g} s later than the others at each step"
        report.add("straggler", "", ranks, first, detail)
