"""The alarm that announces the end of a run: how many steps it had, in what time."""

from __future__ import annotations

from gradsound.alarms.thresholds import Alarm
from gradsound.durations import count_steps, format_duration


def end_alarm(step: int, count: int, seconds: float) -> Alarm:
    """Returns the alarm of the end.

    Args:
        step: Number of the last step.
        count: How many steps the run has.
        seconds: Time of the last step; 0 in logs without a clock.
    """
    took = f" in {format_duration(seconds)}" if seconds else ""
    return Alarm("end", step, f"end of the run: {count_steps(count)}{took}")
