"""Alarms as plain data: their kinds, and when there is one."""

from __future__ import annotations

from dataclasses import dataclass

# The first is the most urgent.
KINDS = (
    "nonfinite",
    "stall",
    "dead",
    "spike",
    "vanishing",
    "skipped",
    "plateau",
    "recovery",
    "end",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When there is an alarm; docs/listening.md gives the reasons.

    Attributes:
        spike: How many robust standard deviations of log norm, its own and those of half
            of the layers, a layer's norm must be above the median of its last 32 steps.
        spike_ratio: And how many times the median.
        vanishing: A layer's norm, in relation to the largest of the same step, below which
            it trains nothing.
        vanishing_steps: For how many steps on end.
        dead_steps: For how many steps on end a layer has no gradient, or exactly 0.
        plateau_steps: The loss (`Attachment.log_values`) has not fallen for so many steps, in
            relation to as many before.
        stall: How many times the median of the last 32 intervals no step has come.
        stall_seconds: And how long.

    Raises:
        ValueError: If one is not above 0.
    """

    spike: float = 6.0
    spike_ratio: float = 5.0
    vanishing: float = 1e-6
    vanishing_steps: int = 20
    dead_steps: int = 3
    plateau_steps: int = 1000
    stall: float = 20.0
    stall_seconds: float = 2.0

    def __post_init__(self) -> None:
        if not min(getattr(self, name) for name in self.__slots__) > 0:
            raise ValueError(f"every threshold must be above 0, got {self}")


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that somebody should know.

    Attributes:
        kind: One of `KINDS`.
        step: Number of the step at which it was found.
        text: What it is, in a few words.
        layers: Names of those that it is about, the one that it names first; none if it is
            about the whole run.
        lasts: Whether it goes on until an alarm says that it is over.
        ends: The kind that is over with it, of these layers.
    """

    kind: str
    step: int
    text: str
    layers: tuple[str, ...] = ()
    lasts: bool = False
    ends: str = ""
