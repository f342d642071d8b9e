"""gradsound info: prints what runs contain and what happened in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gradsound.cli.choices import TOP
from gradsound.cli.info_data import to_data
from gradsound.cli.info_lines import to_lines
from gradsound.cli.opened_runs import find_kind, get_paths, open_run_of, open_selection
from gradsound.cli.output import print_error, print_line, terminal_columns
from gradsound.cli.progress import Progress
from gradsound.errors import error_text
from gradsound.summary.run_summary import summarize

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from gradsound.runs.model import Run
    from gradsound.summary.run_summary import Summary


def run(options: argparse.Namespace) -> None:
    """Prints what a run contains and what happened in it; or several, side by side."""
    if find_kind(options) == "runs":
        _compare(options)
        return
    with Progress() as progress, open_run_of(options, progress) as run:
        summary = summarize(run)
    if options.json:
        _print_json(to_data(run, summary))
        return
    columns = terminal_columns()
    _print_lines(
        to_lines(run, summary, top=options.top, everything=options.all, columns=columns)
    )


def _compare(options: argparse.Namespace) -> None:
    """Prints the runs that can be read, then raises the error of one that cannot."""
    if options.all or options.top != TOP:
        raise ValueError("--all and --top are for the layers and alarms of a single run")
    from gradsound.cli.comparison_table import to_table  # a single run has no table

    with Progress() as progress:
        results = [_read(paths, options, progress) for paths in get_paths(options)]
    found = [result for result in results if isinstance(result, tuple)]
    errors = [result for result in results if isinstance(result, Exception)]
    if options.json:
        _print_json([to_data(run, summary) for run, summary in found])
    elif found:
        runs, summaries = zip(*found)
        _print_lines(to_table(runs, summaries, terminal_columns()))
    for error in errors[:-1]:
        print_error(error_text(error))
    if errors:
        raise errors[-1]


def _read(
    paths: Sequence[Path], options: argparse.Namespace, progress: Progress
) -> tuple[Run, Summary] | OSError | ValueError | ImportError:
    """Returns one of several runs with its summary, or the error that it has."""
    try:
        with open_selection(paths, options, progress) as run:
            return run, summarize(run)
    except (OSError, ValueError, ImportError) as error:  # a decompressor is an extra
        return error


def _print_json(data: object) -> None:
    print_line(json.dumps(data, allow_nan=False))


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print_line(line)
