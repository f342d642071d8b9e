"""The command line: what it offers, and one clear line for whatever goes wrong."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import gradsound
from gradsound import commands as acts
from gradsound.errors import show_plainly
from gradsound.options import (
    USUAL,
    VOICE,
    add_duration,
    add_output,
    add_sound,
    add_speed,
    step_number,
)
from gradsound.out.loudspeaker import FRAMES, NoDeviceError
from gradsound.out.sound_file import FORMATS
from gradsound.rendering import SAMPLE_RATES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits: 0 done, 2 bad input, 130 interrupted, 143 ended."""
    show_plainly()
    for stream in (sys.stdout, sys.stderr):  # a name may have what a terminal cannot show
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with suppress(ValueError):  # only the main thread may
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clears up, then ends
    options = _parser().parse_args(arguments)
    try:
        options.act(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, ImportError, NoDeviceError) as error:
        sys.exit(_complain(error))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _complain(error: Exception) -> int:
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = (
            error.strerror
            if error.filename is None
            else f"{error.filename}: {error.strerror}"
        )
    print(f"gradsound: {message}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "gradsound", description="Hear your network train: the sound of runs."
    )
    version = f"gradsound {gradsound.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = _add(
        commands,
        "render",
        "write the sound of a run, or of two, to a file",
        acts.render_run,
    )
    command.add_argument(
        "other",
        type=Path,
        nargs="?",
        metavar="other.jsonl",
        help="another run to compare with: one in each ear",
    )
    add_output(
        command,
        f"sound file to write, ending in {', '.join(FORMATS)}; or .vtt, captions alone",
    )
    command.add_argument(
        "--difference", action="store_true", help="the ratio of the two runs' norms"
    )
    add_sound(command)
    add_speed(command)
    add_duration(command)
    low, high = SAMPLE_RATES
    command.add_argument(
        "--rate",
        type=int,
        default=44_100,
        metavar="HZ",
        help=f"sample rate, {low} to {high} (44100)",
    )
    subtypes = dict.fromkeys(name for _, names in FORMATS.values() for name in names)
    command.add_argument(
        "--subtype",
        choices=subtypes,
        help="format of the samples (PCM_16, in Ogg VORBIS)",
    )

    standard = "or - for standard input"
    command = _add(
        commands, "play", "play a run on the sound device", acts.play_run, standard
    )
    add_sound(command)
    add_speed(command)
    command.add_argument(
        "--follow",
        action="store_true",
        help="play steps as they are added, from now on: fast ones together",
    )
    command.add_argument("--device", help="index or part of a name, from 'devices'")
    command.add_argument("--latency", default="safe", help=f"{' or '.join(FRAMES)} (safe)")
    command.add_argument("--volume", type=float, default=1.0, help="0 to 1 (1)")

    command = _add(commands, "serve", "play a run in a browser", acts.serve_run, standard)
    add_sound(command)
    add_speed(command)
    command.add_argument(
        "--follow",
        action="store_true",
        help="play steps as they are added, from now on, to all who listen alike",
    )
    command.add_argument(
        "--port", type=int, help="which to serve on (8421, or the next one free)"
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        help="address of this machine to be reached by (127.0.0.1: from here alone)",
    )

    command = commands.add_parser(
        "devices", help="list sound devices", description="List sound devices."
    )
    command.set_defaults(act=acts.list_devices)

    command = commands.add_parser(
        "voices",
        help="list voices, or hear one",
        description="List voices, or write how one sounds from C2 to C7.",
    )
    command.set_defaults(act=acts.show_voices)
    command.add_argument("voice", nargs="?", metavar="VOICE", help=VOICE)
    command.add_argument("-o", "--output", type=Path, help="sound file to write")

    command = _add(commands, "plot", "draw a run: pitches, events, spectrum", acts.plot_run)
    add_output(command, "picture to write, ending in .png, .svg or .pdf")
    add_sound(command)

    command = _add(
        commands,
        "legend",
        "write what a run's bands and alarms sound like",
        acts.write_legend,
    )
    add_output(command, f"sound file to write, ending in {', '.join(FORMATS)}")
    add_sound(command)

    command = _add(
        commands,
        "locate",
        "say which step sounds when",
        acts.locate_sound,
        "or its WAV file",
    )
    command.add_argument("time", nargs="?", help="of the sound: 42, 0:42 or 1:02:03")
    command.add_argument(
        "--step", type=step_number, metavar="N", help="say when a step sounds"
    )
    of_run = "as the sound was rendered, for a run file"
    sound = command.add_argument_group("sound", of_run)
    add_sound(sound)
    add_speed(sound)
    add_duration(sound)
    command.set_defaults(**dict.fromkeys(USUAL))  # so that what is given is known

    _add(commands, "info", "say what is in a run and what happened", acts.show_info)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    does: str,
    act: Callable[[argparse.Namespace], None],
    instead: str = "",
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=does, description=does.capitalize() + ".")
    command.set_defaults(act=act)
    what = f"a run file{instead and f', {instead}'}"
    command.add_argument("run", type=Path, metavar="run.jsonl", help=what)
    command.add_argument(
        "--layers",
        action="append",
        metavar="GLOB",
        help="only the layers whose names match, such as 'encoder.*'; may be repeated",
    )
    command.add_argument(
        "--norms",
        action="append",
        metavar="GLOB",
        help="what is a norm, such as 'grad_norm*', if the run is a log of another tool "
        "(found by name)",
    )
    return command
