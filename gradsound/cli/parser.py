"""What the command line offers: commands, their options, and examples of each."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gradsound.cli import commands as acts
from gradsound.cli.completion import SHELLS
from gradsound.cli.examples import EXAMPLES, EXIT_CODES
from gradsound.cli.shared_options import (
    USUAL,
    VOICE,
    add_duration,
    add_output,
    add_sound,
    add_speed,
    file,
    step_number,
)
from gradsound.cli.usage_errors import Parser
from gradsound.output.formats import FORMATS
from gradsound.output.sound_device import FRAMES
from gradsound.synth.mixer import SAMPLE_RATE, SAMPLE_RATES
from gradsound.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable


def parser() -> argparse.ArgumentParser:
    """The parser; what it returns has the function to be called, as ``act``."""
    made = Parser(
        "gradsound",
        description="Hear your network train: the sound of runs.",
        epilog=f"{EXAMPLES['']}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"gradsound {__version__}"
    made.add_argument("-V", "--version", action="version", version=version)
    commands = made.add_subparsers(required=True, metavar="COMMAND", title="commands")

    command = _of_run(
        commands,
        "render",
        "write the sound of a run, or of two, to a file",
        acts.render_run,
    )
    command.add_argument(
        "other",
        type=file,
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
        default=SAMPLE_RATE,
        metavar="HZ",
        help=f"sample rate, {low} to {high} ({SAMPLE_RATE})",
    )
    subtypes = dict.fromkeys(name for _, names in FORMATS.values() for name in names)
    command.add_argument(
        "--subtype",
        choices=subtypes,
        help="format of the samples (PCM_16, in Ogg VORBIS)",
    )

    standard = "or - for standard input"
    command = _of_run(
        commands, "play", "play a run on the sound device", acts.play_run, standard
    )
    add_sound(command)
    add_speed(command)
    command.add_argument(
        "--follow",
        action="store_true",
        help="play steps as they are added, from now on: fast ones together",
    )
    command.add_argument(
        "--device", metavar="NAME", help="index or part of a name, from 'devices'"
    )
    command.add_argument(
        "--latency", default="safe", metavar="NAME", help=f"{' or '.join(FRAMES)} (safe)"
    )
    command.add_argument(
        "--volume", type=float, default=1.0, metavar="GAIN", help="0 to 1 (1)"
    )

    command = _of_run(
        commands, "serve", "play a run in a browser", acts.serve_run, standard
    )
    add_sound(command)
    add_speed(command)
    command.add_argument(
        "--follow",
        action="store_true",
        help="play steps as they are added, from now on, to all who listen alike",
    )
    command.add_argument(
        "--port",
        type=int,
        metavar="N",
        help="which to serve on (8421, or the next one free)",
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address of this machine to be reached by (127.0.0.1: from here alone)",
    )

    _add(commands, "devices", "list sound devices", acts.list_devices)

    command = _add(
        commands,
        "voices",
        "list voices, or write how one sounds from C2 to C7",
        acts.show_voices,
    )
    command.add_argument("voice", nargs="?", metavar="VOICE", help=VOICE)
    command.add_argument(
        "-o", "--output", type=file, metavar="FILE", help="sound file to write"
    )

    command = _of_run(
        commands, "plot", "draw a run: pitches, events, spectrum", acts.plot_run
    )
    add_output(command, "picture to write, ending in .png, .svg or .pdf")
    add_sound(command)

    command = _of_run(
        commands,
        "legend",
        "write what a run's bands and alarms sound like",
        acts.write_legend,
    )
    add_output(command, f"sound file to write, ending in {', '.join(FORMATS)}")
    add_sound(command)

    command = _of_run(
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

    command = _of_run(
        commands, "info", "say what is in a run and what happened", acts.show_info
    )
    command.add_argument(
        "--json", action="store_true", help="for programs (docs/command-line.md)"
    )

    command = _add(
        commands, "completion", "print what completes commands in a shell", acts.complete
    )
    command.add_argument("shell", choices=SHELLS, help="the shell that you use")
    command.set_defaults(parser=made)
    return made


def _add(
    commands: argparse._SubParsersAction[Parser],
    name: str,
    does: str,
    act: Callable[[argparse.Namespace], None],
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=does,
        description=does[0].upper() + does[1:] + ".",
        epilog=EXAMPLES[name],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(act=act)
    return command


def _of_run(
    commands: argparse._SubParsersAction[Parser],
    name: str,
    does: str,
    act: Callable[[argparse.Namespace], None],
    instead: str = "",
) -> argparse.ArgumentParser:
    command = _add(commands, name, does, act)
    what = f"a run file, or a log of another tool{instead and f', {instead}'}"
    command.add_argument("run", type=file, metavar="run.jsonl", help=what)
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
