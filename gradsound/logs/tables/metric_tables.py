"""Reads a folder with one table a value, as DVCLive and DeepSpeed write it.

A table has a column of steps and one other column; the name of its file is the name of its
value. TensorBoard's page saves such tables, too.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gradsound.logs.encoding import to_utf_8
from gradsound.logs.tables import csv
from gradsound.logs.tables.table_header import parse_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore

    # By table: what changes when it does, and the name of its value, None if it has none.
    _Heads: TypeAlias = dict[Path, tuple[tuple[int, int, int], str | None]]

TOOL = "DVCLive, DeepSpeed"

_HEAD_BYTES = 1 << 12  # enough for a header of two or three columns
_SUFFIXES = (".csv", ".tsv")
_DVCLIVE = ("plots/metrics", "metrics", "scalars")  # the first: since DVCLive 1.0


def is_run_folder(folder: Path, names: Sequence[str]) -> bool:
    """Returns whether a folder has tables of one value each.

    Args:
        folder: The folder.
        names: The names of its entries.
    """
    if not any(name.endswith(_SUFFIXES) or name in ("plots", "scalars") for name in names):
        return False
    return bool(_name_tables(folder, {}))


def read(
    path: Path, on_damage: OnDamage, wait_for_more: WaitForMore = lambda: False
) -> Iterator[Scalars | None]:
    """Yields the scalars of a folder, one table after the other; `scalars` says how.

    Raises:
        OSError: If a table cannot be read.
    """
    tables: dict[Path, tuple[str, Iterator[Scalars | None]]] = {}
    heads: _Heads = {}
    is_growing = True

    def wait_for_all() -> bool:
        """Returns whether to read on, which is asked when all tables have been read."""
        return is_growing

    while True:
        for table, name in _name_tables(path, heads).items():
            if table not in tables and is_growing:
                report = partial(_report, on_damage, table)
                tables[table] = name, csv.read(table, report, wait_for_all)
        for name, parts in tables.values():
            for part in parts:
                if part is None:
                    break
                yield replace(part, names=[name] if part.names else [])
        if not is_growing:
            return
        yield None
        is_growing = wait_for_more()


def _report(on_damage: OnDamage, table: Path, text: str) -> None:
    on_damage(f"{table.name}: {text}")


def _name_tables(folder: Path, heads: _Heads) -> dict[Path, str]:
    """Returns the tables of one value in a folder, or in DVCLive's folder in it.

    It opens only tables that changed since the last call with the same heads.

    The name of a table in DVCLive's folder is its path there, with slashes. DeepSpeed puts
    underscores for the slashes of a name in the name of the file, and heads the table with
    the last part of the name; if two tables have the same, the names of the files count.
    """
    root = next((folder / name for name in _DVCLIVE if (folder / name).is_dir()), None)
    paths = sorted(folder.iterdir() if root is None else root.rglob("*"))
    tables = {}
    for path in paths:
        if path.suffix in _SUFFIXES and path.is_file():
            status = path.stat()
            stamp = status.st_ino, status.st_size, status.st_mtime_ns
            if path not in heads or heads[path][0] != stamp:
                heads[path] = stamp, _read_name(path)
            if name := heads[path][1]:
                tables[path] = name
    if root is not None:
        return {path: path.relative_to(root).with_suffix("").as_posix() for path in tables}
    names = [*tables.values()]
    tables = {
        path: name if names.count(name) == 1 else path.stem for path, name in tables.items()
    }
    return {
        path: name
        for path, name in tables.items()
        if f"_{path.stem}".endswith(f"_{name.replace(' ', '_')}")
        or name == csv.value_name(path)
    }


def _read_name(table: Path) -> str | None:
    """Returns the name of the value of a table; None if the table has several, or none."""
    with table.open("rb") as file:
        head = to_utf_8(file.read(_HEAD_BYTES)).decode("utf-8-sig", "replace")
    line = head.partition("\n")[0].rstrip("\r")
    header = parse_header(line, None, csv.value_name(table))
    if header is None or len(header.values) != 1 or header.key is not None:
        return None
    return header.values[0][1]
