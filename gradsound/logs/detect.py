"""Detects which tool wrote a log, and finds the log in a folder."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from fnmatch import filter as fnmatch_filter
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError
from gradsound.logs import csv, huggingface, mlflow, tensorboard, wandb
from gradsound.logs.encoding import to_utf_8
from gradsound.name_matching import list_some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gradsound.logs.row import OnDamage, Row
    from gradsound.runs.model import Run

_HEAD_BYTES = 1 << 16  # bytes; enough to tell every format
_LISTED_MAX = 8  # logs that an error message lists; more are hard to read
_DEPTH_MAX = 5  # levels of folders; mlruns/EXPERIMENT/RUN and the like have three
_ENTRIES_MAX = 10_000  # files and folders; a larger tree is no folder of logs


@dataclass(frozen=True, slots=True)
class Log:
    """A log of another tool.

    Attributes:
        path: A file or a folder.
        read_rows: The reader of its format.
        tool: The tool, or the format, for people.
    """

    path: Path
    read_rows: Callable[[Path, OnDamage], Iterator[Row]]
    tool: str


def read_log(path: Path, norms: Sequence[str] | None, name: str) -> Run | None:
    """Reads the run in a log of another tool; returns None for any other file.

    Args:
        path: A log, or a folder that contains one.
        norms: Globs over names, which select the norms. None finds the norms by name.
        name: The name of the run in messages.

    Raises:
        OSError: If the log cannot be read.
        RunFormatError: If the log has no values or no norms, or the folder has several
            logs.
    """
    log = find_log(path)
    if log is None:
        return None
    from gradsound.logs.rows_to_run import build_run  # a run file needs none of it

    return build_run(name, partial(log.read_rows, log.path), norms)


def find_log(path: Path) -> Log | None:
    """Returns the log in a file, by its content, or in a folder; None for other files.

    Raises:
        OSError: If the file cannot be read.
        IsADirectoryError: If the folder has no log.
        RunFormatError: If the folder has several logs.
    """
    if path.is_file():
        return _detect_file(path)
    if not path.is_dir():
        return None
    logs = _find_below(path)
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


def _detect_file(path: Path) -> Log | None:
    with path.open("rb") as file:
        head = to_utf_8(file.read(_HEAD_BYTES))
    formats = (
        (
            "Hugging Face",
            huggingface.is_trainer_state,
            huggingface.FILE_NAME,
            huggingface.read_rows,
        ),
        ("W&B", wandb.is_wandb, wandb.FILE_PATTERN, wandb.read_rows),
        (
            "TensorBoard",
            tensorboard.is_event_file,
            tensorboard.FILE_PATTERN,
            tensorboard.read_rows,
        ),
        ("CSV", csv.is_table, "*.[ct]sv", csv.read_rows),
    )
    for tool, matches, _, read_rows in formats:
        if matches(head):
            return Log(path, read_rows, tool)
    for tool, _, pattern, read_rows in formats:  # a damaged file; its reader reports it
        if fnmatch(path.name, pattern):
            if not head:
                raise RunFormatError(f"{path}: is empty, expected a log ({tool})")
            return Log(path, read_rows, tool)
    return None


def find_in_folder(path: Path, names: Sequence[str]) -> list[Log]:
    """Returns the logs that lie directly in a folder, by the names of its entries."""

    def find(pattern: str) -> list[str]:
        return sorted(fnmatch_filter(names, pattern))

    has_states = huggingface.FILE_NAME in names or find("checkpoint-*")
    if has_states and (state := huggingface.find_state(path)) is not None:
        return [Log(state, huggingface.read_rows, "Hugging Face")]
    if runs := find(wandb.FILE_PATTERN):
        return [Log(path / run, wandb.read_rows, "W&B") for run in runs]
    if mlflow.META in names and mlflow.is_run_folder(path):
        return [Log(path, mlflow.read_rows, "MLflow")]
    if find(tensorboard.FILE_PATTERN):
        return [Log(path, tensorboard.read_rows, "TensorBoard")]
    if csv.FILE_NAME in names and (table := path / csv.FILE_NAME).is_file():
        return [Log(table, csv.read_rows, "CSV")]
    return []


def _find_below(path: Path) -> list[Log]:
    """Returns the logs in the subfolders of a folder."""
    logs, entries = [], 0
    for folder, folders, files in os.walk(path):
        entries += len(folders) + len(files)
        if entries > _ENTRIES_MAX:
            break
        in_folder = find_in_folder(Path(folder), [*folders, *files])
        logs += in_folder
        folders.sort()
        if in_folder or len(Path(folder).relative_to(path).parts) >= _DEPTH_MAX:
            folders.clear()
    return logs
