"""Leaps, norms above the ratio of a spike: of one step, and those a layer had before."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import inf, log10

from gradsound.alarms.thresholds import FEW_SPIKES, MEMORY_STEPS, RECORD_RATIO

_RECORD = log10(RECORD_RATIO)


@dataclass(slots=True)
class LeapMemory:
    """The leaps of one layer: successive norms above the ratio of a spike.

    Attributes:
        last: Step count of the last norm of a leap.
        steps: How many steps the current leap lasts.
        height: Its highest norm, in decades above the median.
        norm: Its highest norm, in decades.
        earlier: Step count, height and norm of the leaps before it, of the last
            `MEMORY_STEPS`.
    """

    last: int = -1
    steps: int = 0
    height: float = -inf
    norm: float = -inf
    earlier: deque[tuple[int, float, float]] = field(default_factory=deque)

    def add(self, step_count: int, height: float, norm: float) -> None:
        """Adds a norm that is far above the median."""
        if step_count - self.last > 1:
            if self.steps:
                self.earlier.append((self.last, self.height, self.norm))
            self.steps, self.height, self.norm = 0, -inf, -inf
        while self.earlier and self.earlier[0][0] < step_count - MEMORY_STEPS:
            self.earlier.popleft()
        self.last, self.steps = step_count, self.steps + 1
        self.height, self.norm = max(self.height, height), max(self.norm, norm)

    def is_usual(self, height: float, norm: float) -> bool:
        """Returns whether several earlier leaps were about as high."""
        if len(self.earlier) < FEW_SPIKES:
            return False
        _, heights, norms = zip(*self.earlier)
        is_record = height > max(heights) + _RECORD and norm > max(norms) + _RECORD
        return not is_record


@dataclass(frozen=True, slots=True)
class StepLeaps:
    """The leaps of one step, one for each layer that leaps.

    Attributes:
        row: Index of the step.
        layers: Indices of these layers.
        above: Their distances above the median, in decades.
        rare: Whether the distance is many deviations.
    """

    row: int
    layers: list[int]
    above: list[float]
    rare: list[bool]
