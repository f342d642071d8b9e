"""Durations as people read them: hours, minutes and seconds; or a count of steps."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """Returns a duration as 8.3 s, 2 min 13 s, or 26 h 3 min 4 s.

    Args:
        seconds: 0 or more.
    """
    if seconds < 59.95:  # else rounding would make it 60.0 s
        return f"{seconds:.1f} s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:,} h {minute} min {second} s" if hours else f"{minute} min {second} s"


def count_steps(count: int) -> str:
    """Returns "1 step", or "2,000 steps"."""
    return "1 step" if count == 1 else f"{count:,} steps"
