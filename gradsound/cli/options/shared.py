"""Options that several commands share: run, layers, preset, speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.argument_types import band_glob, file_path
from gradsound.cli.choices import LATENCIES, PRESETS, SCALES

if TYPE_CHECKING:
    import argparse

# Options that apply to run files only, not to a rendered sound.
RUN_OPTIONS = (
    *("preset", "voice", "band", "scale", "invert", "baseline"),
    *("speed", "duration", "layers", "norms", "logging_steps", "then"),
)
DEFAULTS = {"preset": "notes", "speed": 1.0}
_KINDS = "a run file, or a log of another tool"
VOICE_HELP = "a name from 'gradsound voices', or module:function of your own"


def add_run(command: argparse.ArgumentParser, alternative: str = "") -> None:
    """Adds one run, its further parts, and the options that choose layers and norms.

    Args:
        command: The command's parser.
        alternative: Another kind of input that the command reads, in words after these.
    """
    kinds = f"{_KINDS}{alternative}, or - for standard input"
    command.add_argument("runs", nargs=1, type=file_path, metavar="run.jsonl", help=kinds)
    _add_choice(command)
    if not alternative:  # whose command has a --step of its own
        _add_step(command)


def add_runs(command: argparse.ArgumentParser, several: str = "") -> None:
    """Adds one run or several as `add_run` does.

    Args:
        command: The command's parser.
        several: What the command does with several runs.
    """
    kinds = f"{_KINDS}, or - for standard input" + (f"; {several}" if several else "")
    kinds += "; run.rank*.jsonl, all ranks of a training, are one run"
    command.add_argument("runs", nargs="+", type=file_path, metavar="run.jsonl", help=kinds)
    _add_choice(command)
    _add_step(command)


def _add_choice(command: argparse.ArgumentParser) -> None:
    """Adds the options for the parts of a run, for layers and for norms."""
    command.add_argument(
        "--then",
        type=file_path,
        action="append",
        metavar="FILE",
        help="the file in which the training of the first run goes on; repeatable",
    )
    command.add_argument(
        "--layers",
        action="append",
        metavar="GLOB",
        help="only the layers whose names match, such as 'encoder.*'; repeatable",
    )
    command.add_argument(
        "--norms",
        action="append",
        metavar="GLOB",
        help="values of another tool's log that are norms, such as 'grad_norm*' "
        "(found by their names); repeatable",
    )
    command.add_argument(
        "--logging-steps",
        type=int,
        metavar="N",
        help="steps from one printed line to the next, if a console has no step (1)",
    )


def _add_step(command: argparse.ArgumentParser) -> None:
    """Adds the name of the step in another tool's log."""
    command.add_argument(
        "--step",
        dest="step_name",
        metavar="COLUMN",
        help="column of a table, or key of JSON lines, that has the step (found by its "
        "name)",
    )


def add_output(command: argparse.ArgumentParser, contents: str) -> None:
    """Adds the path of the file that the command writes."""
    command.add_argument(
        "-o", "--output", type=file_path, required=True, metavar="FILE", help=contents
    )


def add_speed(command: argparse._ActionsContainer) -> None:
    """Adds the speed of the steps."""
    default = DEFAULTS["speed"]
    command.add_argument(
        "--speed",
        type=float,
        default=default,
        metavar="TIMES",
        help="steps this many times faster, at the same pitch (1)",
    )


def add_duration(command: argparse._ActionsContainer) -> None:
    """Adds the longest duration of the sound."""
    command.add_argument(
        "--duration",
        metavar="TIME",
        help="fit the run into this time: 60 (seconds) or 1:00",
    )


def add_sound(command: argparse._ActionsContainer) -> None:
    """Adds the preset, and the options that change one of its settings."""
    names = ", ".join(sorted(PRESETS))
    default = DEFAULTS["preset"]
    command.add_argument(
        "--preset", default=default, metavar="NAME", help=f"{names} (notes)"
    )
    command.add_argument(
        "--voice", metavar="VOICE", help=f"{VOICE_HELP} (the preset's voices)"
    )
    command.add_argument(
        "--band",
        type=band_glob,
        action="append",
        metavar="NAME=GLOB",
        help="group the layers that match into a band: 'mlp=*.mlp.*'; repeatable",
    )
    command.add_argument(
        "--scale", metavar="NAME", help=f"musical scale: {', '.join(SCALES)} (any)"
    )
    command.add_argument(
        "--invert", action="store_true", help="give larger norms lower pitches"
    )
    command.add_argument(
        "--baseline",
        choices=("fixed", "running"),
        help="compare norms with 1, or with their running median (fixed)",
    )


def add_device(command: argparse.ArgumentParser) -> None:
    """Adds the options of a sound device; each is None if a user does not give it."""
    command.add_argument(
        "--device", metavar="NAME", help="index or part of a name, from 'devices'"
    )
    command.add_argument("--latency", metavar="NAME", help=f"{', '.join(LATENCIES)} (safe)")
    command.add_argument("--volume", type=float, metavar="GAIN", help="0 to 1 (1)")
