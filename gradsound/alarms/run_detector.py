"""Detection of alarms in a run: stalls, skipped steps, loss plateaus and norm alarms.

Each alarm has hysteresis: the detector reports a condition when it begins, and not again
before it has ended.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.norm_detector import NormDetector
from gradsound.alarms.thresholds import (
    LOSS_FALL,
    PLATEAU_CHECKS,
    SKIP_COUNTS,
    STALL_GROWTH,
    WINDOW_STEPS,
    Alarm,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.alarms.thresholds import Thresholds
    from gradsound.runs.model import Step

_LOSS = "loss"  # name of the logged value that the plateau alarm watches


class RunDetector:
    """Finds the alarms of a run in its successive steps.

    Args:
        names: Names of the layers, L of them.
        thresholds: Limits of the alarms.

    Attributes:
        layer_count: L.
        step_count: Number of steps so far.
        stalled: Whether `detect_stall` has reported a stall since the last step.
    """

    def __init__(self, names: Sequence[str], thresholds: Thresholds) -> None:
        self._names, self._thresholds = names, thresholds
        self.layer_count, self.step_count = len(names), 0
        self._alarms: list[Alarm] = []  # of the current step
        self._number, self._time = -1, 0.0  # of the last step
        self._intervals: deque[float] = deque(maxlen=WINDOW_STEPS)  # seconds
        self._longest_stall, self.stalled = 0.0, False  # seconds
        self._skip_streak = 0  # steps
        self._norm_detector = NormDetector(names, thresholds)
        # Numbers of steps and their losses: two windows of plateau_steps.
        self._losses: deque[tuple[int, float]] = deque(maxlen=2 * thresholds.plateau_steps)
        self._loss_count, self._on_plateau = 0, False

    def detect(self, steps: Sequence[Step]) -> list[tuple[Alarm, ...]]:
        """Returns the alarms of each step."""
        # The scaler threw away the gradients of skipped steps, so their norms mean nothing.
        applied = [step for step in steps if not step.skipped]
        norm_alarms = iter(self._norm_detector.detect(applied))
        alarms = []
        for step in steps:
            self._alarms = []
            self._detect_pause(step)
            if step.skipped:
                self._detect_skip(step)
            else:
                self._skip_streak = 0
                self._alarms += next(norm_alarms)
            if _LOSS in step.values:
                self._detect_plateau(step)
            self._number, self.step_count = step.number, self.step_count + 1
            alarms.append(tuple(self._alarms))
        return alarms

    def detect_stall(self, seconds: float) -> Alarm | None:
        """Returns a stall alarm while the next step is late, once for each pause.

        Args:
            seconds: Time since the last step.
        """
        if self.stalled or not self._is_stall(seconds):
            return None
        self.stalled = True
        text = self._stall_text("for", seconds)
        return Alarm("stall", self._number, text, persists=True)

    def end_alarm(self) -> Alarm:
        """Returns the alarm that announces the end of the run."""
        count = "1 step" if self.step_count == 1 else f"{self.step_count:,} steps"
        took = f" in {self._time:.1f} s" if self._time else ""  # some logs have no clock
        return Alarm("end", self._number, f"end of the run: {count}{took}")

    def _detect_pause(self, step: Step) -> None:
        interval = step.time - self._time
        if self.step_count:
            if self.stalled:
                text = f"steps again, after {interval:.1f} s"
                self._add("recovery", step, text, resolves="stall")
            elif self._is_stall(interval):
                self._add("stall", step, self._stall_text("before, for", interval))
            if self.stalled or self._alarms:
                self._longest_stall = max(self._longest_stall, interval)
            self._intervals.append(interval)
        self.stalled, self._time = False, step.time

    def _is_stall(self, seconds: float) -> bool:
        growth = STALL_GROWTH * self._longest_stall
        if seconds < max(self._thresholds.stall_seconds, growth):
            return False
        known = len(self._intervals) >= WINDOW_STEPS // 2
        return known and seconds > self._thresholds.stall * float(
            np.median(self._intervals)
        )

    def _stall_text(self, when: str, seconds: float) -> str:
        ratio = seconds / max(float(np.median(self._intervals)), 1e-6)
        return f"no step {when} {seconds:.1f} s, {ratio:,.0f} x the usual"

    def _detect_skip(self, step: Step) -> None:
        self._skip_streak += 1
        if self._skip_streak not in SKIP_COUNTS:
            return
        nonfinite = [name for name, bad in zip(self._names, step.nonfinite) if bad]
        text = "skipped by the scaler"
        if self._skip_streak > 1:
            text = f"{self._skip_streak:,} steps on end {text}"
        text += f", not finite in {nonfinite[0]}" if nonfinite else ""
        text += f", scale {step.loss_scale:g}" if step.loss_scale is not None else ""
        self._add("skipped", step, text, tuple(nonfinite))

    def _detect_plateau(self, step: Step) -> None:
        window = self._thresholds.plateau_steps
        self._losses.append((step.number, step.values[_LOSS]))
        index = self._loss_count  # of losses, because many logs have none at some steps
        self._loss_count += 1
        if len(self._losses) < 2 * window or index % max(1, window // PLATEAU_CHECKS):
            return
        # As infinity, a few NaN leave the median finite.
        losses = np.nan_to_num([loss for _, loss in self._losses], nan=np.inf)
        before, now = np.median(losses[:window]), np.median(losses[window:])
        if not np.isfinite([before, now]).all():
            return
        if now < before - LOSS_FALL * abs(before):
            if self._on_plateau:
                self._add(
                    "recovery", step, f"the loss falls: {now:.4g}", resolves="plateau"
                )
            self._on_plateau = False
        elif not self._on_plateau:
            self._on_plateau = True
            steps = step.number - self._losses[window - 1][0]
            text = f"plateau: the loss is {now:.4g}, {steps:,} steps before {before:.4g}"
            self._add("plateau", step, text, persists=True)

    def _add(
        self,
        kind: str,
        step: Step,
        text: str,
        layers: tuple[str, ...] = (),
        *,
        persists: bool = False,
        resolves: str = "",
    ) -> None:
        self._alarms.append(Alarm(kind, step.number, text, layers, persists, resolves))
