"""Opens SQLite databases read-only, also while other processes write them."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from functools import partial
from operator import lt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradsound.errors import RunFormatError
from gradsound.name_matching import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import WaitForMore

_WRITE_VERSION, _WAL = 18, 2  # a byte of the header, and its value
_MESSAGE_WIDTH = 100  # characters of a message of SQLite that an error shows
_LOCK_SECONDS = 5.0  # how long SQLite waits for a process that writes; its usual time
# A writer without a write-ahead log waits for every reader. So a transaction reads only a
# few thousand rows, which takes some milliseconds.
_ROWS = 1 << 13
_BEFORE_ALL = -(1 << 63)  # less than any row id
# Python cannot decode some messages of SQLite, which quote a damaged database.
_ERRORS = (sqlite3.Error, UnicodeDecodeError)


def read_tables(path: Path) -> dict[str, set[str]]:
    """Returns the names of the columns by the name of their table.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If it is no database, is damaged or is locked.
    """
    tables: dict[str, set[str]] = {}
    query = (
        "SELECT tables.name, columns.name FROM sqlite_master AS tables "
        "JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'"
    )
    for table, column in read_all(path, query):
        tables.setdefault(table, set()).add(column)
    return tables


def read_all(
    path: Path, query: str, parameters: Mapping[str, object] | None = None
) -> list[tuple[Any, ...]]:
    """Returns all rows of a query.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If the database is damaged or locked; its message begins with the
            path.
    """
    try:
        with _open(path) as database:
            return database.execute(query, parameters or {}).fetchall()
    except _ERRORS as error:
        raise RunFormatError(f"{path}: {_explain(error)}") from error


def read_new_rows(
    path: Path,
    query: str,
    parameters: Mapping[str, object],
    on_damage: OnDamage,
    wait_for_more: WaitForMore,
) -> Iterator[list[tuple[Any, ...]] | None]:
    """Yields the rows of a query in groups, and asks again for the rows after the last.

    Between two calls of `wait_for_more` no connection is open. So the process that writes
    can close its database as usual.

    Args:
        path: The database.
        query: Selects the row id first; `:last` is the last id that was read, and `:limit`
            is how many rows to read. The rows are in the order of their ids.
        parameters: Other parameters of the query.
        on_damage: Called with a few words when rows cannot be read.
        wait_for_more: Called after each None. It returns whether to ask again.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If no row can be read.
    """
    last = _BEFORE_ALL
    while True:
        problem: Exception | None = None
        rows: list[tuple[Any, ...]] = []
        try:
            with _open(path) as database:
                while problem is None:
                    rows = []
                    bound = {**parameters, "last": last, "limit": _ROWS}
                    try:
                        rows.extend(database.execute(query, bound))
                    except _ERRORS as error:  # the rows before are there
                        problem = error
                    if not rows:
                        break
                    ids = [last, *(row[0] for row in rows)]
                    if not _increase(ids):  # else a reader would come here for ever
                        raise sqlite3.DatabaseError("its rows are in disorder")
                    last = ids[-1]
                    yield rows
        except _ERRORS as error:
            problem = error
        yield None
        if wait_for_more():
            continue
        if problem is not None:
            if last == _BEFORE_ALL:
                raise RunFormatError(_explain(problem)) from problem
            on_damage(f"{_explain(problem)}; what follows row {last:,} is left out")
        return


def _increase(ids: Sequence[Any]) -> bool:
    """Returns whether each id is larger than the one before."""
    try:
        return all(map(lt, ids, ids[1:]))
    except TypeError:  # not all of them are numbers
        return False


def _explain(error: Exception) -> str:
    if _is_locked(error):
        return (
            f"the database is locked: another process kept it for {_LOCK_SECONDS:g} "
            "seconds; try again when it has written"
        )
    if isinstance(error, sqlite3.OperationalError):
        text = printable(str(error), _MESSAGE_WIDTH)
        return f"the database cannot be read ({text})"
    return "the database is damaged"  # the messages of SQLite quote bytes of it


def _is_locked(error: Exception) -> bool:
    return "locked" in str(error)


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """Opens a database for reading only."""
    try:
        database = _connect(path, "immutable=1" if _is_at_rest(path) else "mode=ro")
    except sqlite3.OperationalError as error:
        if _is_locked(error):
            raise
    else:
        with closing(database):
            yield database
        return
    # The folder is read-only, or a killed process left a transaction half done. Then SQLite
    # needs files beside the database that a reader may not write.
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", "-wal", "-journal"):
            if (file := _beside(path, suffix)).is_file():
                shutil.copyfile(file, Path(folder, path.name + suffix))
        with closing(_connect(Path(folder, path.name), "mode=rw")) as database:
            yield database


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=_LOCK_SECONDS,
        isolation_level=None,  # a transaction lasts as long as one query
        check_same_thread=False,
    )
    try:
        database.text_factory = partial(str, encoding="utf-8", errors="replace")
        database.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
    except _ERRORS:
        database.close()
        raise
    return database


def _is_at_rest(path: Path) -> bool:
    """Returns whether no process has opened a database that has a write-ahead log.

    To open such a database, SQLite makes files beside it. They would belong to the user who
    reads, and the user who trains could not write them. Immutable databases need none.
    """
    with path.open("rb") as file:
        head = file.read(_WRITE_VERSION + 1)
    return head[_WRITE_VERSION:] == bytes([_WAL]) and not _beside(path, "-wal").exists()


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
