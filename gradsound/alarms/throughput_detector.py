"""Detection of a lower throughput: steps that take longer for good."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.median import lower_median
from gradsound.alarms.running_median import slide
from gradsound.alarms.thresholds import (
    SLOW_END,
    SLOW_RATIO,
    SLOW_SECONDS,
    SLOW_STEPS,
    Alarm,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_CHECK_STEPS = 8  # steps between two checks


class ThroughputDetector:
    """The durations of the last steps, compared with the usual."""

    def __init__(self) -> None:
        self._last = np.zeros(0)  # seconds, of up to `SLOW_STEPS` steps
        self._earlier: deque[float] = deque(maxlen=SLOW_STEPS)  # seconds, means of _last
        self._usual: float | None = None  # their median
        self._limit = inf  # seconds; longer steps are slow
        self._count, self._slow_seconds, self._is_slow = 0, 0.0, False

    def detect(
        self, numbers: NDArray[np.int64], intervals: NDArray[np.float64]
    ) -> Iterator[tuple[int, Alarm]]:
        """Yields the alarms and recoveries of successive steps: index, and alarm.

        Args:
            numbers: Numbers of the steps, shape (K,).
            intervals: The seconds before each, shape (K,).
        """
        known = np.concatenate([self._last, intervals])
        history, count = len(self._last), self._count
        self._last, self._count = known[-SLOW_STEPS:], count + len(intervals)
        checks = np.arange(-(count + 1) % _CHECK_STEPS, len(intervals), _CHECK_STEPS)
        for k, mean in zip(checks.tolist(), _usual_means(known, history + 1 + checks)):
            # Nearly always, steps take as long as usual.
            if self._is_slow or mean > self._limit or (count + k + 1) % SLOW_STEPS == 0:
                for alarm in self._check(int(numbers[k]), count + k + 1, mean):
                    yield k, alarm
            else:
                self._slow_seconds = 0.0

    def _check(self, step: int, count: int, now: float) -> Iterator[Alarm]:
        """Yields the alarm or the recovery of a step.

        Args:
            step: Number of the step.
            count: How many intervals there are.
            now: Usual duration of the last steps in seconds.
        """
        usual = now if self._usual is None else self._usual
        if self._is_slow and now < SLOW_END * usual:
            self._is_slow = False
            text = "steps take as long as before"
            yield Alarm("recovery", step, text, resolves="slow")
        is_slow = now > self._limit
        self._slow_seconds += now * _CHECK_STEPS if is_slow else -self._slow_seconds
        if self._slow_seconds > SLOW_SECONDS and not self._is_slow:
            self._is_slow = True
            text = f"steps take {now / usual:.2g} x as long as usual"
            yield Alarm("slow", step, text, persists=True)
        if not is_slow and count % SLOW_STEPS == 0:
            self._earlier.append(now)
            self._usual = lower_median(self._earlier)
            self._limit = SLOW_RATIO * self._usual if len(self._earlier) > 1 else inf


def _usual_means(known: NDArray[np.float64], ends: NDArray[np.intp]) -> list[float]:
    """Returns the mean of the last `SLOW_STEPS` intervals before each of some ends.

    A single pause counts as three usual steps.
    """
    full = ends[ends >= SLOW_STEPS]
    parts = [known[None, :end] for end in ends[ends < SLOW_STEPS]]  # at the start of a run
    if len(full):
        parts.append(slide(known, SLOW_STEPS)[full - SLOW_STEPS])
    means: list[float] = []
    for part in parts:
        medians = np.sort(part, axis=1)[:, (part.shape[1] - 1) // 2]
        means += np.minimum(part, 3 * medians[:, None]).mean(axis=1).tolist()
    return means
