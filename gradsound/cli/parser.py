"""The parser of the command line: every command with its options and help texts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gradsound.cli.argument_types import file_path, osc_address, step_number
from gradsound.cli.choices import SHELLS, TARGETS
from gradsound.cli.examples import EXAMPLES, EXIT_CODES
from gradsound.cli.shared_options import (
    DEFAULTS,
    VOICE_HELP,
    add_device,
    add_duration,
    add_output,
    add_run,
    add_runs,
    add_sound,
    add_speed,
)
from gradsound.cli.text_options import add_info, add_list, add_watch
from gradsound.cli.training_options import add_attach, add_demo, add_detach, add_script
from gradsound.cli.usage_errors import Parser
from gradsound.output.formats import ALL_ENDINGS, ENDINGS, FORMATS
from gradsound.synth.sample_rate import SAMPLE_RATE, SAMPLE_RATES
from gradsound.version import __version__

if TYPE_CHECKING:
    from typing import TypeAlias

    _Commands: TypeAlias = argparse._SubParsersAction[Parser]


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser; ``options.command`` is then the name of the chosen command."""
    parser = Parser(
        "gradsound",
        description="Hear your network train: the sound of runs.",
        epilog=f"{EXAMPLES['']}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"gradsound {__version__}"
    parser.add_argument("-V", "--version", action="version", version=version)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    purpose = "run a training script, and record or play its training"
    add_script(_add_command(commands, "run", purpose))
    purpose = "record or play a training that runs already"
    add_attach(_add_command(commands, "attach", purpose))
    purpose = "end what attach began; the training goes on"
    add_detach(_add_command(commands, "detach", purpose))
    purpose = "train a small network for seconds, and play its training"
    add_demo(_add_command(commands, "demo", purpose))
    _add_render(commands)
    _add_play(commands)
    _add_serve(commands)
    purpose = "print the alarms of a run, without sound; or of one that grows"
    add_watch(_add_command(commands, "watch", purpose))
    _add_devices(commands)
    _add_voices(commands)
    _add_plot(commands)
    _add_legend(commands)
    _add_locate(commands)
    purpose = "print what a run, or several, contain and what happened in them"
    add_info(_add_command(commands, "info", purpose))
    purpose = "list the runs in a folder, the newest first"
    add_list(_add_command(commands, "list", purpose))
    _add_completion(commands, parser)
    return parser


def _add_command(commands: _Commands, name: str, purpose: str) -> Parser:
    return commands.add_parser(
        name,
        help=purpose,
        description=purpose[0].upper() + purpose[1:] + ".",
        epilog=EXAMPLES[name],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_render(commands: _Commands) -> None:
    purpose = "write the sound of a run, or of several, to a file"
    command = _add_command(commands, "render", purpose)
    add_runs(command, "two: one in each ear; up to 8: in turn, from left to right")
    add_output(command, f"sound file to write, ending in {ALL_ENDINGS}")
    command.add_argument(
        "--difference",
        action="store_true",
        help="sound the ratio of the second run's norms to the first run's",
    )
    add_sound(command)
    add_speed(command)
    add_duration(command)
    low, high = SAMPLE_RATES
    command.add_argument(
        "--rate",
        type=int,
        metavar="HZ",
        help=f"sample rate, {low} to {high} ({SAMPLE_RATE}; in .opus 48000)",
    )
    subtypes = dict.fromkeys(name for form in FORMATS.values() for name in form.subtypes)
    command.add_argument(
        "--subtype",
        choices=subtypes,
        help="format of the samples (PCM_16 in WAV and FLAC)",
    )
    command.add_argument(
        "--stems",
        type=file_path,
        metavar="DIR",
        help="also write a file of each band, and one of the alarms, into this folder",
    )
    command.add_argument(
        "--title", metavar="TEXT", help="title of a page (the name of the run)"
    )


def _add_play(commands: _Commands) -> None:
    purpose = "play a run on the sound device"
    command = _add_command(commands, "play", purpose)
    add_run(command)
    add_sound(command)
    add_speed(command)
    command.add_argument(
        "--follow",
        action="store_true",
        help="play only new steps, as the training adds them; fast ones are merged",
    )
    add_device(command)
    command.add_argument(
        "--osc",
        type=osc_address,
        metavar="HOST:PORT",
        help="play by Open Sound Control instead, on another program's instruments",
    )
    command.set_defaults(volume=1.0)


def _add_serve(commands: _Commands) -> None:
    purpose = "play a run in a browser"
    command = _add_command(commands, "serve", purpose)
    add_runs(command)
    add_sound(command)
    add_speed(command)
    command.add_argument(
        "--follow",
        action="store_true",
        help="play only new steps, as the training adds them; all pages play the same",
    )
    command.add_argument(
        "--port", type=int, metavar="N", help="port (8421, or the next free one)"
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address of this machine to serve on (127.0.0.1: this machine only)",
    )


def _add_devices(commands: _Commands) -> None:
    _add_command(commands, "devices", "list sound devices")


def _add_voices(commands: _Commands) -> None:
    purpose = "list voices, describe one, or write its demo or its native code"
    command = _add_command(commands, "voices", purpose)
    command.add_argument("voice", nargs="?", metavar="VOICE", help=VOICE_HELP)
    command.add_argument(
        "-o",
        "--output",
        type=file_path,
        metavar="FILE",
        help=f"sound file to write, ending in {ENDINGS}: a demo from C2 to C7; with "
        "--emit native code, ending in .o, or of wasm32 in .wasm",
    )
    command.add_argument(
        "--emit",
        metavar="TARGET",
        help=f"write native code for {', '.join(TARGETS)}, and a C header beside it",
    )


def _add_plot(commands: _Commands) -> None:
    purpose = "draw a run, or several: norms and pitches, alarms, losses, spectrum"
    command = _add_command(commands, "plot", purpose)
    add_runs(command, "up to 8: over the same steps, losses in one panel")
    add_output(command, "picture to write, ending in .png, .svg or .pdf")
    add_sound(command)
    add_duration(command)


def _add_legend(commands: _Commands) -> None:
    purpose = "write an example of each band's and each alarm's sound"
    command = _add_command(commands, "legend", purpose)
    add_run(command)
    add_output(command, f"sound file to write, ending in {ENDINGS}")
    add_sound(command)


def _add_locate(commands: _Commands) -> None:
    purpose = "find the step at a time of the sound, or the time of a step"
    command = _add_command(commands, "locate", purpose)
    add_run(command, ", or its WAV file")
    command.add_argument("time", nargs="?", help="in the sound: 42, 0:42 or 1:02:03")
    command.add_argument(
        "--step", type=step_number, metavar="N", help="print the time of this step"
    )
    group = command.add_argument_group(
        "sound", "for a run file: the options that rendered the sound"
    )
    add_sound(group)
    add_speed(group)
    add_duration(group)
    # None instead of the defaults, so that the command knows which options are given.
    command.set_defaults(**dict.fromkeys(DEFAULTS))


def _add_completion(commands: _Commands, parser: Parser) -> None:
    purpose = "print the completion script of a shell"
    command = _add_command(commands, "completion", purpose)
    command.add_argument("shell", choices=SHELLS, help="your shell")
    command.set_defaults(parser=parser)
