"""Reads runs in a database of Trackio, `PROJECT.db`."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import lru_cache
from typing import TYPE_CHECKING

from gradsound.logs.databases.sqlite_file import read_all, read_new_rows, read_tables
from gradsound.logs.json_decoder import decode_json
from gradsound.logs.names.step_names import TRAINER_STEPS
from gradsound.logs.names.unread_norms import report_unread
from gradsound.logs.nested_values import split_numbers
from gradsound.logs.row import Row
from gradsound.logs.scalars import make_scalars

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore

TOOL = "Trackio"
TABLES: dict[str, set[str]] = {
    "metrics": {"id", "timestamp", "run_name", "step", "metrics"},
    "configs": set(),  # of any columns
}

_RUN_ID = "run_id"  # a column; before release 0.24 the name of a run is its id
# A run that was renamed has its newest name.
_RUNS = """
SELECT run, (SELECT run_name FROM metrics WHERE id = newest) FROM (
    SELECT {id} AS run, min(id) AS oldest, max(id) AS newest FROM metrics GROUP BY {id}
) ORDER BY oldest
"""
# Rows of other runs are counted but not loaded, so that a reader does not pass them again.
_NEW_METRICS = """
SELECT id, step, timestamp, CASE WHEN {id} = :run THEN metrics END
FROM metrics WHERE id > :last ORDER BY id LIMIT :limit
"""


def list_runs(path: Path) -> list[tuple[str, str]]:
    """Returns id and name of each run, the oldest first.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If the database is damaged or locked.
    """
    query = _RUNS.format(id=_find_id(path))
    return [(str(run), str(name)) for run, name in read_all(path, query)]


def read(
    path: Path,
    run_id: str,
    on_damage: OnDamage,
    wait_for_more: WaitForMore = lambda: False,
) -> Iterator[Scalars | None]:
    """Yields the scalars of a run; `scalars` says how.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If no row can be read.
    """
    query, run = _NEW_METRICS.format(id=_find_id(path)), {"run": run_id}
    last: float | None = None  # step of the trainer, for entries that lack it
    for rows in read_new_rows(path, query, run, on_damage, wait_for_more):
        if rows is None:
            yield None
            continue
        entries = []
        for number, step, time, metrics in rows:
            if metrics is None:
                continue
            try:
                values, others = split_numbers(decode_json(metrics))
            except (ValueError, AttributeError, TypeError):
                on_damage(f"row {number:,} is no JSON, left out")
                continue
            for name in TRAINER_STEPS:
                last = values.pop(name, last)
            own_step = step if isinstance(step, int) else None
            trainer_step = own_step if last is None else last
            for name, value in others.items():
                report_unread(on_damage, name, value, trainer_step)
            entries.append(Row(trainer_step, _parse_time(time), values))
        if entries:
            yield make_scalars(entries)


def _find_id(path: Path) -> str:
    """Returns the name of the column that tells runs apart."""
    has_id = _RUN_ID in read_tables(path).get("metrics", set())
    return _RUN_ID if has_id else "run_name"


@lru_cache(maxsize=1)  # Trackio gives all rows that it writes at once the same time
def _parse_time(text: object) -> float | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()
