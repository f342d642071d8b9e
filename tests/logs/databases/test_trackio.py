"""The database of Trackio: its runs are listed, and the JSON of its rows is read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from helpers.tracker_logs import entries_of, log_trackio, make_trackio_database

from gradsound.logs.databases import trackio
from gradsound.logs.databases.database_formats import has_tables
from gradsound.logs.databases.sqlite_file import read_tables


@pytest.fixture
def path(tmp_path) -> Path:
    """Returns a database without runs."""
    make_trackio_database(tmp_path / "project.db")
    return tmp_path / "project.db"


def refuse(report: str) -> None:
    """Fails if damage is reported."""
    raise AssertionError(report)


def values_of(path: Path, run: str) -> list[tuple[str, float, float]]:
    """Returns name, step and value of each entry of a run."""
    entries = entries_of(trackio.read(path, run, refuse))
    return [(name, step, value) for name, step, _, value in entries]


def test_numbers_are_found_at_any_depth(path) -> None:
    """Nested names join by slashes; texts, flags and histograms are no values."""
    metrics = {
        "grad_norm": 1 / 3,
        "text": "hello",
        "flag": True,
        "list": [1],
        "none": None,
        "nested": {"a": 1.5, "b": {"c": 2}},
        "hist": {"_type": "trackio.histogram", "bins": [1.0], "count": 3},
    }
    log_trackio(path, "aa", "first", {7: metrics})
    assert values_of(path, "aa") == [
        *(("grad_norm", 7, 1 / 3), ("nested/a", 7, 1.5), ("nested/b/c", 7, 2.0))
    ]


def test_texts_of_nan_and_infinity_are_numbers(path) -> None:
    """Trackio writes numbers that JSON lacks as texts."""
    texts = ["NaN", "Infinity", "-Infinity"]
    log_trackio(path, "aa", "x", {k: {"grad_norm": text} for k, text in enumerate(texts)})
    numbers = [value for _, _, value in values_of(path, "aa")]
    np.testing.assert_array_equal(numbers, [nan, inf, -inf])


def test_the_time_is_that_of_the_row(path) -> None:
    """Times are seconds since 1970."""
    log_trackio(path, "aa", "x", {0: {"grad_norm": 1.0}})
    ((_, _, time, _),) = entries_of(trackio.read(path, "aa", refuse))
    assert time == 1_796_007_585.5


def test_the_step_of_the_trainer_wins(path) -> None:
    """Trackio counts calls of log(); rows without a trainer's step keep the last."""
    rows = {
        0: {"before": 1.0},
        1: {"grad_norm": 2.0, "train/global_step": 500},
        2: {"loss": 3.0},
    }
    log_trackio(path, "aa", "x", rows)
    assert values_of(path, "aa") == [
        *(("before", 0, 1.0), ("grad_norm", 500, 2.0), ("loss", 500, 3.0))
    ]


def test_runs_of_the_same_name_are_told_apart(path) -> None:
    """Each run has its id; a run that was renamed has its newest name."""
    log_trackio(path, "bb", "first", {0: {"grad_norm": 1.0}})
    log_trackio(path, "aa", "first", {0: {"grad_norm": 2.0}})
    log_trackio(path, "bb", "renamed", {1: {"grad_norm": 3.0}})
    assert trackio.list_runs(path) == [("bb", "renamed"), ("aa", "first")]
    assert values_of(path, "bb") == [("grad_norm", 0, 1.0), ("grad_norm", 1, 3.0)]


def test_older_databases_have_names_alone(tmp_path) -> None:
    """Before release 0.24 the name of a run is its id."""
    path = tmp_path / "old.db"
    make_trackio_database(path, has_ids=False)
    assert has_tables(read_tables(path), trackio.TABLES)
    log_trackio(path, None, "first", {0: {"grad_norm": 1.0}})
    log_trackio(path, None, "second", {0: {"grad_norm": 2.0}})
    assert trackio.list_runs(path) == [("first", "first"), ("second", "second")]
    assert values_of(path, "second") == [("grad_norm", 0, 2.0)]


def test_a_damaged_row_is_left_out(path) -> None:
    """One report names the row; the rows around it are read."""
    log_trackio(path, "aa", "x", {k: {"grad_norm": k + 0.5} for k in range(3)})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE metrics SET metrics = X'7B22FF' WHERE id = 2")
    reports: list[str] = []
    values = [entry[3] for entry in entries_of(trackio.read(path, "aa", reports.append))]
    assert values == [0.5, 2.5]
    assert reports == ["row 2 is no JSON, left out"]


def test_only_new_rows_are_read_while_a_run_grows(path) -> None:
    """Each row comes once, among rows of other runs that come meanwhile."""
    log_trackio(path, "aa", "x", {0: {"grad_norm": 0.5}})
    batches = iter([[1], [], [2, 3]])

    def log_more() -> bool:
        log_trackio(path, "bb", "y", {9: {"grad_norm": 9.5}})
        steps = next(batches, None)
        rows = {step: {"grad_norm": step + 0.5} for step in steps or ()}
        log_trackio(path, "aa", "x", rows)
        return steps is not None

    groups = [
        None if piece is None else piece.values.tolist()
        for piece in trackio.read(path, "aa", refuse, log_more)
    ]
    assert groups == [[0.5], None, [1.5], None, None, [2.5, 3.5], None]


def test_other_databases_are_not_of_trackio(path) -> None:
    """The tables and columns of a database tell its tool."""
    tables = read_tables(path)
    assert has_tables(tables, trackio.TABLES)
    assert not has_tables({"metrics": tables["metrics"]}, trackio.TABLES)
    assert not has_tables({**tables, "metrics": {"id", "step", "value"}}, trackio.TABLES)
