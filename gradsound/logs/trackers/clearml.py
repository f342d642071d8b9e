"""Reads the offline run of ClearML, `offline-ID` or `offline-ID.zip`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.logs.numbers import parse_number
from gradsound.logs.trackers.offline_lines import read_entries

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from gradsound.logs.entries import Entry
    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore

TOOL = "ClearML"
METRICS = "metrics.jsonl"  # which ClearML makes some seconds after the start

_TASK = "task.json"
_OTHERS = {METRICS, "log.jsonl"}
_MILLISECOND = 1e-3  # seconds; ClearML's unit of time
# The series of the Trainer's integration, whose names are the titles.
_PARTS = {"train", "eval", "test", "val", "validation"}


def is_offline_run(names: Collection[str]) -> bool:
    """Returns whether a folder or a zip file with these files is an offline run."""
    return _TASK in names and not _OTHERS.isdisjoint(names)


def is_metrics_file(head: bytes) -> bool:
    """Returns whether a file with this beginning is the `metrics.jsonl` of a run."""
    return head.startswith(b'[{"timestamp": ') and b'"task": "offline-' in head[:4096]


def read(
    path: Path, on_damage: OnDamage, wait_for_more: WaitForMore = lambda: False
) -> Iterator[Scalars | None]:
    """Yields the scalars of a run; `scalars` says how.

    Args:
        path: The folder of the run, its zip file or its `metrics.jsonl`.
        on_damage: Called with the number of each line that is damaged.
        wait_for_more: Called after each None. It returns whether to read on.

    Raises:
        OSError: If the log cannot be read.
    """
    return read_entries(path, METRICS, _parse_events, on_damage, wait_for_more)


def _parse_events(events: Any) -> Iterator[Entry]:
    for event in events if isinstance(events, list) else ():
        if (entry := _parse_event(event)) is not None:
            yield entry


def _parse_event(event: Any) -> Entry | None:
    """Returns the value in an event; None for a plot or the summary of a run."""
    if not isinstance(event, dict) or event.get("type") != "training_stats_scalar":
        return None
    title, series = event.get("metric"), event.get("variant")
    step, time = parse_number(event.get("iter")), parse_number(event.get("timestamp"))
    if not (isinstance(title, str) and isinstance(series, str)):
        return None
    if step is None or step < 0:  # ClearML gives -2**31 to the summary
        return None
    if series == title:
        name = title
    else:
        name = f"{series}/{title}" if series in _PARTS else f"{title}/{series}"
    return name, step, None if time is None else time * _MILLISECOND, event.get("value")
