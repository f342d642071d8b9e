"""Detection of stalls and of a lower throughput in the times of steps."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.median import lower_median
from gradsound.alarms.running_median import find_extremes, slide
from gradsound.alarms.thresholds import (
    KNOWN_PAUSES,
    LONG_STALL,
    LONG_STALL_SECONDS,
    MEMORY_STEPS,
    PAUSE_RATIO,
    STALL_GROWTH,
    WINDOW_STEPS,
    Alarm,
)
from gradsound.alarms.throughput_detector import ThroughputDetector
from gradsound.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Thresholds


class StallDetector:
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
        self._intervals = np.zeros(0)  # seconds, of the last `MEMORY_STEPS`
        self._longest_stall = 0.0  # seconds
        self._evaluation = 0.0  # seconds, of the longest evaluation that was a pause
        self._evaluations = 0  # those that were over before the last step
        self._was_evaluated = False  # whether the last step has an evaluation loss
        self._pause_count = 0  # of long intervals
        self._throughput = ThroughputDetector()

    def detect(
        self,
        numbers: NDArray[np.int64],
        times: NDArray[np.float64],
        evaluated: NDArray[np.bool_],
    ) -> Iterator[tuple[int, Alarm]]:
        """Yields the alarms of successive steps: the row of the step, and the alarm.

        Args:
            numbers: Numbers of the steps, shape (S,).
            times: Their times in seconds, shape (S,).
            evaluated: Whether the step has an evaluation loss, shape (S,). The evaluation
                took place before this step, or before the next one.
        """
        earlier, is_evaluation = self._count_evaluations(evaluated)
        first = 1 if self._number < 0 else 0  # the first step of a run has no interval
        intervals = np.diff(times, prepend=self.time)[first:]
        known = np.concatenate([self._intervals, intervals])
        history = len(self._intervals)
        is_long = _find_long(known, history)
        limit = self._thresholds.stall_seconds
        looked_at = is_long | (intervals >= limit)
        if len(intervals):
            looked_at[0] |= self.stalled
        for k in np.flatnonzero(looked_at).tolist():
            row, interval = k + first, float(intervals[k])
            pauses = _Pauses(known, history + k, self._pause_count)
            is_usual = is_evaluation[row] and self._is_usual(interval, int(earlier[row]))
            yield from self._detect_stall(
                row, int(numbers[row]), pauses, interval, is_usual=is_usual
            )
            if is_evaluation[row] and is_long[k]:
                self._evaluation = max(interval, self._evaluation)
            self._pause_count += int(is_long[k])
        for k, alarm in self._throughput.detect(numbers[first:], intervals):
            yield k + first, alarm
        self._intervals = known[-MEMORY_STEPS:]
        self.stalled, self.time = False, float(times[-1])
        self._number = int(numbers[-1])

    def _detect_stall(
        self, row: int, number: int, pauses: _Pauses, interval: float, *, is_usual: bool
    ) -> Iterator[tuple[int, Alarm]]:
        """Yields the alarm or the recovery of a step after a long interval."""
        reported = self.stalled
        if reported:
            text = f"steps again, after {format_duration(interval)}"
            yield row, Alarm("recovery", number, text, resolves="stall")
        elif self._is_stall(pauses, interval) and not is_usual:
            reported = True
            yield row, Alarm("stall", number, pauses.text("before, for", interval))
        if reported:
            self._longest_stall = max(self._longest_stall, interval)
        self.stalled = False

    def detect_stall(self, seconds: float) -> Alarm | None:
        """Returns a stall alarm while the next step is late, once for each pause.

        Args:
            seconds: Time since the last step.
        """
        pauses = _Pauses(self._intervals, len(self._intervals), self._pause_count)
        if self.stalled or not self._is_stall(pauses, seconds):
            return None
        self.stalled = True
        text = pauses.text("for", seconds)
        return Alarm("stall", self._number, text, persists=True)

    def _count_evaluations(
        self, evaluated: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Returns how many evaluations were over before each step, and which have one."""
        known = np.concatenate([[self._was_evaluated], evaluated])  # the step before, first
        earlier = self._evaluations + np.concatenate([[0], np.cumsum(known)[:-1]])
        self._was_evaluated, self._evaluations = bool(known[-1]), int(earlier[-1])
        return earlier[:-1], known[1:] | known[:-1]

    def _is_usual(self, interval: float, earlier: int) -> bool:
        """Returns whether an evaluation took so long before, or is the first."""
        return earlier == 0 or interval < PAUSE_RATIO * self._evaluation

    def _is_stall(self, pauses: _Pauses, seconds: float) -> bool:
        growth = STALL_GROWTH * self._longest_stall
        if seconds < max(self._thresholds.stall_seconds, growth):
            return False
        if len(pauses.last) < WINDOW_STEPS // 2:
            return False
        usual = pauses.usual
        if seconds < LONG_STALL_SECONDS:
            return seconds > self._thresholds.stall * usual
        is_longest = seconds > PAUSE_RATIO * pauses.longest
        is_sure = (
            seconds > self._thresholds.stall * usual
            or pauses.last[-1] > LONG_STALL * usual
            or pauses.count >= KNOWN_PAUSES
        )
        return seconds > LONG_STALL * usual and is_longest and is_sure


@dataclass(frozen=True, slots=True, eq=False)
class _Pauses:
    """The intervals before a step.

    Attributes:
        known: Intervals in seconds.
        end: How many of them come before the step.
        count: How many long intervals came before it.
    """

    known: NDArray[np.float64]
    end: int
    count: int

    @property
    def last(self) -> NDArray[np.float64]:
        """The last intervals, `WINDOW_STEPS` at most."""
        return self.known[max(0, self.end - WINDOW_STEPS) : self.end]

    @property
    def usual(self) -> float:
        """Their lower median."""
        return lower_median(self.last.tolist())

    @property
    def longest(self) -> float:
        """The longest of the last `MEMORY_STEPS` intervals."""
        return float(self.known[max(0, self.end - MEMORY_STEPS) : self.end].max())

    def text(self, when: str, seconds: float) -> str:
        """Returns the text of a stall."""
        ratio = seconds / max(self.usual, 1e-6)
        digits = ",.0f" if ratio >= 10 else ".2g"
        return f"no step {when} {format_duration(seconds)}, {ratio:{digits}} x the usual"


def _find_long(known: NDArray[np.float64], history: int) -> NDArray[np.bool_]:
    """Returns which of the intervals after a history are pauses.

    A pause is `LONG_STALL` times as long as the lower median of the intervals before it,
    `WINDOW_STEPS` at most.
    """
    now = known[history:]
    if not len(now):
        return np.zeros(0, bool)
    padded = np.concatenate([np.full(WINDOW_STEPS, inf), known])[history:]
    is_long = np.zeros(len(now), bool)
    lowest = find_extremes(np.minimum, padded[:-1], WINDOW_STEPS)
    possible = np.flatnonzero(now > LONG_STALL * lowest)
    ascending = np.sort(slide(padded[:-1], WINDOW_STEPS)[possible], axis=1)
    counts = np.minimum(WINDOW_STEPS, history + possible)
    medians = ascending[np.arange(len(possible)), np.maximum(counts - 1, 0) // 2]
    is_long[possible] = now[possible] > LONG_STALL * medians
    return is_long
