"""Options of the commands that record trainings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.cli.argument_types import file_path, process_number, step_number
from gradsound.cli.options.shared import add_device, add_sound
from gradsound.output.formats import ENDINGS
from gradsound.signal_options import SIGNAL_NAMES

if TYPE_CHECKING:
    from gradsound.cli.usage_errors import Parser

WAIT_SECONDS = 30.0


def add_run(command: Parser) -> None:
    """Adds the options of ``run``, and the script."""
    command.usage = "%(prog)s [options] (SCRIPT | -m MODULE | -c CODE) [arguments]"
    command.add_argument(
        "script",
        nargs=argparse.REMAINDER,
        type=file_path,
        metavar="SCRIPT",
        help="a Python script, and its own arguments after it",
    )
    command.add_argument("-m", metavar="MODULE", help="run a module, as python -m does")
    command.add_argument("-c", metavar="CODE", help="run a code, as python -c does")
    _add_recording(command)


def add_attach(command: Parser) -> None:
    """Adds the options of ``attach``, and the process."""
    _add_process(command)
    _add_recording(command)


def add_detach(command: Parser) -> None:
    """Adds the process of ``detach``."""
    _add_process(command)


def _add_process(command: Parser) -> None:
    command.add_argument(
        "pid", type=process_number, metavar="PID", help="number of the training's process"
    )
    command.add_argument(
        "--all",
        action="store_true",
        help="all workers below the process, which is a launcher such as torchrun",
    )
    command.add_argument(
        "--wait",
        type=float,
        default=WAIT_SECONDS,
        metavar="SECONDS",
        help=f"longest wait for a process that is not ready ({WAIT_SECONDS:g})",
    )


def _add_recording(command: Parser) -> None:
    _add_live(command)
    command.add_argument(
        "--wav", type=file_path, metavar="FILE", help=f"sound file, ending in {ENDINGS}"
    )
    command.add_argument(
        "--log",
        type=file_path,
        default=Path("run.jsonl"),
        metavar="FILE",
        help="run file (run.jsonl); an existing one gets a number",
    )
    command.add_argument(
        "--layers",
        action="append",
        metavar="GLOB",
        help="only the layers whose names match, such as 'encoder.*'; repeatable",
    )
    command.add_argument("--comment", default="", help="free text for the run file")
    command.add_argument(
        "--signals",
        action="append",
        metavar="NAME",
        help=f"measure a signal of each layer too, one of {', '.join(SIGNAL_NAMES)}; "
        "repeatable",
    )
    command.add_argument(
        "--budget",
        type=float,
        metavar="SHARE",
        help="largest share of the training time for measuring, such as 0.01 (all steps)",
    )
    command.add_argument(
        "--resume", action="store_true", help="go on in the run file, if there is one"
    )
    command.add_argument(
        "--start-step",
        type=step_number,
        metavar="N",
        help="number of the first step (0; with --resume, after the last)",
    )
    add_sound(command)


def add_demo(command: Parser) -> None:
    """Adds where ``demo`` plays."""
    command.add_argument(
        "-o",
        "--output",
        type=file_path,
        metavar="FILE",
        help=f"write a sound file, ending in {ENDINGS}, instead of playing",
    )
    _add_web(command, "play in a browser instead of on the sound device")


def _add_web(command: Parser, purpose: str) -> None:
    command.add_argument("--web", action="store_true", help=purpose)
    command.add_argument(
        "--port", type=int, metavar="N", help="of the page (8421, or the next free one)"
    )


def _add_live(command: Parser) -> None:
    _add_web(command, "play live in a browser")
    command.add_argument("--live", action="store_true", help="play live on a sound device")
    add_device(command)
