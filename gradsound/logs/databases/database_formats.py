"""Finds which tool wrote an SQLite database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gradsound.errors import RunFormatError
from gradsound.logs.databases import mlflow_database, neptune, trackio
from gradsound.logs.databases.sqlite_file import read_tables
from gradsound.name_matching import list_some, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore

_LISTED_MAX = 8  # tables that an error message lists
_NAME_WIDTH = 60  # characters of each of them


class DatabaseFormat(Protocol):
    """The database of a tool: a module with these names."""

    @property
    def TOOL(self) -> str:  # noqa: N802 (a constant of a module)
        """The tool, for people."""

    @property
    def TABLES(self) -> Mapping[str, set[str]]:  # noqa: N802 (a constant of a module)
        """The columns that the tables of each database of the tool have, by table."""

    def list_runs(self, path: Path) -> list[tuple[str, str]]:
        """Returns id and name of each run, the oldest first."""

    def read(
        self,
        path: Path,
        run_id: str,
        on_damage: OnDamage,
        wait_for_more: WaitForMore = ...,
    ) -> Iterator[Scalars | None]:
        """Yields the scalars of a run."""


_FORMATS: tuple[DatabaseFormat, ...] = (mlflow_database, trackio, neptune)


def find_format(path: Path) -> DatabaseFormat:
    """Returns the format of an SQLite database.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If the database is damaged or locked, or another tool wrote it.
    """
    tables = read_tables(path)
    for candidate in _FORMATS:
        if has_tables(tables, candidate.TABLES):
            return candidate
    names = [printable(name, _NAME_WIDTH) for name in tables]
    listed = f"the tables {list_some(names, _LISTED_MAX)}" if names else "no tables"
    *tools, last = (known.TOOL for known in _FORMATS)
    raise RunFormatError(
        f"{path}: is an SQLite database with {listed}; of databases, gradsound reads those "
        f"of {', '.join(tools)} and {last}"
    )


def has_tables(tables: Mapping[str, set[str]], needed: Mapping[str, set[str]]) -> bool:
    """Returns whether a database with these tables and columns has the needed ones."""
    return all(name in tables and needed[name] <= tables[name] for name in needed)
