"""Detection of alarms in layer norms: non-finite, spiking, vanishing and dead layers.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.running_median import (
    RunningMedian,
    median,
    robust_deviation,
    split_steps,
)
from gradsound.alarms.thresholds import (
    DEVIATION_MIN,
    FINITE_STEPS,
    LIFE_STEPS,
    LONG_SPIKE_STEPS,
    PATIENCE,
    SPIKE_END,
    WINDOW_STEPS,
    Alarm,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Thresholds
    from gradsound.runs.model import Step


class NormDetector:
    """Finds alarms in the norms of successive steps.

    Args:
        names: Names of the layers, L of them.
        thresholds: Limits of the alarms.
    """

    def __init__(self, names: Sequence[str], thresholds: Thresholds) -> None:
        self._names, self._thresholds = names, thresholds
        layers = len(names)
        self._running_median, self._step_count = RunningMedian(layers), 0
        self._is_open = False  # an alarm or a streak continues, so every step counts
        self._nonfinite, self._finite_streak = np.zeros(layers, bool), 0
        self._spiking, self._spike_begin = np.zeros(layers, bool), 0
        self._small_streaks = np.zeros(layers, int)
        self._vanished, self._risen_streaks = np.zeros(layers, bool), np.zeros(layers, int)
        self._dead_streaks = np.zeros(layers, int)
        self._alive_since = np.zeros(layers, int)  # step count
        self._life_steps = np.zeros(layers, int)  # before the current dead streak
        self._dead = np.zeros(layers, bool)
        self._dead_steps = np.full(layers, thresholds.dead_steps)

    def detect(self, steps: Sequence[Step]) -> list[list[Alarm]]:
        """Returns the alarms of each step."""
        if not steps:
            return []
        reports = [_StepReport([], step.number, self._names) for step in steps]
        norms = np.stack(
            [step.unclipped for step in steps]
        )  # (S, L), clipping hides spikes
        absent = np.stack([step.absent for step in steps])
        with np.errstate(divide="ignore", invalid="ignore"):
            decades = np.log10(np.where(absent | np.isinf(norms), np.nan, norms))
            distances, spikes = self._find_spikes(decades)
            largest = np.max(norms, axis=1, where=np.isfinite(norms), initial=0.0)
            small = (norms > 0) & (norms < self._thresholds.vanishing * largest[:, None])
        spikes[: max(0, WINDOW_STEPS - self._step_count)] = False  # a run begins with leaps
        nonfinite = ~(np.isfinite(norms) | absent)
        dead = absent | (norms == 0)
        unusual = (nonfinite | spikes | small | dead).any(axis=1)
        for k, (step, report) in enumerate(zip(steps, reports)):
            self._step_count += 1
            if not (unusual[k] or self._is_open):
                continue  # the fast path of nearly all steps
            self._detect_nonfinite(nonfinite[k], step, report)
            self._detect_spike(spikes[k], distances[k], report)
            self._detect_vanishing(small[k], norms[k], largest[k], report)
            self._detect_dead(dead[k], absent[k], report)
            streaks = self._small_streaks, self._dead_streaks
            states = self._nonfinite, self._spiking, self._vanished, *streaks
            self._is_open = any(state.any() for state in states)
        return [report.alarms for report in reports]

    def _find_spikes(
        self, decades: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Returns the distances above the medians, and which are spikes, (S, L) each."""
        distances, spikes = [], []
        for chunk in split_steps(decades):
            windows = self._running_median.windows(chunk)
            medians = median(windows)
            above = chunk - medians
            leaps = above > np.log10(self._thresholds.spike_ratio)
            rows = leaps.any(axis=1)
            if rows.any():
                # Among many layers, one often has 32 norms that are close together by
                # chance. Its next norm would be a false spike, so the deviation is at least
                # the median of all layers.
                own = np.nan_to_num(robust_deviation(windows[rows], medians[rows]))
                deviation = np.maximum(own, np.median(own, axis=1, keepdims=True))
                deviation = np.maximum(deviation, DEVIATION_MIN)
                leaps[rows] &= above[rows] > self._thresholds.spike * deviation
            distances.append(above)
            spikes.append(leaps)
        return np.concatenate(distances), np.concatenate(spikes)

    def _detect_nonfinite(
        self, nonfinite: NDArray[np.bool_], step: Step, report: _StepReport
    ) -> None:
        self._finite_streak = 0 if nonfinite.any() else self._finite_streak + 1
        if nonfinite.any() and not self._nonfinite.any():
            first = int(np.argmax(nonfinite))
            value = "NaN" if np.isnan(step.unclipped[first]) else "infinity"
            report.add("nonfinite", f"{value} in", nonfinite, first)
        self._nonfinite |= nonfinite
        if self._nonfinite.any() and self._finite_streak >= FINITE_STEPS:
            report.add_recovery("nonfinite", "finite again:", self._nonfinite)
            self._nonfinite[:] = False

    def _detect_spike(
        self,
        spikes: NDArray[np.bool_],
        distances: NDArray[np.float32],
        report: _StepReport,
    ) -> None:
        if spikes.any() and not self._spiking.any():
            self._spike_begin = self._step_count
            first = int(np.argmax(np.where(spikes, distances, -np.inf)))
            ratio = f", {10 ** distances[first]:.3g} x its median"
            report.add("spike", "spike in", spikes, first, ratio)
        end = SPIKE_END * np.log10(self._thresholds.spike_ratio)
        spiking = spikes | (self._spiking & (distances > end))
        if self._spiking.any() and not spiking.any():
            lasted = self._step_count - self._spike_begin
            if lasted > LONG_SPIKE_STEPS:
                text = f"after {lasted} steps usual again:"
                report.add_recovery("spike", text, self._spiking)
        self._spiking = spiking

    def _detect_vanishing(
        self,
        small: NDArray[np.bool_],
        norms: NDArray[np.float32],
        largest: float,
        report: _StepReport,
    ) -> None:
        self._small_streaks = np.where(small, self._small_streaks + 1, 0)
        new = (self._small_streaks == self._thresholds.vanishing_steps) & ~self._vanished
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
        self, dead: NDArray[np.bool_], absent: NDArray[np.bool_], report: _StepReport
    ) -> None:
        revived = ~dead & self._dead
        begins = dead & (self._dead_streaks == 0)
        self._life_steps[begins] = self._step_count - 1 - self._alive_since[begins]
        self._alive_since[dead] = self._step_count
        self._dead_streaks = np.where(dead, self._dead_streaks + 1, 0)
        # A layer with a long life is dead after `dead_steps`. A layer with a short life is
        # dead after 16 steps, as is a norm of 0 from the first step, because some layers
        # die at once. A user may freeze a layer that never had a gradient, so it has no
        # alarm.
        new = (self._dead_streaks == self._dead_steps) & (self._life_steps >= LIFE_STEPS)
        long = self._dead_streaks == np.maximum(self._dead_steps, LIFE_STEPS)
        new |= long & (~absent | (self._life_steps > 0))
        new &= dead & ~self._dead
        if new.any():
            first = int(np.argmax(new))
            symptom = "without gradient" if absent[first] else "gradient 0"
            report.add("dead", "dead layer:", new, first, f", {symptom}")
        self._dead |= new
        if revived.any():
            report.add_recovery("dead", "gradient again in", revived)
            self._dead_steps[revived] *= PATIENCE
        self._dead &= ~revived


