"""Detection of all alarms of a run: in its norms, its losses, its times and its skips.

Each alarm has hysteresis: the detector reports a condition when it begins, and not again
before it has ended.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.loss_detector import LossDetector
from gradsound.alarms.norm_detector import NormDetector
from gradsound.alarms.pause_detector import PauseDetector
from gradsound.alarms.thresholds import SKIP_COUNTS, Alarm
from gradsound.alarms.watched_values import WatchedValues
from gradsound.durations import count_steps, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradsound.alarms.thresholds import Thresholds
    from gradsound.runs.model import Header, Step


class RunDetector:
    """Finds the alarms of a run in its successive steps.

    Args:
        header: Header of the run, with L layers.
        thresholds: Limits of the alarms.

    Attributes:
        layer_count: L.
        step_count: Number of steps so far.
    """

    def __init__(self, header: Header, thresholds: Thresholds) -> None:
        names = header.layers
        self._names = names
        self.layer_count, self.step_count = len(names), 0
        self._skip_streak = 0  # steps
        self._norms = NormDetector(names, thresholds, in_model_order=header.in_model_order)
        self._losses = LossDetector(thresholds.plateau_steps)
        self._pauses = PauseDetector(thresholds)
        self._values = WatchedValues()
        self._evaluated = False  # whether the last step had an evaluation loss
        self._number = -1  # of the last step

    @property
    def stalled(self) -> bool:
        """Whether `detect_stall` has reported a stall since the last step."""
        return self._pauses.stalled

    def detect(self, steps: Sequence[Step]) -> list[tuple[Alarm, ...]]:
        """Returns the alarms of each step."""
        found, applied, losses = [], [], []
        for step in steps:
            found.append(self._detect_values(step))
            if not step.skipped:
                # The scaler threw away the gradients of skipped steps, so their norms mean
                # nothing.
                applied.append(step)
                is_usual = "usual" if self._losses.is_usual else ""
                losses.append("worse" if self._losses.is_worse else is_usual)
            self._number, self.step_count = step.number, self.step_count + 1
        norm_alarms = iter(self._norms.detect(applied, losses))
        return [
            tuple(alarms) if step.skipped else (*alarms, *next(norm_alarms))
            for step, alarms in zip(steps, found)
        ]

    def detect_stall(self, seconds: float) -> Alarm | None:
        """Returns a stall alarm while the next step is late, once for each pause.

        Args:
            seconds: Time since the last step.
        """
        return self._pauses.detect_stall(seconds)

    def end_alarm(self) -> Alarm:
        """Returns the alarm that announces the end of the run."""
        seconds = self._pauses.time  # some logs have no clock
        took = f" in {format_duration(seconds)}" if seconds else ""
        text = f"end of the run: {count_steps(self.step_count)}{took}"
        return Alarm("end", self._number, text)

    def _detect_values(self, step: Step) -> list[Alarm]:
        """Returns the alarms of all but the norms of a step."""
        watched = self._values.pick(step.values)
        evaluated = self._values.has_evaluation(step.values)
        alarms = [
            *self._pauses.detect(step, evaluated=evaluated or self._evaluated),
            *self._losses.detect(
                step.number,
                watched.get("loss"),
                watched.get("evaluation"),
                watched.get("lr"),
            ),
            *self._detect_skip(step),
        ]
        self._evaluated = evaluated
        return alarms

    def _detect_skip(self, step: Step) -> Iterator[Alarm]:
        self._skip_streak = self._skip_streak + 1 if step.skipped else 0
        if self._skip_streak not in SKIP_COUNTS:
            return
        nonfinite = [name for name, bad in zip(self._names, step.nonfinite) if bad]
        text = "thrown away by the training" if step.discarded else "skipped by the scaler"
        if self._skip_streak > 1:
            text = f"{self._skip_streak:,} steps on end {text}"
        if nonfinite:
            is_everywhere = len(nonfinite) == np.count_nonzero(~step.absent)
            text += f", not finite in {_describe(nonfinite, is_everywhere=is_everywhere)}"
        text += f", scale {step.loss_scale:g}" if step.loss_scale is not None else ""
        yield Alarm("skipped", step.number, text, tuple(nonfinite))


def _describe(names: Sequence[str], *, is_everywhere: bool) -> str:
    """Returns which layers these are: all of them, or the first and how many more."""
    if len(names) == 1:
        return names[0]
    if is_everywhere:
        return f"all {len(names)} layers"
    return f"{names[0]} (and {len(names) - 1} more)"
