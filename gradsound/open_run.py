"""Opens a run by its path: a run file, or the log of another tool."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.chosen_run import choose_run
from gradsound.errors import RunFormatError
from gradsound.ranks.opened_ranks import are_rank_files, open_ranks
from gradsound.runs.compressed_file import is_compressed
from gradsound.runs.file_names import is_run
from gradsound.runs.joined_parts import join_parts
from gradsound.runs.log_choice import NO_CHOICE, LogChoice
from gradsound.runs.model import Run
from gradsound.runs.run_file import read_run_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RUNS_MAX = 8  # compared at once; more columns, panels and notes in turn nobody follows


def open_run(path: str | Path, *parts: str | Path, choice: LogChoice = NO_CHOICE) -> Run:
    """Opens run files or other tools' logs; arguments and errors are as of `read_run`."""
    paths = [Path(part) for part in (path, *parts)]
    for earlier, later in combinations(paths, 2):
        if is_same_file(earlier, later):
            raise ValueError(f"{later}: is given twice; give each part of a run once")
    return join_parts([open_part(part, str(part), choice) for part in paths])


def open_files(paths: Sequence[Path], choice: LogChoice) -> Run:
    """Opens the files of one run: those of all its ranks, or its parts in order.

    Args:
        paths: The files, one or more.
        choice: What to read of other tools' logs.

    Raises:
        OSError, RunFormatError, ValueError: As `open_run` and `open_ranks`.
    """
    if are_rank_files(paths):
        choice.refuse("ranks")
        return open_ranks(paths)
    return open_run(*paths, choice=choice)


def open_part(path: Path, name: str, choice: LogChoice) -> Run:
    """Opens one file as `open_run` does, and raises the same errors.

    Args:
        path: The file.
        name: Its name in messages.
        choice: What to read of another tool's log.
    """
    first, *others = choose_run(path)  # a folder stands for its only run
    if others:
        return open_ranks((first, *others))
    if first != path:
        path, name = first, str(first)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise RunFormatError(f"{name}: a pipe or device; save the run to a file first")
    if is_compressed(path):
        from gradsound.logs.compressed_log import read_compressed_log

        if (run := read_compressed_log(path, choice, name)) is not None:
            return run
    elif not is_run(path):
        # Readers of logs take time to import, and most paths are run files.
        from gradsound.logs.log_run import read_log

        if (run := read_log(path, choice, name)) is not None:
            return run
    choice.refuse(name)
    return read_run_file(path, name)


def open_run_for_outputs(
    run: Run | str | Path, outputs: Iterable[Path], action: str
) -> Run:
    """Opens a run from which files will be made, and refuses to overwrite its own file.

    Args:
        run: A run, or a path for `open_run`.
        outputs: The files to write.
        action: The purpose for the message, such as "draw it".

    Raises:
        OSError, RunFormatError: As `open_run`.
        ValueError: If an output is the run's own file, which writing would destroy.
    """
    if not isinstance(run, Run):
        run = open_run(run)
    for output in outputs:
        if is_same_file(output, run.name):
            raise ValueError(f"{output}: is the run itself; {action} to another file")
    return run


def open_runs_for_outputs(
    run: Run | str | Path,
    other: Run | str | Path | Sequence[Run | str | Path] | None,
    outputs: Iterable[Path],
    action: str,
) -> list[Run]:
    """Opens runs to compare as `open_run_for_outputs` does, and raises the same errors.

    Args:
        run: The first run.
        other: Another one, or several; None for none.
        outputs: As for `open_run_for_outputs`.
        action: As for `open_run_for_outputs`.

    Raises:
        ValueError: Also if the runs are more than eight.
    """
    others = [other] if isinstance(other, (Run, str, Path)) else [*(other or ())]
    check_count(1 + len(others))
    outputs = [*outputs]
    return [open_run_for_outputs(source, outputs, action) for source in (run, *others)]


def check_count(runs: int) -> None:
    """Raises ValueError if so many runs cannot be compared."""
    if runs > RUNS_MAX:
        raise ValueError(f"at most {RUNS_MAX} runs can be compared, got {runs:,}")


def is_same_file(path: Path, other: str | Path) -> bool:
    """Returns whether two paths lead to one file, also by a link."""
    try:
        return path.samefile(other)
    except OSError:  # one of them does not exist
        return False
