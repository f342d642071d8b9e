"""SQLite databases are read while others write them, and nothing is left beside them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from helpers.processes import started

from gradsound.errors import RunFormatError
from gradsound.logs.databases import sqlite_file
from gradsound.logs.databases.sqlite_file import read_all, read_new_rows, read_tables
from gradsound.logs.file_signatures import is_sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODES = ["wal", "delete", "truncate", "persist"]
QUERY = "SELECT rowid, a FROM t WHERE rowid > :last ORDER BY rowid LIMIT :limit"


def make_database(path: Path, mode: str = "delete", rows: int = 0) -> None:
    """Makes a database of some rows, and closes it."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"PRAGMA journal_mode = {mode}")
        database.execute("CREATE TABLE t (a, b)")
        values = [(k, "x" * 100) for k in range(rows)]
        database.executemany("INSERT INTO t VALUES (?, ?)", values)


@contextmanager
def run_python(program: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program that writes "ready" at some place, and waits for this."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with started(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process
        finally:
            process.kill()


def refuse(report: str) -> None:
    """Fails if damage is reported."""
    raise AssertionError(report)


def values_of(path: Path) -> list[int]:
    """Returns the values of all rows."""
    groups = read_new_rows(path, QUERY, {}, refuse, lambda: False)
    return [a for rows in groups if rows for _, a in rows]


INSERT = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=float(sys.argv[2]))
print("ready", flush=True)
for k in range(500):
    database.execute("INSERT INTO t VALUES (?, 'x')", (k,))
database.close()
"""


@pytest.mark.parametrize("mode", MODES)
def test_rows_come_once_while_another_process_writes(tmp_path: Path, mode: str) -> None:
    """500 transactions of a writer are read in order; the writer never fails."""
    path = tmp_path / "x.db"
    make_database(path, mode)
    # A writer with a write-ahead log waits for no reader; others wait up to five seconds.
    with run_python(INSERT, path, 0 if mode == "wal" else 5) as writer:
        last_rounds = [True]  # rows may come between a round and the writer's end

        def wait_for_more() -> bool:
            with suppress(subprocess.TimeoutExpired):
                writer.wait(0.01)
            return writer.poll() is None or bool(last_rounds and last_rounds.pop())

        groups = read_new_rows(path, QUERY, {}, refuse, wait_for_more)
        values = [a for rows in groups if rows for _, a in rows]
        assert writer.wait() == 0
    assert values == [*range(500)]


def test_a_database_at_rest_is_read_without_new_files(tmp_path: Path) -> None:
    """A reader leaves no file that the user who trains could not write."""
    path = tmp_path / "x.db"
    make_database(path, "wal", rows=3)
    assert [*tmp_path.iterdir()] == [path]
    assert read_tables(path) == {"t": {"a", "b"}}
    assert values_of(path) == [0, 1, 2]
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("mode", MODES)
def test_a_reader_changes_no_byte(tmp_path: Path, mode: str) -> None:
    """The database is the same to the byte after it was read."""
    path = tmp_path / "x.db"
    make_database(path, mode, rows=30)
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert values_of(path) == [*range(30)]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


WRITE_AHEAD = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("PRAGMA wal_autocheckpoint = 0")
database.executemany("INSERT INTO t VALUES (?, 'x')", [(7,), (8,)])
database.commit()
database.execute("INSERT INTO t VALUES (99, 'not committed')")
print("ready", flush=True)
input()
"""


def test_rows_in_the_write_ahead_log_are_read(tmp_path: Path) -> None:
    """What a process has committed counts, before it reaches the database itself."""
    path = tmp_path / "x.db"
    make_database(path, "wal", rows=1)
    with run_python(WRITE_AHEAD, path):
        assert values_of(path) == [0, 7, 8]


def test_the_write_ahead_log_of_a_killed_process_is_read(tmp_path: Path) -> None:
    """A training that was killed leaves a log beside its database."""
    path = tmp_path / "x.db"
    make_database(path, "wal", rows=1)
    with run_python(WRITE_AHEAD, path):
        pass
    assert (tmp_path / "x.db-wal").stat().st_size > 0
    assert values_of(path) == [0, 7, 8]


def test_a_write_ahead_log_is_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A read-only folder has no room for the shared memory of SQLite."""
    path = tmp_path / "x.db"
    make_database(path, "wal", rows=1)
    with run_python(WRITE_AHEAD, path):
        pass
    (tmp_path / "x.db-shm").unlink()
    (tmp_path / "x.db-shm").mkdir()  # as root, who runs some tests, may write any folder
    assert values_of(path) == [0, 7, 8]


HALF_DONE = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("PRAGMA cache_size = 2")
database.execute("UPDATE t SET a = -1, b = b || b")
print("ready", flush=True)
input()
"""


