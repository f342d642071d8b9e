"""gradsound info: prints what a run contains and what happened in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gradsound.cli.info_data import to_data
from gradsound.cli.info_lines import to_lines
from gradsound.cli.opened_runs import open_run_of
from gradsound.cli.output import print_line, terminal_columns
from gradsound.cli.progress import Progress
from gradsound.summary.run_summary import summarize

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Prints what a run contains and what happened in it."""
    with Progress() as progress, open_run_of(options, progress) as run:
        summary = summarize(run)
    if options.json:
        print_line(json.dumps(to_data(run, summary), allow_nan=False))
        return
    columns = terminal_columns()
    lines = to_lines(run, summary, top=options.top, everything=options.all, columns=columns)
    for line in lines:
        print_line(line)
