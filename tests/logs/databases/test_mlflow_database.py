"""The database of MLflow: its runs are listed, and their metrics read as logged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import count
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from helpers.tracker_logs import (
    BEGIN,
    add_mlflow_run,
    entries_of,
    log_mlflow,
    make_mlflow_database,
)

from gradsound.logs.databases import mlflow_database
from gradsound.logs.databases.database_formats import has_tables
from gradsound.logs.databases.sqlite_file import read_tables

RUNS = {"aa": "first", "bb": "second"}


@pytest.fixture
def path(tmp_path) -> Path:
    """Returns a database with two runs."""
    path = tmp_path / "mlflow #1?.db"  # characters that a URI must quote
    make_mlflow_database(path)
    for run, name in RUNS.items():
        add_mlflow_run(path, run, name)
    return path


def refuse(report: str) -> None:
    """Fails if damage is reported."""
    raise AssertionError(report)


def test_metrics_come_as_they_were_logged(path) -> None:
    """Names, steps, times in seconds and values are kept; NaN and infinities return."""
    values = {0: 1 / 3, 1: nan, 2: inf, 3: -inf, 4: 0.0, 5: 1.7976931348623157e308 / 3}
    log_mlflow(path, "aa", "grad_norm/fc1", values)
    log_mlflow(path, "bb", "grad_norm/fc1", {0: 99.0})
    log_mlflow(path, "aa", "loss", {5: 2 / 3})
    *found, last = entries_of(mlflow_database.read(path, "aa", refuse))
    assert last == ("loss", 5, BEGIN + 2.5, 2 / 3)
    names, steps, times, numbers = zip(*found)
    assert {*names} == {"grad_norm/fc1"}
    assert steps == (0, 1, 2, 3, 4, 5)
    assert times == tuple(BEGIN + step / 2 for step in steps)
    np.testing.assert_array_equal(numbers, [*values.values()])


def test_runs_are_listed_by_their_names_without_deleted_ones(path) -> None:
    """Oldest first; a run without a name has that of its tag, or its id."""
    add_mlflow_run(path, "cc", "gone", stage="deleted")
    add_mlflow_run(path, "dd", "in a deleted experiment", experiment=1)
    add_mlflow_run(path, "ee", "")
    add_mlflow_run(path, "ff", "first")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO runs VALUES ('gg', NULL, 9, 'active', 0)")
        database.execute("INSERT INTO tags VALUES ('mlflow.runName', 'of a tag', 'gg')")
    assert mlflow_database.list_runs(path) == [
        *(("aa", "first"), ("bb", "second"), ("ee", "ee"), ("ff", "first")),
        ("gg", "of a tag"),
    ]


def test_only_new_metrics_are_read_while_a_run_grows(path) -> None:
    """Each metric comes once, soon after it was logged; None follows what was there."""
    log_mlflow(path, "aa", "grad_norm", {0: 0.5, 1: 1.5})
    batches = iter([{2: 2.5}, {}, {3: 3.5, 4: 4.5}])
    other_steps = count()

    def log_more() -> bool:
        values = next(batches, None)
        log_mlflow(path, "bb", "grad_norm", {next(other_steps): 9.5})
        log_mlflow(path, "aa", "grad_norm", values or {})
        return values is not None

    groups = [
        None if piece is None else piece.values.tolist()
        for piece in mlflow_database.read(path, "aa", refuse, log_more)
    ]
    assert groups == [[0.5, 1.5], None, [2.5], None, None, [3.5, 4.5], None]


def test_long_runs_come_in_pieces(path) -> None:
    """A run of 20,000 values comes in order, in pieces of bounded size."""
    log_mlflow(path, "aa", "grad_norm", {k: k / 7 for k in range(20_000)})
    pieces = [*filter(None, mlflow_database.read(path, "aa", refuse))]
    assert len(pieces) > 1
    assert max(len(piece.values) for piece in pieces) <= 1 << 16
    steps = np.concatenate([piece.steps for piece in pieces])
    np.testing.assert_array_equal(steps, np.arange(20_000))


def test_other_databases_are_not_of_mlflow(path) -> None:
    """The tables and columns of a database tell its tool."""
    tables = read_tables(path)
    assert has_tables(tables, mlflow_database.TABLES)
    for table in ("metrics", "runs", "experiments"):
        others = {name: columns for name, columns in tables.items() if name != table}
        assert not has_tables(others, mlflow_database.TABLES)
    assert not has_tables(
        {**tables, "metrics": {"run_uuid", "key"}}, mlflow_database.TABLES
    )
