"""Reads the offline run of neptune-scale, `run_operations.sqlite3`.

Each row of its table holds a protocol buffer (neptune_api, ingest/v1/common.proto).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from gradsound.logs.databases.sqlite_file import read_all, read_new_rows
from gradsound.logs.names.unread_norms import report_unread
from gradsound.logs.protobuf import read_fields, to_bytes, to_text
from gradsound.logs.row import Row
from gradsound.logs.scalars import make_scalars

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore

TOOL = "Neptune"
TABLES = {
    "run_operations": {"sequence_id", "operation_type", "operation"},
    "metadata": {"project", "run_id"},
}

_RUN = "SELECT run_id FROM metadata LIMIT 1"
_CREATION = "SELECT operation FROM run_operations WHERE operation_type = 1 LIMIT 1"
_NEW_OPERATIONS = """
SELECT sequence_id, operation FROM run_operations
WHERE operation_type = 0 AND sequence_id > :last ORDER BY sequence_id LIMIT :limit
"""
# Field numbers.
_EXPERIMENT = 5  # of CreateRun
_STEP, _TIME, _APPEND = 1, 2, 8  # of UpdateRunSnapshot
_WHOLE, _MICRO = 1, 2  # of Step
_SECONDS, _NANOSECONDS = 1, 2  # of Timestamp
_KEY, _VALUE = 1, 2  # of an entry of a map
_FLOAT = 1  # of Value
_DOUBLE = struct.Struct("<d")


def list_runs(path: Path) -> list[tuple[str, str]]:
    """Returns id and name of the one run of the database.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If the database is damaged or locked.
    """
    runs = [str(run) for (run,) in read_all(path, _RUN)]
    names = [_read_name(operation) for (operation,) in read_all(path, _CREATION)]
    return [(run, "".join(names) or run) for run in runs]


def read(
    path: Path,
    run_id: str,  # noqa: ARG001 (a file has one run)
    on_damage: OnDamage,
    wait_for_more: WaitForMore = lambda: False,
) -> Iterator[Scalars | None]:
    """Yields the scalars of the run; `scalars` says how.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If no row can be read.
    """
    for rows in read_new_rows(path, _NEW_OPERATIONS, {}, on_damage, wait_for_more):
        if rows is None:
            yield None
            continue
        entries = []
        for number, operation in rows:
            if (entry := _parse_snapshot(operation, on_damage)) is not None:
                entries.append(entry)
            else:
                on_damage(f"row {number:,} is damaged, left out")
        yield make_scalars(entries)


def _read_name(operation: bytes) -> str:
    """Returns the name of the experiment in a CreateRun; empty if it has none."""
    try:
        fields = dict(read_fields(operation))
        return to_text(fields.get(_EXPERIMENT, b""))
    except (ValueError, TypeError):
        return ""


def _parse_snapshot(operation: bytes, on_damage: OnDamage) -> Row | None:
    """Parses an UpdateRunSnapshot, which may have no values; None if it is damaged."""
    step = time = None
    values: dict[str, float | None] = {}
    try:
        for field, value in read_fields(operation):
            if field == _APPEND:
                values |= _parse_value(to_bytes(value))
            elif field == _STEP:
                step = _read_sum(to_bytes(value), _WHOLE, _MICRO, 1e-6)
            elif field == _TIME:
                time = _read_sum(to_bytes(value), _SECONDS, _NANOSECONDS, 1e-9)
    except (ValueError, TypeError, struct.error):
        return None
    # Neptune writes the names in any order, so sorting loses nothing.
    numbers = {}
    for name, number in sorted(values.items()):
        if number is None:
            report_unread(on_damage, name, "text", step)
        else:
            numbers[name] = number
    return Row(step, time, numbers)


def _parse_value(message: bytes) -> dict[str, float | None]:
    """Returns the number in an entry of a map by its name; None for another type."""
    entry = dict(read_fields(message))
    number = dict(read_fields(to_bytes(entry.get(_VALUE, b"")))).get(_FLOAT)
    name = to_text(entry.get(_KEY, b""))
    return {name: None if number is None else _DOUBLE.unpack(to_bytes(number))[0]}


def _read_sum(message: bytes, whole: int, part: int, unit: float) -> float:
    """Returns whole + part * unit, where `whole` and `part` are numbers of fields."""
    fields = dict(read_fields(message))
    first, second = fields.get(whole, 0), fields.get(part, 0)
    if isinstance(first, bytes) or isinstance(second, bytes):
        raise ValueError("no message: bytes where a number is expected")
    return float(first + second * unit)
