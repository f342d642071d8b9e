"""Reads runs in the database of MLflow, `mlflow.db`, which it writes by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.logs.databases.sqlite_file import read_all, read_new_rows
from gradsound.logs.entries import make_scalars

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore

TOOL = "MLflow"
TABLES = {
    "metrics": {"run_uuid", "key", "value", "timestamp", "step", "is_nan"},
    "runs": {"run_uuid", "name", "lifecycle_stage", "experiment_id", "start_time"},
    "experiments": {"experiment_id", "lifecycle_stage"},
    "tags": {"run_uuid", "key", "value"},
}

# Older releases kept the name of a run in a tag alone.
_RUNS = """
SELECT runs.run_uuid, coalesce(nullif(runs.name, ''), tags.value, runs.run_uuid) FROM runs
JOIN experiments ON experiments.experiment_id = runs.experiment_id
LEFT JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'mlflow.runName'
WHERE runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'
ORDER BY runs.start_time, runs.rowid
"""
# MLflow's unit of time is the millisecond. It stores NaN as 0 with a mark; SQLite has none.
_NEW_METRICS = """
SELECT rowid, key, step, timestamp / 1000.0, CASE WHEN is_nan THEN 'nan' ELSE value END
FROM metrics WHERE run_uuid = :run AND rowid > :last ORDER BY rowid LIMIT :limit
"""
_INFINITY = np.finfo(np.float64).max  # MLflow stores infinity as the largest number


def list_runs(path: Path) -> list[tuple[str, str]]:
    """Returns id and name of each run that is not deleted, the oldest first.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If the database is damaged or locked.
    """
    return [(str(run), str(name)) for run, name in read_all(path, _RUNS)]


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
    run = {"run": run_id}
    for rows in read_new_rows(path, _NEW_METRICS, run, on_damage, wait_for_more):
        if rows is None:
            yield None
            continue
        scalars = make_scalars([row[1:] for row in rows], on_damage)
        infinite = np.abs(scalars.values) == _INFINITY
        scalars.values[infinite] *= np.inf
        yield scalars
