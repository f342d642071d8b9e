"""The tool that wrote a database is known by its tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from helpers.tracker_logs import (
    make_mlflow_database,
    make_neptune_database,
    make_trackio_database,
)

from gradsound.errors import RunFormatError
from gradsound.logs.databases.database_formats import find_format

if TYPE_CHECKING:
    from pathlib import Path


def test_each_tool_is_known(tmp_path: Path) -> None:
    """The name of the file does not matter."""
    make_mlflow_database(tmp_path / "a")
    make_trackio_database(tmp_path / "b")
    make_neptune_database(tmp_path / "c", "run", "experiment")
    tools = [find_format(tmp_path / name).TOOL for name in "abc"]
    assert tools == ["MLflow", "Trackio", "Neptune"]


@pytest.mark.parametrize(
    ("tables", "listed"),
    [
        ([], "no tables"),
        (["metrics"], "the tables metrics"),
        (["users", "a\nb\x1b[31m", "x" * 99], f"the tables users, a?b?[31m, {'x' * 60}"),
    ],
    ids=["none", "one", "odd"],
)
def test_another_database_is_one_sentence(tmp_path: Path, tables, listed) -> None:
    """The sentence says what the file is and what gradsound reads, on one line."""
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 1")
        for table in tables:
            database.execute(f'CREATE TABLE "{table}" (step, norm)')
    with pytest.raises(RunFormatError) as caught:
        find_format(path)
    assert str(caught.value) == (
        f"{path}: is an SQLite database with {listed}; of databases, gradsound reads "
        "those of MLflow, Trackio and Neptune"
    )


def test_many_tables_are_counted(tmp_path: Path) -> None:
    """A sentence lists eight tables at most."""
    with closing(sqlite3.connect(tmp_path / "x.db")) as database:
        for k in range(20):
            database.execute(f"CREATE TABLE t{k} (a)")
    with pytest.raises(RunFormatError, match="t0, t1, t2, t3, t4, t5, t6, t7 and 12 more;"):
        find_format(tmp_path / "x.db")
