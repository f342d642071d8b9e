"""gradsound list: lists the runs in a folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gradsound.cli.listing import to_data, to_lines
from gradsound.cli.output import print_error, print_line, terminal_columns
from gradsound.errors import error_text
from gradsound.run_folder import RunFolder

if TYPE_CHECKING:
    import argparse

    from gradsound.listed_alarms import ListedAlarms
    from gradsound.runs.listed_run import ListedRun


def run(options: argparse.Namespace) -> None:
    """Lists the runs in a folder, the newest first."""
    folder = RunFolder(options.folder)
    rows = [
        (run, _find_alarms(run) if options.alarms else None) for run in folder.list_runs()
    ]
    if options.json:
        print_line(json.dumps(to_data(folder.path, rows, folder.errors), allow_nan=False))
        return
    if not rows:
        print_line(f"{folder.path}: no runs, and no logs of other tools")
    else:
        for line in to_lines(rows, terminal_columns()):
            print_line(line)
    for file, error in folder.errors.items():
        print_error(f"{file}: {error}")


def _find_alarms(run: ListedRun) -> ListedAlarms | str:
    from gradsound.listed_alarms import find_alarms  # a listing without alarms needs none

    try:
        return find_alarms(run)
    except (OSError, ValueError) as error:
        return error_text(error)
