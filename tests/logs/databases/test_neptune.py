"""The offline database of neptune-scale: its protocol buffers are read as a run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from helpers.tracker_logs import (
    BEGIN,
    entries_of,
    log_neptune,
    make_neptune_database,
)

from gradsound.logs.databases import neptune
from gradsound.logs.databases.database_formats import has_tables
from gradsound.logs.databases.sqlite_file import read_tables


@pytest.fixture
def path(tmp_path) -> Path:
    """Returns the database of a run without metrics."""
    path = tmp_path / "run_operations.sqlite3"
    make_neptune_database(path, "lively-run-1", "my experiment")
    return path


def refuse(report: str) -> None:
    """Fails if damage is reported."""
    raise AssertionError(report)


def test_metrics_come_as_they_were_logged(path) -> None:
    """Names, steps, times and values are kept; a step may have a part of millionths."""
    norms = [1 / 3, nan, inf, -inf, 0.0]
    log_neptune(path, {k: {"grad_norm": norm} for k, norm in enumerate(norms)})
    log_neptune(path, {7.5: {"z": 2.0, "a": 3.0}})
    *found, first, second = entries_of(neptune.read(path, "", refuse))
    assert (first, second) == (
        *(("a", 7.5, BEGIN + 3.75, 3.0), ("z", 7.5, BEGIN + 3.75, 2.0)),
    )
    names, steps, times, numbers = zip(*found)
    assert {*names} == {"grad_norm"}
    assert steps == (0, 1, 2, 3, 4)
    assert times == tuple(BEGIN + step / 2 for step in steps)
    np.testing.assert_array_equal(numbers, norms)


def test_the_run_has_the_name_of_its_experiment(path, tmp_path) -> None:
    """A run without an experiment has its id as its name."""
    assert neptune.list_runs(path) == [("lively-run-1", "my experiment")]
    make_neptune_database(tmp_path / "other.sqlite3", "lively-run-2", "")
    assert neptune.list_runs(tmp_path / "other.sqlite3") == [("lively-run-2",) * 2]


def test_a_damaged_row_is_left_out(path) -> None:
    """One report names the row; the rows around it are read."""
    log_neptune(path, {k: {"grad_norm": k + 0.5} for k in range(3)})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "UPDATE run_operations SET operation = X'4203' WHERE sequence_id = 3"
        )
    reports: list[str] = []
    values = [entry[3] for entry in entries_of(neptune.read(path, "", reports.append))]
    assert values == [0.5, 2.5]
    assert reports == ["row 3 is damaged, left out"]


def test_only_new_rows_are_read_while_a_run_grows(path) -> None:
    """Each row comes once, soon after it was logged."""
    log_neptune(path, {0: {"grad_norm": 0.5}})
    batches = iter([{1: {"grad_norm": 1.5}}, {}, {2: {"grad_norm": 2.5}}])

    def log_more() -> bool:
        rows = next(batches, None)
        log_neptune(path, rows or {})
        return rows is not None

    groups = [
        None if piece is None else piece.values.tolist()
        for piece in neptune.read(path, "", refuse, log_more)
    ]
    assert groups == [[0.5], None, [1.5], None, None, [2.5], None]


def test_other_databases_are_not_of_neptune(path) -> None:
    """The tables and columns of a database tell its tool."""
    tables = read_tables(path)
    assert has_tables(tables, neptune.TABLES)
    assert not has_tables({"metadata": tables["metadata"]}, neptune.TABLES)
