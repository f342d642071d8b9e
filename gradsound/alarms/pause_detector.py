"""Detection of stalls and of a lower throughput in the times of steps."""

from __future__ import annotations

from collections import deque
from statistics import median_low
from typing import TYPE_CHECKING

from gradsound.alarms.thresholds import (
    KNOWN_PAUSES,
    LONG_STALL,
    LONG_STALL_SECONDS,
    MEMORY_STEPS,
    PAUSE_RATIO,
    SLOW_END,
    SLOW_RATIO,
    SLOW_SECONDS,
    SLOW_STEPS,
    STALL_GROWTH,
    WINDOW_STEPS,
    Alarm,
)
from gradsound.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.alarms.thresholds import Thresholds
    from gradsound.runs.model import Step


_THROUGHPUT_STEPS = 8  # steps between two checks of the throughput


class PauseDetector:
    """Finds stalls and a lower throughput.

    Args:
        thresholds: Limits of the alarms.

    Attributes:
        stalled: Whether `detect_stall` has reported a stall since the last step.
        time: Time of the last step in seconds.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self.stalled, self.time = False, 0.0
        self._number = -1  # of the last step
        self._intervals: deque[float] = deque(maxlen=WINDOW_STEPS)  # seconds
        self._longest_stall = 0.0  # seconds
        self._pauses: deque[tuple[int, float]] = deque()  # descending seconds
        self._evaluation = 0.0  # seconds, of the longest evaluation
        self._count = self._pause_count = 0  # of intervals, of long ones
        self._throughput = _Throughput()

    def detect(self, step: Step, *, evaluated: bool) -> Iterator[Alarm]:
        """Yields the alarms of a step.

        Args:
            step: The step.
            evaluated: Whether the run was evaluated before the step.
        """
        interval = step.time - self.time
        if self._number >= 0:
            stall = ""
            if self.stalled:
                text = f"steps again, after {format_duration(interval)}"
                yield Alarm("recovery", step.number, text, resolves="stall")
            elif self._is_stall(interval) and not (evaluated and self._is_usual(interval)):
                stall = self._stall_text("before, for", interval)
                yield Alarm("stall", step.number, stall)
            if self.stalled or stall:
                self._longest_stall = max(self._longest_stall, interval)
            if evaluated and self._is_long(interval):
                self._evaluation = max(interval, self._evaluation)
            self._add(interval)
            yield from self._throughput.detect(step.number, interval)
        self.stalled, self.time, self._number = False, step.time, step.number

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

    def _add(self, interval: float) -> None:
        self._count += 1
        self._pause_count += self._is_long(interval)
        self._intervals.append(interval)
        while self._pauses and self._pauses[-1][1] <= interval:
            self._pauses.pop()
        self._pauses.append((self._count, interval))
        while self._pauses[0][0] <= self._count - MEMORY_STEPS:
            self._pauses.popleft()

    def _is_long(self, interval: float) -> bool:
        """Returns whether an interval is a pause."""
        known = self._intervals
        return bool(known) and interval > LONG_STALL * median_low(known)

    def _is_usual(self, interval: float) -> bool:
        """Returns whether an evaluation took so long before, or is the first."""
        return self._evaluation == 0.0 or interval < PAUSE_RATIO * self._evaluation

    def _is_stall(self, seconds: float) -> bool:
        growth = STALL_GROWTH * self._longest_stall
        if seconds < max(self._thresholds.stall_seconds, growth):
            return False
        if len(self._intervals) < WINDOW_STEPS // 2:
            return False
        usual = median_low(self._intervals)
        if seconds < LONG_STALL_SECONDS:
            return seconds > self._thresholds.stall * usual
        is_longest = seconds > PAUSE_RATIO * self._pauses[0][1]
        is_sure = (
            seconds > self._thresholds.stall * usual
            or self._intervals[-1] > LONG_STALL * usual
            or self._pause_count >= KNOWN_PAUSES
        )
        return seconds > LONG_STALL * usual and is_longest and is_sure

    def _stall_text(self, when: str, seconds: float) -> str:
        ratio = seconds / max(median_low(self._intervals), 1e-6)
        digits = ",.0f" if ratio >= 10 else ".2g"
        return f"no step {when} {format_duration(seconds)}, {ratio:{digits}} x the usual"


class _Throughput:
    """The durations of the last steps, compared with the usual."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=SLOW_STEPS)  # seconds
        self._usual: deque[float] = deque(maxlen=SLOW_STEPS)  # seconds, means of _last
        self._count, self._slow_seconds, self._is_slow = 0, 0.0, False

    def detect(self, step: int, interval: float) -> Iterator[Alarm]:
        """Yields the alarm or the recovery of a step."""
        self._count += 1
        self._last.append(interval)
        if self._count % _THROUGHPUT_STEPS:
            return
        # A single pause counts as three usual steps.
        limit = 3 * median_low(self._last)
        now = sum(min(seconds, limit) for seconds in self._last) / len(self._last)
        usual = median_low(self._usual) if self._usual else now
        if self._is_slow and now < SLOW_END * usual:
            self._is_slow = False
            text = "steps take as long as before"
            yield Alarm("recovery", step, text, resolves="slow")
        is_slow = len(self._usual) > 1 and now > SLOW_RATIO * usual
        self._slow_seconds += now * _THROUGHPUT_STEPS if is_slow else -self._slow_seconds
        if self._slow_seconds > SLOW_SECONDS and not self._is_slow:
            self._is_slow = True
            text = f"steps take {now / usual:.2g} x as long as usual"
            yield Alarm("slow", step, text, persists=True)
        if not is_slow and self._count % SLOW_STEPS == 0:
            self._usual.append(now)
