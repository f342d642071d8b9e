"""Detection of alarms in a run whose layers are the ranks of one training.

Shapes: S steps, R ranks.
"""

from __future__ import annotations

from dataclasses import replace
from math import log10
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.lasting_outliers import LastingOutliers
from gradsound.alarms.norm_detector import NormDetector
from gradsound.alarms.rank_centers import (
    PAIR,
    center,
    median_known,
    median_ranks,
    spread_pairs,
)
from gradsound.alarms.rank_presence import RankPresence
from gradsound.alarms.step_report import StepReports
from gradsound.alarms.straggler_detector import StragglerDetector
from gradsound.alarms.thresholds import (
    FEW_RANKS,
    FINITE_STEPS,
    RANK_RATIOS,
    WINDOW_STEPS,
    ZERO_RANK,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.lasting_outliers import Outliers
    from gradsound.alarms.loss_detector import LossLevels
    from gradsound.alarms.step_report import StepReport
    from gradsound.alarms.thresholds import Alarm, Thresholds
    from gradsound.runs.step_block import StepBlock


class RankDetector:
    """Finds ranks that deviate, are late or have stopped; and alarms of the median rank.

    It takes the place of a `NormDetector`, and finds the alarms of norms in the median of
    all ranks, so that an alarm of the whole training does not name each rank.

    Args:
        names: Names of the ranks, R of them.
        thresholds: Limits of the alarms of the median.
    """

    def __init__(self, names: Sequence[str], thresholds: Thresholds) -> None:
        self._names = names
        whole = f"the median of {len(names):,} ranks"
        self._whole = NormDetector((whole,), thresholds, in_model_order=False)
        once, short, long = map(log10, RANK_RATIOS)
        self._norms = LastingOutliers(len(names), (once, short, long), two_sided=True)
        self._levels = np.full((WINDOW_STEPS, len(names)), np.nan)  # decades, of few ranks
        self._stragglers = StragglerDetector(names)
        self._presence = RankPresence(names)
        self._nonfinite = np.zeros(len(names), bool)
        self._finite_streaks = np.zeros(len(names), int)  # steps

    def detect(
        self, steps: StepBlock, losses: LossLevels
    ) -> Iterator[tuple[int, list[Alarm]]]:
        """Yields the row of each step with alarms, and these.

        Args:
            steps: Successive steps, S of them.
            losses: Where the losses of the steps are, of length S.
        """
        if not len(steps):
            return
        reports = StepReports(steps.numbers, self._names)
        known = np.where(steps.absent, np.nan, steps.norms.astype(np.float64))
        nonfinite = steps.nonfinite
        self._detect_nonfinite(nonfinite, steps.absent, known, reports)
        known[nonfinite] = np.nan
        self._detect_deviations(known, reports)
        self._presence.detect(steps, reports)
        self._stragglers.detect(steps, reports)
        found = dict(reports.alarms())
        for row, alarms in self._whole.detect(_median_rank(steps), losses):
            found[row] = [*alarms, *found.get(row, ())]
        yield from sorted(found.items())

    def _detect_nonfinite(
        self,
        nonfinite: NDArray[np.bool_],
        absent: NDArray[np.bool_],
        norms: NDArray[np.float64],
        reports: StepReports,
    ) -> None:
        """Reports ranks with NaN or infinity while others have none."""
        some = nonfinite.any(axis=1)
        if not some.any() and not self._nonfinite.any():
            return  # nearly always
        finite = ~(nonfinite | absent)
        for row in range(len(nonfinite)):
            bad, good = nonfinite[row], finite[row]
            begun = bad & ~self._nonfinite
            if begun.any() and good.any():
                first = int(np.argmax(begun))
                what = "NaN" if np.isnan(norms[row, first]) else "infinity"
                count = int(good.sum())
                rest = f"the other {count:,} ranks have" if count > 1 else "the other has"
                detail = f": {what}, while {rest} none"
                reports[row].add("rank", "", begun, first, detail)
                self._nonfinite |= begun
            self._finite_streaks = np.where(good, self._finite_streaks + 1, 0)
            ended = self._nonfinite & (self._finite_streaks >= FINITE_STEPS)
            if ended.any():
                self._nonfinite &= ~ended
                self._add_end(reports[row], ended, "finite again:")

    def _detect_deviations(self, norms: NDArray[np.float64], reports: StepReports) -> None:
        """Reports ranks whose norms are far from those of the others."""
        middle = median_known(norms)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            decades = np.log10(norms)
        positive = np.where(norms > 0, decades, np.nan)
        decades = spread_pairs(positive - center(positive))
        zero = (norms == 0) & (middle > 0)
        cautious = None
        if len(self._names) <= FEW_RANKS:
            cautious = self._compare_levels(decades, positive)
            cautious[zero] = ZERO_RANK
        decades[zero] = ZERO_RANK
        begin = 0
        while begin < len(norms):
            rows = slice(begin, min(begin + self._norms.until_check, len(norms)))
            first = None if cautious is None else cautious[rows]
            for outliers in self._norms.find(decades[rows], cautious=first):
                row = begin + outliers.row
                self._report_deviation(outliers, norms[row], reports[row])
            begin = rows.stop

    def _compare_levels(
        self, decades: NDArray[np.float64], positive: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Returns the deviations, no larger than those from the level of the last steps.

        The median of few ranks is uncertain: it may itself be far from the usual norm.

        Args:
            decades: Deviations from the others, shape (S, R).
            positive: The norms in decades, shape (S, R).
        """
        known = np.concatenate([self._levels, positive])
        self._levels = known[-WINDOW_STEPS:]
        windows = np.lib.stride_tricks.sliding_window_view(known, WINDOW_STEPS, axis=0)
        before = windows[:-1].reshape(len(positive), -1)
        own = positive - center(before)
        nearest = np.fmin(np.abs(decades), np.where(own * decades > 0, np.abs(own), 0.0))
        is_known = ~np.isnan(own)
        return np.where(is_known, np.sign(decades) * nearest, decades)

    def _report_deviation(
        self, outliers: Outliers, norms: NDArray[np.float64], report: StepReport
    ) -> None:
        if not outliers.steps:
            self._add_end(report, outliers.ranks, "with the other ranks again:")
            return
        sizes = np.where(outliers.ranks, np.abs(outliers.numbers), -1.0)
        first = int(np.argmax(sizes))
        ratio = 10.0 ** outliers.numbers[first]
        others = f"the median of {len(self._names):,} ranks"
        if len(self._names) == PAIR:
            others = f"that of {self._names[1 - first]}"
        if outliers.steps == 1:
            detail = f": norm {norms[first]:.3g}, {ratio:.2g} x {others}"
        elif outliers.numbers[first] == ZERO_RANK:
            detail = f": norm 0, in {outliers.steps} steps"
        else:
            detail = f": norm {ratio:.2g} x {others}, in {outliers.steps} steps"
        report.add("rank", "", outliers.ranks, first, detail)

    @staticmethod
    def _add_end(report: StepReport, ranks: NDArray[np.bool_], text: str) -> None:
        report.add_recovery("rank", text, ranks)


def _median_rank(steps: StepBlock) -> StepBlock:
    """Returns steps with one layer: the median of the ranks, at each step."""
    norms, absent = median_ranks(steps.norms, steps.absent)
    clipped = np.zeros(len(steps), bool)
    return replace(
        steps, norms=norms, absent=absent, raw=None, clipped=clipped, rank_times=None
    )
