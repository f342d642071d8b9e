"""Durations as people read and write them: hours, minutes, seconds; or a count of steps."""

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


def parse_time(text: str) -> float:
    """Returns the seconds of a time such as 42, 0:42 or 1:02:03.5.

    Raises:
        ValueError: If the text is not such a time.
    """
    try:
        parts = [float(part) for part in text.split(":")]
        if not (1 <= len(parts) <= 3 and all(0 <= part < 1e9 for part in parts)):
            raise ValueError
    except ValueError:
        raise ValueError(f"a time is seconds, m:ss or h:mm:ss, got {text!r}") from None
    return sum(part * 60.0**power for power, part in enumerate(reversed(parts)))