@dataclass(frozen=True, slots=True)
class _StepReport:
    """The alarms of one step.

    Attributes:
        alarms: In the order of detection.
        step: Number of the step.
        names: Names of the layers, L of them.
    """

    alarms: list[Alarm]
    step: int
    names: Sequence[str]

    def add(
        self,
        kind: str,
        text: str,
        layers: NDArray[np.bool_],
        first: int | None = None,
        detail: str = "",
        resolves: str = "",
    ) -> None:
        """Adds an alarm whose text names one layer and counts the others.

        Args:
            kind: As in `Alarm`.
            text: Words before the name of the layer.
            layers: Affected layers, shape (L,).
            first: Index of the layer to name; by default the first affected one.
            detail: Words after the name.
            resolves: As in `Alarm`.
        """
        named = int(np.argmax(layers)) if first is None else first
        others = [self.names[k] for k in np.flatnonzero(layers).tolist() if k != named]
        text = f"{text} {self.names[named]}{detail}"
        text += f" (and {len(others)} more)" if others else ""
        affected = (self.names[named], *others)
        # A spike does not persist, because the running median follows a lasting rise.
        persists = kind not in ("spike", "recovery")
        self.alarms.append(Alarm(kind, self.step, text, affected, persists, resolves))

    def add_recovery(self, kind: str, text: str, layers: NDArray[np.bool_]) -> None:
        """Adds the alarm that resolves a kind of alarm in layers."""
        self.add("recovery", text, layers, resolves=kind)
