"""Detection of alarms in layer norms: non-finite, spiking, vanishing and dead layers.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from bisect import bisect_left
from math import log
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.spike_detector import SpikeDetector
from gradsound.alarms.step_report import StepReports
from gradsound.alarms.thresholds import (
    FINITE_STEPS,
    LIFE_STEPS,
    SPARSE_CHANCE,
    WARMUP_PATIENCE,
    WINDOW_STEPS,
    ZERO_CHANCE,
    ZERO_PATIENCE,
)
from gradsound.alarms.trend_detector import TrendDetector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.loss_detector import LossLevels
    from gradsound.alarms.step_report import StepReport
    from gradsound.alarms.thresholds import Alarm, Thresholds
    from gradsound.runs.step_block import StepBlock


class NormDetector:
    """Finds alarms in the norms of successive steps.

    Args:
        names: Names of the layers, L of them.
        thresholds: Limits of the alarms.
        in_model_order: Whether the names are in the order of the forward pass.
    """

    def __init__(
        self, names: Sequence[str], thresholds: Thresholds, *, in_model_order: bool
    ) -> None:
        self._names, self._thresholds = names, thresholds
        self._in_model_order = in_model_order
        layers = len(names)
        self._spikes = SpikeDetector(layers, thresholds)
        self._trend, self._step_count = TrendDetector(), 0
        self._is_open = False  # an alarm or a streak continues, so every step counts
        self._nonfinite, self._finite_streak = np.zeros(layers, bool), 0
        self._small_streaks = np.zeros(layers, int)
        self._vanished, self._risen_streaks = np.zeros(layers, bool), np.zeros(layers, int)
        self._dead_streaks = np.zeros(layers, int)
        self._longest_zeros = np.zeros(layers, int)  # steps, of streaks that ended
        self._zero_counts = np.zeros(layers, int)  # steps without gradient
        self._dead = np.zeros(layers, bool)

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
        norms, absent = steps.unclipped, steps.absent  # (S, L), clipping hides spikes
        if np.isfinite(norms).all() and not absent.any():  # nearly always
            known, largest = norms, norms.max(axis=1)
            limits = self._thresholds.vanishing * largest
            is_usual = not self._is_open and (norms.min(axis=1) > limits).all()
        else:
            known = np.where(absent | np.isinf(norms), np.nan, norms)
            largest = np.max(norms, axis=1, where=np.isfinite(norms), initial=0.0)
            is_usual = False
        if not is_usual:
            self._detect_states(norms, absent, largest, reports)
        self._step_count += len(steps)
        with np.errstate(divide="ignore"):  # norms may be 0
            decades = np.log10(known)
        self._spikes.detect(decades, largest, losses, reports)
        squares = np.square(np.where(absent, 0.0, norms), dtype=np.float64)
        self._trend.detect(np.sqrt(squares.sum(axis=1)), reports)
        yield from reports.alarms()

    def _detect_states(
        self,
        norms: NDArray[np.float32],
        absent: NDArray[np.bool_],
        largest: NDArray[np.float32],
        reports: StepReports,
    ) -> None:
        """Adds the alarms that last: layers that are not finite, vanishing or dead.

        Args:
            norms: Norms of the steps, shape (S, L).
            absent: Which layers have no gradient, shape (S, L).
            largest: The largest finite norm of each step, shape (S,).
            reports: The reports of the steps.
        """
        with np.errstate(invalid="ignore"):
            small = (norms > 0) & (norms < self._thresholds.vanishing * largest[:, None])
        nonfinite = ~(np.isfinite(norms) | absent)
        dead = absent | (norms == 0)
        unusual = [*np.flatnonzero((nonfinite | small | dead).any(axis=1)), len(norms)]
        row, count = 0, self._step_count
        while row < len(norms):
            if not self._is_open:
                row = unusual[bisect_left(unusual, row)]  # nearly all steps are usual
            if row < len(norms):
                self._step_count = count + row + 1
                report = reports[row]
                self._detect_nonfinite(nonfinite[row], norms[row], absent[row], report)
                self._detect_vanishing(small[row], norms[row], largest[row], report)
                self._detect_dead(dead[row], absent[row], report)
                streaks = self._small_streaks, self._dead_streaks
                states = self._nonfinite, self._vanished, *streaks
                self._is_open = any(state.any() for state in states)
            row += 1
        self._step_count = count

    def _detect_nonfinite(
        self,
        nonfinite: NDArray[np.bool_],
        norms: NDArray[np.float32],
        absent: NDArray[np.bool_],
        report: StepReport,
    ) -> None:
        self._finite_streak = 0 if nonfinite.any() else self._finite_streak + 1
        if nonfinite.any() and not self._nonfinite.any():
            self._report_nonfinite(nonfinite, norms, absent, report)
        self._nonfinite |= nonfinite
        if self._nonfinite.any() and self._finite_streak >= FINITE_STEPS:
            report.add_recovery("nonfinite", "finite again:", self._nonfinite)
            self._nonfinite[:] = False

    def _report_nonfinite(
        self,
        nonfinite: NDArray[np.bool_],
        norms: NDArray[np.float32],
        absent: NDArray[np.bool_],
        report: StepReport,
    ) -> None:
        """Adds the alarm, which names the layer where NaN or infinity began.

        The backward pass carries NaN from the last layers to the first, so it began in the
        last one. If the order of the layers is unknown, the alarm names the first.
        """
        indices = np.flatnonzero(nonfinite)
        origin = int(indices[-1] if self._in_model_order else indices[0])
        value = "NaN" if np.isnan(norms[origin]) else "infinity"
        between = ~absent[indices[0] : origin + 1]
        if self._in_model_order and between.sum() == len(indices) > 1:
            text = f"{value} from {self._names[origin]} down to {self._names[indices[0]]}"
            report.add_text("nonfinite", text, nonfinite, origin)
        else:
            report.add("nonfinite", f"{value} in", nonfinite, origin)

    def _detect_vanishing(
        self,
        small: NDArray[np.bool_],
        norms: NDArray[np.float32],
        largest: float,
        report: StepReport,
    ) -> None:
        self._small_streaks = np.where(small, self._small_streaks + 1, 0)
        is_early = self._step_count - self._small_streaks < WINDOW_STEPS
        patience = np.where(is_early, WARMUP_PATIENCE, 1) * self._thresholds.vanishing_steps
        new = (self._small_streaks >= patience) & ~self._vanished
        if new.any():
            first = int(np.argmax(new))
            share = f", {norms[first] / largest:.1g} of the largest"
            report.add("vanishing", "vanishing gradient in", new, first, share)
        self._vanished |= new
        risen = ~small & np.isfinite(norms) & (norms > 0)
        self._risen_streaks = np.where(risen, self._risen_streaks + 1, 0)
        recovered = self._vanished & (self._risen_streaks >= FINITE_STEPS)
        if recovered.any():
            report.add_recovery("vanishing", "no longer vanishing:", recovered)
        self._vanished &= ~recovered

    def _detect_dead(
        self, dead: NDArray[np.bool_], absent: NDArray[np.bool_], report: StepReport
    ) -> None:
        revived = ~dead & self._dead
        ended = np.where(dead, 0, self._dead_streaks)  # steps, of streaks that end now
        self._longest_zeros = np.maximum(self._longest_zeros, ended)
        self._zero_counts += ended
        self._dead_streaks = np.where(dead, self._dead_streaks + 1, 0)
        new = dead & ~self._dead & self._are_dead(absent)
        is_whole = len(self._names) == 1
        if new.any() and is_whole:
            report.add_whole("vanishing", f"the gradient is 0 for {LIFE_STEPS} steps")
        elif new.any():
            first = int(np.argmax(new))
            symptom = "without gradient" if absent[first] else "gradient 0"
            report.add("dead", "dead layer:", new, first, f", {symptom}")
        self._dead |= new
        if revived.any() and is_whole:
            report.add_whole("recovery", "the gradient is back", resolves="vanishing")
        elif revived.any():
            report.add_recovery("dead", "gradient again in", revived)
        self._dead &= ~revived

    def _are_dead(self, absent: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Returns which layers are dead after the current streaks of zeros, shape (L,).

        A layer may have zeros by design, so its streak must be improbable for the share of
        zeros that it had before. A layer with a short life, or whose norm is 0 from the
        first step, is dead after 16 steps, because some layers die at once; for it, the
        share of all layers counts. The norm of a whole model is 0 whenever a batch
        teaches nothing, so it needs as many. A user may freeze a layer that never had a
        gradient, so it is not dead.
        """
        streaks = self._dead_streaks
        before = self._step_count - streaks  # steps before the streaks
        life = before - self._zero_counts
        is_whole = len(self._names) == 1
        is_short = (life < LIFE_STEPS) | is_whole
        shares = (self._zero_counts + 1) / (before + 2)
        if not is_whole:
            all_zeros = (self._zero_counts + streaks).mean() / self._step_count
            shares = np.where(is_short, np.maximum(shares, all_zeros), shares)
        long = np.maximum(self._thresholds.dead_steps, LIFE_STEPS)
        chances = np.where(self._zero_counts > 0, log(SPARSE_CHANCE), log(ZERO_CHANCE))
        return np.asarray(
            (streaks >= np.where(is_short, long, self._thresholds.dead_steps))
            & (streaks > ZERO_PATIENCE * self._longest_zeros)
            & (streaks * np.log(shares) < chances)
            & (~absent | (life > 0))
        )
