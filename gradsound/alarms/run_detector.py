"""Watching a run: finds in its steps what somebody should know at once.

Each alarm has hysteresis: what goes on is told when it begins, and not again before it is
over.

Shapes: S steps, L layers.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.norm_detector import NormDetector
from gradsound.alarms.running_median import MEMORY
from gradsound.alarms.thresholds import Alarm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.alarms.thresholds import Thresholds
    from gradsound.runs.model import Step

_AGAIN = 2.0  # times longer than any pause before, or it is no news
_FALL = 0.01  # of the loss; less is no progress
_LOSS = "loss"  # the value that has a plateau
_LOOKS = 10  # at it, in the time that a plateau takes


class RunDetector:
    """Looks at every step of a run, in order.

    Args:
        names: The layers', L of them.
        thresholds: When there is an alarm.

    Attributes:
        layers: How many there are, L.
        steps: How many steps it has seen.
        stalled: Whether it was said that no step comes, and none has since.
    """

    def __init__(self, names: Sequence[str], thresholds: Thresholds) -> None:
        self._names, self._limits, self.layers = names, thresholds, len(names)
        self._found: list[Alarm] = []  # at the step that is looked at
        self._number, self.steps, self._time = -1, 0, 0.0  # of the last step
        self._times: deque[float] = deque(maxlen=MEMORY)  # intervals, seconds
        self._longest, self.stalled = 0.0, False  # pause that was told, seconds
        self._skips = 0  # on end
        self._norms = NormDetector(names, thresholds)
        # Numbers of steps, and their losses.
        self._losses: deque[tuple[int, float]] = deque(maxlen=2 * thresholds.plateau_steps)
        self._count, self._flat = 0, False  # how many there were; whether it was told

    def look(self, steps: Sequence[Step]) -> list[tuple[Alarm, ...]]:
        """Returns the alarms of each step."""
        counted = [step for step in steps if not step.skipped]  # others were thrown away
        of_norms = iter(self._norms.look(counted))
        found = []
        for step in steps:
            self._found = []
            self._look_at_time(step)
            if step.skipped:
                self._skip(step)
            else:
                self._skips = 0
                self._found += next(of_norms)
            if _LOSS in step.values:
                self._look_at_loss(step)
            self._number, self.steps = step.number, self.steps + 1
            found.append(tuple(self._found))
        return found

    def waited(self, seconds: float) -> Alarm | None:
        """An alarm if no step has come for so long, the first time that it is asked."""
        if self.stalled or not self._is_stall(seconds):
            return None
        self.stalled = True
        text = self._stall_text("for", seconds)
        return Alarm("stall", self._number, text, lasts=True)

    def end(self) -> Alarm:
        """What is said when the run is over."""
        count = "1 step" if self.steps == 1 else f"{self.steps:,} steps"
        took = f" in {self._time:.1f} s" if self._time else ""  # a log may have no clock
        return Alarm("end", self._number, f"end of the run: {count}{took}")

    def _look_at_time(self, step: Step) -> None:
        interval = step.time - self._time
        if self.steps:
            if self.stalled:
                text = f"steps again, after {interval:.1f} s"
                self._tell("recovery", step, text, ends="stall")
            elif self._is_stall(interval):
                self._tell("stall", step, self._stall_text("before, for", interval))
            if self.stalled or self._found:
                self._longest = max(self._longest, interval)
            self._times.append(interval)
        self.stalled, self._time = False, step.time

    def _is_stall(self, seconds: float) -> bool:
        if seconds < max(self._limits.stall_seconds, _AGAIN * self._longest):
            return False
        enough = len(self._times) >= MEMORY // 2
        return enough and seconds > self._limits.stall * float(np.median(self._times))

    def _stall_text(self, when: str, seconds: float) -> str:
        times = seconds / max(float(np.median(self._times)), 1e-6)
        return f"no step {when} {seconds:.1f} s, {times:,.0f} x the usual"

    def _skip(self, step: Step) -> None:
        self._skips += 1
        if self._skips not in (1, 10, 100, 1000, 10_000):
            return
        lost = [name for name, bad in zip(self._names, step.nonfinite) if bad]
        what = "skipped by the scaler"
        if self._skips > 1:
            what = f"{self._skips:,} steps on end {what}"
        where = f", not finite in {lost[0]}" if lost else ""
        scale = f", scale {step.scale:g}" if step.scale is not None else ""
        self._tell("skipped", step, f"{what}{where}{scale}", tuple(lost))

    def _look_at_loss(self, step: Step) -> None:
        span = self._limits.plateau_steps
        self._losses.append((step.number, step.values[_LOSS]))
        index = self._count  # losses, not steps: some have none, and logs not all of them
        self._count += 1
        if len(self._losses) < 2 * span or index % max(1, span // _LOOKS):
            return
        # NaN is the largest of some, which says nothing of the median.
        losses = np.nan_to_num([loss for _, loss in self._losses], nan=np.inf)
        before, now = np.median(losses[:span]), np.median(losses[span:])
        if not np.isfinite([before, now]).all():
            return
        if now < before - _FALL * abs(before):
            if self._flat:
                self._tell("recovery", step, f"the loss falls: {now:.4g}", ends="plateau")
            self._flat = False
        elif not self._flat:
            self._flat = True
            steps = step.number - self._losses[span - 1][0]
            text = f"plateau: the loss is {now:.4g}, {steps:,} steps before {before:.4g}"
            self._tell("plateau", step, text, lasts=True)

    def _tell(
        self,
        kind: str,
        step: Step,
        text: str,
        layers: tuple[str, ...] = (),
        *,
        lasts: bool = False,
        ends: str = "",
    ) -> None:
        self._found.append(Alarm(kind, step.number, text, layers, lasts, ends))
