"""An alarm as a line of text and as an object of JSON, for all commands that list them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradsound.alarms.thresholds import Alarm
    from gradsound.summary.alarm_lines import AlarmLine


def to_text(line: AlarmLine, step_width: int, kind_width: int) -> str:
    """Returns the step, the kind and the text in columns.

    Args:
        line: The line.
        step_width: Characters of the steps, which end alike.
        kind_width: Characters of the kinds, which begin alike.
    """
    return f"  {line.step:>{step_width},}  {line.kind:<{kind_width}}  {line.text}"


def to_object(alarm: Alarm) -> dict[str, Any]:
    """Returns the object that ``--json`` prints; docs/command-line.md lists its keys."""
    return {
        "step": alarm.step,
        "kind": alarm.kind,
        "layers": [*alarm.layers],
        "text": alarm.text,
        "persists": alarm.persists,
        "resolves": alarm.resolves or None,
    }
