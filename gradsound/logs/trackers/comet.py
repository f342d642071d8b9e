"""Reads the offline experiment of Comet, `ID.zip`."""

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

TOOL = "Comet"
MESSAGES = "messages.json"

_MILLISECOND = 1e-3  # seconds; Comet's unit of time


def is_offline_run(names: Collection[str]) -> bool:
    """Returns whether a folder or a zip file with these files is an experiment."""
    return {MESSAGES, "experiment.json"} <= {*names}


def is_messages_file(head: bytes) -> bool:
    """Returns whether a file with this beginning is the `messages.json` of a run."""
    return head.startswith(b'{"payload":') and b'"message_id":' in head[:4096]


def read(
    path: Path, on_damage: OnDamage, wait_for_more: WaitForMore = lambda: False
) -> Iterator[Scalars | None]:
    """Yields the scalars of an experiment; `scalars` says how.

    Args:
        path: The zip file, the folder with its content, or its `messages.json`.
        on_damage: Called with the number of each line that is damaged.
        wait_for_more: Called after each None. It returns whether to read on.

    Raises:
        OSError: If the log cannot be read.
    """
    return read_entries(path, MESSAGES, _parse_message, on_damage, wait_for_more)


def _parse_message(message: Any) -> Iterator[Entry]:
    """Yields the value in a message; a parameter or a file has none."""
    payload = message.get("payload") if isinstance(message, dict) else None
    metric = payload.get("metric") if isinstance(payload, dict) else None
    if not isinstance(payload, dict) or not isinstance(metric, dict):
        return
    name, value = metric.get("metricName"), metric.get("metricValue")
    if not isinstance(name, str):
        return
    time = parse_number(payload.get("local_timestamp"))
    step = parse_number(metric.get("step"))
    yield name, step, None if time is None else time * _MILLISECOND, value