def test_a_transaction_of_a_killed_process_does_not_count(tmp_path: Path) -> None:
    """A journal that SQLite would roll back is rolled back in a copy alone."""
    path = tmp_path / "x.db"
    make_database(path, "delete", rows=5000)
    with run_python(HALF_DONE, path):
        pass
    journal, content = tmp_path / "x.db-journal", path.read_bytes()
    assert journal.stat().st_size > 0
    assert values_of(path) == [*range(5000)]
    assert journal.exists()
    assert path.read_bytes() == content


def test_a_locked_database_is_one_sentence(tmp_path: Path, monkeypatch) -> None:
    """A reader waits some seconds for the lock, and then says what to do."""
    monkeypatch.setattr(sqlite_file, "_LOCK_SECONDS", 0.05)
    path = tmp_path / "x.db"
    make_database(path, "delete", rows=3)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RunFormatError, match=r"/x\.db: the database is locked: "):
            read_tables(path)
        with pytest.raises(RunFormatError, match=r"^the database is locked: .* try again"):
            values_of(path)


def test_a_reader_waits_for_a_lock(tmp_path: Path) -> None:
    """A lock that is given back within five seconds is no error."""
    path = tmp_path / "x.db"
    make_database(path, "delete", rows=3)
    with closing(sqlite3.connect(path, check_same_thread=False)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(0.1, writer.rollback)
        release.start()
        begin = time.monotonic()
        assert values_of(path) == [0, 1, 2]
        assert time.monotonic() - begin > 0.05
        release.join()


def test_a_follower_reads_on_after_a_lock(tmp_path: Path, monkeypatch) -> None:
    """A database that is locked at one time is asked again the next time."""
    monkeypatch.setattr(sqlite_file, "_LOCK_SECONDS", 0.01)
    path = tmp_path / "x.db"
    make_database(path, "delete", rows=3)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        waits = iter([writer.rollback, None])

        def wait_for_more() -> bool:
            release = next(waits)
            if release is not None:
                release()
            return release is not None

        groups = [*read_new_rows(path, QUERY, {}, refuse, wait_for_more)]
    assert groups == [None, [(1, 0), (2, 1), (3, 2)], None]


def test_damage_costs_the_rows_behind_it(tmp_path: Path) -> None:
    """Rows before a damaged page are read; one report says where the rest is missing."""
    path = tmp_path / "x.db"
    make_database(path, "delete", rows=3000)
    content = bytearray(path.read_bytes())
    page = len(content) // 4096 // 2 * 4096
    content[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    reports: list[str] = []
    groups = read_new_rows(path, QUERY, {}, reports.append, lambda: False)
    values = [a for rows in groups if rows for _, a in rows]
    assert values == [*range(len(values))]
    assert 1000 < len(values) < 2000
    (report,) = reports
    assert report == (
        f"the database is damaged; what follows row {len(values):,} is left out"
    )


@pytest.mark.parametrize("size", [16, 100, 5000])
def test_a_torn_database_is_one_sentence(tmp_path: Path, size: int) -> None:
    """A database that lacks its schema is refused with its path."""
    path = tmp_path / "x.db"
    make_database(path, "delete", rows=3000)
    path.write_bytes(path.read_bytes()[:size])
    assert is_sqlite(path.read_bytes())
    with pytest.raises(RunFormatError, match=r"/x\.db: the database is damaged$"):
        read_all(path, "SELECT * FROM t")


def test_invalid_text_is_replaced(tmp_path: Path) -> None:
    """Text that is not UTF-8 is no error."""
    path = tmp_path / "x.db"
    make_database(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO t VALUES (CAST(X'61FF62' AS TEXT), NULL)")
    assert read_all(path, "SELECT a FROM t") == [("a\ufffdb",)]


def test_a_database_is_known_by_its_first_bytes() -> None:
    """Other files are no databases."""
    assert is_sqlite(b"SQLite format 3\0" + bytes(84))
    assert not is_sqlite(b"SQLite format 2\0")
    assert not is_sqlite(b"")


def test_ids_in_disorder_end_the_reading(tmp_path: Path) -> None:
    """A damaged tree may give the same rows again and again; a reader comes to an end."""
    path = tmp_path / "x.db"
    make_database(path, rows=3)
    for query in ("SELECT 5, a, :last FROM t LIMIT :limit", "SELECT b, a, :last FROM t"):
        with pytest.raises(RunFormatError, match=r"^the database is damaged$"):
            [*read_new_rows(path, query, {}, refuse, lambda: False)]
