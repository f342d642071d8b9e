"""Detects by its content which tool wrote a file, and finds runs in databases."""

from __future__ import annotations

from fnmatch import fnmatch
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from gradsound.errors import RunFormatError
from gradsound.logs.encoding import to_utf_8
from gradsound.logs.file_formats import list_formats
from gradsound.logs.file_signatures import is_sqlite, is_zip
from gradsound.logs.log import Log
from gradsound.logs.trackers import clearml, comet
from gradsound.name_matching import list_some
from gradsound.runs.log_choice import NO_CHOICE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gradsound.logs.databases.database_formats import DatabaseFormat
    from gradsound.logs.file_formats import FileFormat
    from gradsound.runs.log_choice import LogChoice

_HEAD_BYTES = 1 << 16  # bytes; enough to tell formats that do not begin late
_LATE_BYTES = 1 << 20  # per look at a text, for its first line with a norm
_LATE_MAX = 1 << 26  # bytes before that line; no training prints more before it begins
_LISTED_MAX = 8  # runs that an error message lists; more are hard to read


def detect_file(path: Path, choice: LogChoice = NO_CHOICE) -> Log | None:
    """Returns the log in a file; None if the file is of no known format.

    Raises:
        OSError: If the file cannot be read.
        RunFormatError: If it is an empty or damaged log, or a database of several runs.
    """
    with path.open("rb") as file:
        start = file.read(_HEAD_BYTES)
        if is_sqlite(start):
            return _detect_database(path)
        if is_zip(start):
            return _detect_archive(path)
        head = to_utf_8(start)
        notes: list[str] = []
        formats = list_formats(choice, notes)
        for known in formats:
            if known.matches(head):
                return _log_in(path, known, notes)
        for known in formats:  # a damaged file; its reader reports it
            if known.pattern and fnmatch(path.name, known.pattern):
                if not head:
                    raise RunFormatError(f"{path}: is empty, expected a log ({known.tool})")
                return _log_in(path, known, notes)
        late = [known for known in formats if known.begins_late]
        if found := _find_late(file, head, late):
            return _log_in(path, found, notes)
    return None


def detect_in_database(path: Path) -> Log | None:
    """Returns the run of a path that goes on inside a database, by its id or its name.

    Returns:
        The log; None if no beginning of the path is a database.

    Raises:
        OSError: If the database cannot be read.
        RunFormatError: If the database has no such run, or several of that name.
    """
    file = next((parent for parent in path.parents if parent.is_file()), None)
    if file is None:
        return None
    with file.open("rb") as opened:
        if not is_sqlite(opened.read(_HEAD_BYTES)):
            return None
    form, wanted = _find_format(file), path.relative_to(file).as_posix()
    runs = form.list_runs(file)
    ids = [run for run, _ in runs if run == wanted]
    ids = ids or [run for run, name in runs if name == wanted]
    if len(ids) == 1:
        return _log_of(form, file, path, ids[0])
    if ids:
        paths = [str(file / run) for run in ids]
        raise RunFormatError(
            f"{file}: has {len(ids)} runs named {wanted}, give one by its id: "
            f"{list_some(paths, _LISTED_MAX)}"
        )
    raise RunFormatError(f"{file}: has no run {wanted}; it has {_list_runs(file, runs)}")


def list_database(path: Path) -> list[Log]:
    """Returns the runs of a database.

    Raises:
        OSError: If the database cannot be read.
        RunFormatError: If it is damaged or locked, or another tool wrote it.
    """
    form = _find_format(path)
    return [
        _log_of(form, path, run_path, run)
        for run, run_path in _name_runs(path, form.list_runs(path)).items()
    ]


def _log_in(path: Path, known: FileFormat, notes: list[str]) -> Log:
    read = partial(known.read, path)
    return Log(path, read, known.tool, path, known.takes, notes)


def _find_late(
    file: BinaryIO, head: bytes, formats: Sequence[FileFormat]
) -> FileFormat | None:
    """Returns the format of a text whose first line with a norm is not in its beginning.

    Args:
        file: The text, at the end of its beginning.
        head: The end of what was read.
        formats: The formats of texts that begin with other lines.
    """
    while b"\0" not in head and file.tell() < _LATE_MAX:
        data = file.read(_LATE_BYTES)
        if not data:
            break
        _, _, rest = head.rpartition(b"\n")
        head = rest[-_HEAD_BYTES:] + data
        for known in formats:
            if known.matches(head):
                return known
    return None


def _detect_archive(path: Path) -> Log | None:
    """Returns the offline run in a zip file; None for any other zip file."""
    # Here, not at the top: zipfile takes time to import.
    from gradsound.logs.trackers.zip_file import read_names

    names = read_names(path)
    for form in (clearml, comet):
        if form.is_offline_run(names):
            return Log(path, partial(form.read, path), form.TOOL, path)
    return None


def _detect_database(path: Path) -> Log:
    """Returns the only run of a database."""
    form = _find_format(path)
    runs = form.list_runs(path)
    if not runs:
        raise RunFormatError(f"{path}: is a database of {form.TOOL} that has no run")
    if len(runs) > 1:
        listed = _list_runs(path, runs)
        raise RunFormatError(f"{path}: has {len(runs):,} runs, give one: {listed}")
    return _log_of(form, path, path, runs[0][0])


def _find_format(path: Path) -> DatabaseFormat:
    # Here, not at the top: sqlite3 takes time to import.
    from gradsound.logs.databases.database_formats import find_format

    return find_format(path)


def _log_of(form: DatabaseFormat, file: Path, path: Path, run: str) -> Log:
    return Log(path, partial(form.read, file, run), form.TOOL, file)


def _name_runs(file: Path, runs: list[tuple[str, str]]) -> dict[str, Path]:
    """Returns the path of each run by its id: with its name, if no other run has it."""
    names = [name for _, name in runs]
    return {
        run: file / (name if name and names.count(name) == 1 else run) for run, name in runs
    }


def _list_runs(file: Path, runs: list[tuple[str, str]]) -> str:
    return list_some([*map(str, _name_runs(file, runs).values())], _LISTED_MAX)
