"""Options of the commands that print texts about runs: ``watch``, ``info`` and ``list``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.cli.argument_types import file_path, row_count
from gradsound.cli.choices import TOP
from gradsound.cli.options.shared import add_runs

if TYPE_CHECKING:
    from gradsound.cli.usage_errors import Parser


def add_watch(command: Parser) -> None:
    """Adds the run of ``watch``, and what follows an alarm."""
    add_runs(command)
    command.add_argument(
        "--follow",
        action="store_true",
        help="print alarms as they come, until the training ends",
    )
    command.add_argument(
        "--exec",
        metavar="COMMAND",
        help="run this for each alarm, with the alarm in GRADSOUND_TEXT and other "
        "variables; a shell only as sh -c '...'",
    )
    command.add_argument(
        "--until",
        action="append",
        metavar="ALARM",
        help="exit with status 3 if such an alarm comes, as nonfinite or loss,rise; "
        "repeatable",
    )
    command.add_argument(
        "--json", action="store_true", help="an object a line, for programs"
    )


def add_info(command: Parser) -> None:
    """Adds the runs of ``info``, and how much it prints."""
    add_runs(command, "up to 8: side by side")
    command.add_argument(
        "--json", action="store_true", help="for programs (docs/command-line.md)"
    )
    command.add_argument(
        "--top",
        type=row_count,
        default=TOP,
        metavar="N",
        help=f"rows of the table of layers ({TOP})",
    )
    command.add_argument(
        "--all", action="store_true", help="a line for each layer and for each alarm"
    )


def add_list(command: Parser) -> None:
    """Adds the folder of ``list``, and how much it prints."""
    command.add_argument(
        "folder",
        nargs="?",
        type=file_path,
        default=Path(),
        metavar="DIR",
        help="the folder; those below it count too (the working directory)",
    )
    command.add_argument(
        "--alarms",
        action="store_true",
        help="read all steps of each run, and count its alarms",
    )
    command.add_argument(
        "--json", action="store_true", help="for programs (docs/command-line.md)"
    )
