"""Runs that the options name: opened, counted, with the layers of ``--layers`` alone."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from gradsound.cli.standard_input import NAME, is_stdin, save_stdin
from gradsound.open_run import check_count, is_same_file, open_files, open_part
from gradsound.ranks.opened_ranks import are_rank_files
from gradsound.runs.log_choice import make_choice

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gradsound.cli.progress import Progress
    from gradsound.runs.log_choice import LogChoice
    from gradsound.runs.model import Run


def find_kind(options: argparse.Namespace) -> Literal["run", "runs"]:
    """Returns what the paths of a command are: one run, or several runs to compare.

    The files of all ranks of a training are one run.

    Raises:
        ValueError: If the runs are too many, or two of them come from standard input.
    """
    paths: list[Path] = options.runs
    if are_rank_files(paths):
        return "run"
    check_count(len(paths))
    if sum(map(is_stdin, paths)) > 1:
        raise ValueError("standard input has one run: save the other one to a file")
    for path, other in combinations(paths, 2):
        if path.absolute() == other.absolute():  # a link may stand for the newest run
            raise ValueError(f"{other}: is given twice; give each run once")
    return "run" if len(paths) == 1 else "runs"


def get_choice(options: argparse.Namespace) -> LogChoice:
    """Returns what --norms, --step and --logging-steps choose of another tool's log."""
    step = getattr(options, "step_name", None)
    return make_choice(options.norms, step, options.logging_steps)


@contextmanager
def open_run_of(options: argparse.Namespace, progress: Progress) -> Iterator[Run]:
    """Opens the only run of the command, counts its steps and selects its layers.

    Args:
        options: The options of the command.
        progress: Shows how many steps are read.

    Raises:
        OSError, RunFormatError, ValueError: As `open_run` and `Run.select`.
    """
    with open_runs(options, progress) as (run,):
        yield run


@contextmanager
def open_runs(options: argparse.Namespace, progress: Progress) -> Iterator[list[Run]]:
    """Opens all runs of the command as `open_run_of` does, or raises the first error."""
    find_kind(options)
    with ExitStack() as stack:
        yield [
            stack.enter_context(open_selection(paths, options, progress))
            for paths in get_paths(options)
        ]


def get_paths(options: argparse.Namespace) -> list[list[Path]]:
    """Returns the files of each run; those of --then go on with the first run.

    Raises:
        ValueError: As `get_parts`; or the files of ranks are to go on or to grow.
    """
    if are_rank_files(options.runs):
        if options.then:
            raise ValueError(
                "--then goes on with one run file, not with those of several ranks: let "
                "each rank go on in its own file (resume=True)"
            )
        if getattr(options, "follow", False):
            raise ValueError(
                "--follow reads one file: give that of one rank, or leave --follow out"
            )
        return [options.runs]
    first, *others = options.runs
    return [[first, *get_parts(options)], *([other] for other in others)]


def get_parts(options: argparse.Namespace) -> list[Path]:
    """Returns the files of --then.

    Raises:
        ValueError: If the command follows a file or reads standard input, which has no end
            after which a part could come; or its output is one of the parts.
    """
    parts: list[Path] = options.then or []
    from_stdin = any(map(is_stdin, (options.runs[0], *parts)))
    if parts and (getattr(options, "follow", False) or from_stdin):
        raise ValueError(
            "--then joins files that are finished, so it goes neither with --follow nor "
            "with standard input: give the last file alone"
        )
    output = getattr(options, "output", None)
    for part in parts:
        if output is not None and is_same_file(part, output):
            raise ValueError(f"{part}: is a part of the run itself; write to another file")
    return parts


@contextmanager
def open_selection(
    paths: Sequence[Path], options: argparse.Namespace, progress: Progress
) -> Iterator[Run]:
    """Opens one run, as `open_run_of` does.

    Args:
        paths: Its file, and its further parts; or the files of its ranks.
        options: The options of the command.
        progress: Shows how many steps are read.
    """
    with ExitStack() as stack:
        if is_stdin(paths[0]):
            path = stack.enter_context(save_stdin())
            run = open_part(path, NAME, get_choice(options))
        else:
            run = open_files(paths, get_choice(options))
        run = progress.count_steps(run)
        yield run if options.layers is None else _select(run, options)


def _select(run: Run, options: argparse.Namespace) -> Run:
    """Returns a run with the layers of --layers; of several runs, an error names it."""
    try:
        return run.select(options.layers)
    except ValueError as error:
        if len(options.runs) == 1:
            raise
        raise ValueError(f"{run.name}: {error}") from error
