"""Finding out which tool wrote a log, and where in a folder it is."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError
from gradsound.logs import csv, huggingface, mlflow, tensorboard, wandb
from gradsound.logs.encoding import as_utf_8
from gradsound.logs.rows_to_run import run_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gradsound.logs.row import Row, Trouble
    from gradsound.runs.model import Run

_HEAD = 1 << 16  # bytes that tell what a file is
_SHOWN = 8  # logs in a message
_DEPTH = 5  # folders below folders: mlruns/EXPERIMENT/RUN, lightning_logs/version_0
_ENTRIES = 10_000  # of folders; then it is no folder of logs


@dataclass(frozen=True, slots=True)
class Log:
    """A log of another tool.

    Attributes:
        path: A file, or a folder.
        rows: Reads it.
    """

    path: Path
    rows: Callable[[Path, Trouble], Iterator[Row]]


def read_log(path: Path, norms: Sequence[str] | None = None) -> Run | None:
    """The run in a log of another tool; None if it is none that is known.

    Args:
        path: A file, or a folder that has one.
        norms: Globs over names: which are those of norms. If None, that is found out.

    Raises:
        OSError: If it cannot be read.
        RunFormatError: If nothing can be read, nothing is a norm, or there are several.
    """
    log = find(path)
    if log is None:
        return None
    return run_from(str(path), partial(log.rows, log.path), norms)


def find(path: Path) -> Log | None:
    """The log that a file is, by its content, or that a folder has.

    Raises:
        OSError: If it cannot be read.
        IsADirectoryError: If a folder has none.
        RunFormatError: If it has several.
    """
    if path.is_file():
        return _of_file(path)
    if not path.is_dir():
        return None
    found = _of_folder(path) or _below(path)
    if not found:
        what = "Is a directory, without a log that is known (docs/logs.md lists them)"
        raise IsADirectoryError(errno.EISDIR, what, str(path))
    if len(found) > 1:
        shown = ", ".join(str(log.path) for log in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise RunFormatError(f"{path}: has {len(found)} runs, give one: {shown}{more}")
    return found[0]


def _of_file(path: Path) -> Log | None:
    with path.open("rb") as file:
        head = as_utf_8(file.read(_HEAD))
    kinds = (
        ("Hugging Face", huggingface.is_trainer_state, huggingface.NAME, huggingface.rows),
        ("W&B", wandb.is_wandb, wandb.PATTERN, wandb.rows),
        ("TensorBoard", tensorboard.is_events, tensorboard.PATTERN, tensorboard.rows),
        ("CSV", csv.is_table, "*.[ct]sv", csv.rows),
    )
    for _, begins, _, rows in kinds:
        if begins(head):
            return Log(path, rows)
    for kind, _, pattern, rows in kinds:  # damaged, which its reader will tell
        if fnmatch(path.name, pattern):
            if not head:
                raise RunFormatError(f"{path}: is empty, expected a log ({kind})")
            return Log(path, rows)
    return None


def _of_folder(path: Path) -> list[Log]:
    """What a folder has itself."""
    if (state := huggingface.state_of(path)) is not None:
        return [Log(state, huggingface.rows)]
    if runs := sorted(path.glob(wandb.PATTERN)):
        return [Log(run, wandb.rows) for run in runs]
    if mlflow.is_run(path):
        return [Log(path, mlflow.rows)]
    if any(path.glob(tensorboard.PATTERN)):
        return [Log(path, tensorboard.rows)]
    if (table := path / csv.NAME).is_file():
        return [Log(table, csv.rows)]
    return []


def _below(path: Path) -> list[Log]:
    """What is in the folders of a folder."""
    found, entries = [], 0
    for folder, folders, files in os.walk(path):
        entries += len(folders) + len(files)
        if entries > _ENTRIES:
            break
        here = _of_folder(Path(folder))
        found += here
        folders.sort()
        if here or len(Path(folder).relative_to(path).parts) >= _DEPTH:
            folders.clear()
    return found
