"""Detection of all alarms of a run: in norms and signals, values, times and skips.

Each alarm has hysteresis: the detector reports a condition when it begins, and not again
before it has ended.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.collapse_detector import CollapseDetector
from gradsound.alarms.loss_detector import LossDetector
from gradsound.alarms.norm_detector import NormDetector
from gradsound.alarms.run_end import end_alarm
from gradsound.alarms.stall_detector import StallDetector
from gradsound.alarms.thresholds import SKIP_COUNTS, Alarm
from gradsound.alarms.watched_values import WatchedValues
from gradsound.runs.rank_layers import are_ranks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.loss_detector import LossLevels
    from gradsound.alarms.rank_detector import RankDetector
    from gradsound.alarms.signal_detector import SignalDetector
    from gradsound.alarms.thresholds import Thresholds
    from gradsound.runs.model import Header
    from gradsound.runs.step import Step
    from gradsound.runs.step_block import StepBlock


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
        self._skip_streak, self._last_skipped = 0, -1  # steps; its count
        self._norms: NormDetector | RankDetector
        if are_ranks(names):
            from gradsound.alarms.rank_detector import RankDetector  # few runs have ranks

            self._norms = RankDetector(names, thresholds)
        else:
            ordered = header.in_model_order
            self._norms = NormDetector(names, thresholds, in_model_order=ordered)
        self._signals: SignalDetector | None = None
        if header.signals:
            from gradsound.alarms.signal_detector import SignalDetector  # few have any

            self._signals = SignalDetector(names)
        self._losses = LossDetector(thresholds.plateau_steps)
        self._experts = CollapseDetector(thresholds.collapsed)
        self._stalls = StallDetector(thresholds)
        self._values = WatchedValues()
        self._number = -1  # of the last step

    @property
    def stalled(self) -> bool:
        """Whether `detect_stall` has reported a stall since the last step."""
        return self._stalls.stalled

    def detect(self, steps: StepBlock) -> list[tuple[Alarm, ...]]:
        """Returns the alarms of each step."""
        if not len(steps):
            return []
        loss_alarms, losses = self._losses.detect(
            steps.numbers, self._values.pick(steps.values)
        )
        found: dict[int, list[Alarm]] = {}
        for row, alarm in (
            *self._stalls.detect(steps.numbers, steps.times, self._find_evaluated(steps)),
            *loss_alarms,
            *self._experts.detect(steps.numbers, self._values.pick_experts(steps.values)),
            *self._detect_skips(steps),
        ):
            found.setdefault(row, []).append(alarm)
        # The scaler threw away the gradients of skipped steps, so their norms mean nothing.
        applied = np.flatnonzero(~steps.skipped)
        if len(applied) < len(steps):
            layer_alarms = self._detect_layers(steps.take(applied), losses.take(applied))
        else:
            layer_alarms = self._detect_layers(steps, losses)
        for row, alarms in layer_alarms:
            found.setdefault(int(applied[row]), []).extend(alarms)
        self._number, self.step_count = int(steps.numbers[-1]), self.step_count + len(steps)
        of_steps: list[tuple[Alarm, ...]] = [()] * len(steps)  # nearly all have none
        for row, alarms in found.items():
            of_steps[row] = tuple(alarms)
        return of_steps

    def detect_stall(self, seconds: float) -> Alarm | None:
        """Returns a stall alarm while the next step is late, once for each pause.

        Args:
            seconds: Time since the last step.
        """
        return self._stalls.detect_stall(seconds)

    def end_alarm(self) -> Alarm:
        """Returns the alarm that announces the end of the run."""
        return end_alarm(self._number, self.step_count, self._stalls.time)

    def _detect_layers(
        self, steps: StepBlock, losses: LossLevels
    ) -> Iterator[tuple[int, list[Alarm]]]:
        """Yields rows with alarms in norms and signals, and these."""
        yield from self._norms.detect(steps, losses)
        if self._signals is not None:
            rates = self._values.pick(steps.values).get("lr")
            yield from self._signals.detect(steps, rates)

    def _find_evaluated(self, steps: StepBlock) -> NDArray[np.bool_]:
        """Returns which steps have an evaluation loss, shape (S,)."""
        evaluated = np.zeros(len(steps), bool)
        for name in self._values.evaluations.intersection(steps.values):
            evaluated[steps.values[name].rows] = True
        return evaluated

    def _detect_skips(self, steps: StepBlock) -> Iterator[tuple[int, Alarm]]:
        """Yields skipped steps whose streak is worth an alarm: row, and alarm."""
        rows = np.flatnonzero(steps.skipped).tolist()
        for row in rows:
            follows = self._last_skipped == self.step_count + row - 1
            self._skip_streak = self._skip_streak + 1 if follows else 1
            self._last_skipped = self.step_count + row
            if self._skip_streak in SKIP_COUNTS:
                yield row, self._skip_alarm(next(iter(steps.take(slice(row, row + 1)))))

    def _skip_alarm(self, step: Step) -> Alarm:
        nonfinite = [name for name, bad in zip(self._names, step.nonfinite) if bad]
        text = "thrown away by the training" if step.discarded else "skipped by the scaler"
        if self._skip_streak > 1:
            text = f"{self._skip_streak:,} steps on end {text}"
        if nonfinite:
            is_everywhere = len(nonfinite) == np.count_nonzero(~step.absent)
            text += f", not finite in {_describe(nonfinite, is_everywhere=is_everywhere)}"
        text += f", scale {step.loss_scale:g}" if step.loss_scale is not None else ""
        return Alarm("skipped", step.number, text, tuple(nonfinite))


def _describe(names: Sequence[str], *, is_everywhere: bool) -> str:
    """Returns which layers these are: all of them, or the first and how many more."""
    if len(names) == 1:
        return names[0]
    if is_everywhere:
        return f"all {len(names)} layers"
    return f"{names[0]} (and {len(names) - 1} more)"
