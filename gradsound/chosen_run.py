"""The run that the path of a folder stands for: its only one, or one to be chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.errors import RunFormatError
from gradsound.name_matching import list_some

if TYPE_CHECKING:
    from pathlib import Path

    from gradsound.run_folder import RunFolder

_NAMED_MAX = 4  # runs that an error message names; more are hard to read


def find_folder(path: Path) -> RunFolder | None:
    """Returns the folder with runs to choose from that a path is; None for any other path.

    A folder that is the log of another tool, or has a single one, stands for that log.
    """
    if not path.is_dir():
        return None
    from gradsound.run_folder import RunFolder  # it loads the readers of logs

    folder = RunFolder(path)
    runs = folder.list_runs()
    return folder if len(runs) != 1 or not runs[0].tool else None


def choose_run(path: Path) -> tuple[Path, ...]:
    """Returns the only run file in a folder; or those of the ranks of the only training.

    Args:
        path: A file, or a folder.

    Returns:
        The path itself if it is a file, or a folder without a run file.

    Raises:
        RunFormatError: If the folder has no run, but a file that cannot be read; or several
            runs, and one is a run file. (The logs of other tools have a message of their
            own, `gradsound.logs.log_folders.find_log`.)
    """
    if not path.is_dir():
        return (path,)
    from gradsound.run_folder import RunFolder

    folder = RunFolder(path)
    runs = folder.list_runs()
    for file, error in folder.errors.items() if not runs else ():
        raise RunFormatError(f"{file}: {error}")
    if all(run.tool for run in runs):
        return (path,)
    if len(runs) == 1:
        return runs[0].paths
    named = list_some([str(path / run.name) for run in runs], _NAMED_MAX)
    raise RunFormatError(
        f"{path}: has {len(runs):,} runs, give one: {named} ('gradsound list {path}' lists "
        "them)"
    )
