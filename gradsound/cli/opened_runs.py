"""Runs that the options name: opened, counted, with the layers of ``--layers`` alone."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from gradsound.cli.standard_input import NAME, is_stdin, save_stdin
from gradsound.open_run import is_same_file, open_part, open_run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gradsound.cli.progress import Progress
    from gradsound.runs.model import Run


@contextmanager
def open_run_of(options: argparse.Namespace, progress: Progress) -> Iterator[Run]:
    """Opens the run of the command, counts its steps and selects the layers of --layers.

    Args:
        options: The options of the command.
        progress: Shows how many steps are read.

    Raises:
        OSError, RunFormatError, ValueError: As `open_run` and `Run.select`.
    """
    if is_stdin(options.run) and is_stdin(getattr(options, "other", None)):
        raise ValueError("standard input has one run: save the other one to a file")
    paths = [options.run, *get_parts(options)]
    with _open_selection(paths, options, progress) as run:
        yield run


@contextmanager
def open_other(options: argparse.Namespace, progress: Progress) -> Iterator[Run | None]:
    """Opens the run to compare with as `open_run_of` does; yields None without one."""
    if options.other is None:
        yield None
        return
    with _open_selection([options.other], options, progress) as run:
        yield run


def get_parts(options: argparse.Namespace) -> list[Path]:
    """Returns the files of --then.

    Raises:
        ValueError: If the command follows a file or reads standard input, which has no end
            after which a part could come; or its output is one of the parts.
    """
    parts: list[Path] = options.then or []
    from_stdin = any(map(is_stdin, (options.run, *parts)))
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
def _open_selection(
    paths: Sequence[Path], options: argparse.Namespace, progress: Progress
) -> Iterator[Run]:
    with ExitStack() as stack:
        if is_stdin(paths[0]):
            path = stack.enter_context(save_stdin())
            run = open_part(path, NAME, options.norms)
        else:
            run = open_run(*paths, norms=options.norms)
        run = progress.count_steps(run)
        yield run if options.layers is None else run.select(options.layers)
