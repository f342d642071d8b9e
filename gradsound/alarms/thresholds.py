"""Thresholds of alarms, the kinds of alarms, and the `Alarm` that a detector returns."""

from __future__ import annotations

from dataclasses import dataclass

# In order of urgency: the announcer plays the first of several simultaneous alarms first.
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

# What the detectors take for usual.
WINDOW_STEPS = 32  # steps; two seconds or more, about as long as a listener remembers
MIN_STEPS = 16  # finite norms in a window; a median of fewer is too uncertain
# Norms.
DEVIATION_MIN = 0.05  # decades; else near-constant norms spike at any change
SPIKE_END = 0.5  # of log10(spike_ratio); hysteresis, as norms flicker around the limit
LONG_SPIKE_STEPS = 10  # steps; only the end of a longer spike is worth an alarm
FINITE_STEPS = 3  # finite steps that end a nonfinite or a vanishing alarm
LIFE_STEPS = 16  # steps with gradients after which a loss of them is unusual
PATIENCE = 4  # times; a layer that revived by itself gets this many times the dead_steps
# Losses, pauses and skipped steps.
LOSS_FALL = 0.01  # of the earlier median; a smaller fall is no progress
PLATEAU_CHECKS = 10  # per plateau_steps losses; each check sorts two windows
STALL_GROWTH = 2.0  # times the longest reported pause; regular evaluation pauses alike
SKIP_COUNTS = (1, 10, 100, 1000, 10_000)  # consecutive skipped steps that raise an alarm


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The limits at which a detector raises an alarm; docs/listening.md gives the reasons.

    Attributes:
        spike: A spike is more than this many robust standard deviations above the median
            of the layer's last 32 norms, in log10. The deviation is that of the layer or
            the median of all layers, whichever is larger.
        spike_ratio: A spike is also more than this many times the same median.
        vanishing: A vanishing layer's norm is below this ratio to the largest norm of the
            same step.
        vanishing_steps: Consecutive steps below that ratio before the alarm.
        dead_steps: Consecutive steps without gradient, or with a norm of exactly 0, before
            the alarm.
        plateau_steps: The detector compares the medians of two successive windows of this
            many losses (`Attachment.log_values`). A fall of 1 % or less is a plateau.
        stall: A stall is longer than this many times the median of the last 32 intervals
            between steps.
        stall_seconds: A stall also lasts at least this many seconds.

    Raises:
        ValueError: If a threshold is not above 0.

    Example:
        >>> from dataclasses import replace
        >>> import gradsound
        >>> patient = gradsound.Thresholds(dead_steps=50)
        >>> preset = replace(gradsound.PRESETS["notes"], thresholds=patient)
        >>> preset.thresholds.dead_steps
        50
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
    """An event in a run that a user should know at once.

    Attributes:
        kind: One of `KINDS`.
        step: Number of the step at which the detector found it.
        text: The event in a few words.
        layers: Names of the affected layers, the one in ``text`` first. Empty if the event
            concerns the whole run.
        persists: Whether the condition lasts until a later alarm resolves it.
        resolves: The kind of alarm that this one ends in its layers; "" if none.
    """

    kind: str
    step: int
    text: str
    layers: tuple[str, ...] = ()
    persists: bool = False
    resolves: str = ""
