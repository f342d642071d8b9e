"""Finds the logs of other tools in folders."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from fnmatch import filter as fnmatch_filter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gradsound.errors import RunFormatError
from gradsound.logs.file_signatures import is_sqlite
from gradsound.logs.huggingface import trainer_state
from gradsound.logs.log import Log
from gradsound.logs.log_files import detect_file, detect_in_database, list_database
from gradsound.logs.tables import csv, metric_tables
from gradsound.logs.tensorboard import event_files
from gradsound.logs.trackers import clearml, comet, mlflow_files, swanlab
from gradsound.logs.wandb import wandb_log
from gradsound.name_matching import list_some
from gradsound.runs.log_choice import NO_CHOICE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import Scalars, WaitForMore
    from gradsound.runs.log_choice import LogChoice

_LISTED_MAX = 8  # logs that an error message lists; more are hard to read
_DEPTH_MAX = 5  # levels of folders; mlruns/EXPERIMENT/RUN and the like have three
_ENTRIES_MAX = 10_000  # files and folders; a larger tree is no folder of logs
_TEXT_NAMES = (
    *("logging.jsonl", "metrics.jsonl", "progress.json", "scalars.json"),
    *("trainer_log.jsonl", "main.log", "train.log"),
)
_DATABASES = ("*.db", "*.sqlite", "*.sqlite3")


def find_log(path: Path, choice: LogChoice = NO_CHOICE) -> Log | None:
    """Returns the log in a file, by its content, or in a folder; None for other files.

    Raises:
        OSError: If the file cannot be read.
        IsADirectoryError: If the folder has no log.
        RunFormatError: If the folder or database has several runs, a log is empty, or its
            format leaves no room for the choice.
    """
    if path.is_file():
        log = detect_file(path, choice)
    elif path.is_dir():
        log = _find_only(path, choice)
    else:
        log = detect_in_database(path)
    if log is not None:
        log.check(choice)
    return log


def _find_only(path: Path, choice: LogChoice) -> Log:
    """Returns the only log in a folder and the folders below it."""
    logs = _find_below(path, choice)
    if not logs:
        reason = (
            "Is a directory, without a run and without a log that is known (docs/logs.md "
            "lists them): give a file in it"
        )
        raise IsADirectoryError(errno.EISDIR, reason, str(path))
    if len(logs) > 1:
        listed = list_some([str(log.path) for log in logs], _LISTED_MAX)
        raise RunFormatError(f"{path}: has {len(logs)} runs, give one: {listed}")
    return logs[0]


def find_in_folder(
    path: Path, names: Sequence[str], choice: LogChoice = NO_CHOICE
) -> list[Log]:
    """Returns the logs that lie directly in a folder, by the names of its entries."""

    def find(pattern: str) -> list[str]:
        return sorted(fnmatch_filter(names, pattern))

    has_states = trainer_state.FILE_NAME in names or find("checkpoint-*")
    if has_states and (state := trainer_state.find_state(path)) is not None:
        log = detect_file(state, choice)
        return [] if log is None else [log]
    if runs := find(wandb_log.FILE_PATTERN):
        return [_log_of(wandb_log, path / run) for run in runs]
    if runs := find(swanlab.FILE_PATTERN):
        return [_log_of(swanlab, path / run) for run in runs]
    for form in (clearml, comet):
        if form.is_offline_run(names):
            return [_log_of(form, path)]
    if mlflow_files.META in names and mlflow_files.is_run_folder(path):
        return [_log_of(mlflow_files, path)]
    if find(event_files.FILE_PATTERN):
        return [_log_of(event_files, path)]
    if metric_tables.is_run_folder(path, names):
        return [_log_of(metric_tables, path)]
    for name in (*csv.FILE_NAMES, *_TEXT_NAMES):
        if name in names and (file := path / name).is_file():
            with suppress(RunFormatError):
                if log := detect_file(file, choice):
                    return [log]
    databases = [path / name for pattern in _DATABASES for name in find(pattern)]
    return [log for file in databases for log in _list_database(file)]


class _Format(Protocol):
    """A format of a file or folder: a module with these names."""

    @property
    def TOOL(self) -> str:  # noqa: N802 (a constant of a module)
        """The tool, for people."""

    def read(
        self, path: Path, on_damage: OnDamage, wait_for_more: WaitForMore = ...
    ) -> Iterator[Scalars | None]:
        """Yields the scalars of a log."""


def _log_of(form: _Format, path: Path) -> Log:
    return Log(path, partial(form.read, path), form.TOOL, path)


def _list_database(path: Path) -> list[Log]:
    """Returns the runs of a database; none of one that is not that of a known tool."""
    with suppress(OSError, RunFormatError), path.open("rb") as file:
        if is_sqlite(file.read(64)):
            return list_database(path)
    return []


def _find_below(path: Path, choice: LogChoice) -> list[Log]:
    """Returns the logs in a folder and its subfolders."""
    logs, entries = [], 0
    for folder, folders, files in os.walk(path):
        entries += len(folders) + len(files)
        if entries > _ENTRIES_MAX:
            break
        in_folder = find_in_folder(Path(folder), [*folders, *files], choice)
        logs += in_folder
        folders.sort()
        if in_folder or len(Path(folder).relative_to(path).parts) >= _DEPTH_MAX:
            folders.clear()
    return logs
