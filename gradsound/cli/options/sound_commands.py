"""Options of the commands that make sounds, pages and pictures of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.argument_types import file_path, osc_address, step_number
from gradsound.cli.choices import TARGETS
from gradsound.cli.options.shared import (
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
from gradsound.output.formats import ALL_ENDINGS, ENDINGS, FORMATS
from gradsound.synth.sample_rate import SAMPLE_RATE, SAMPLE_RATES

if TYPE_CHECKING:
    from gradsound.cli.usage_errors import Parser


def add_render(command: Parser) -> None:
    """Adds the runs of ``render``, and the file with its settings."""
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


def add_play(command: Parser) -> None:
    """Adds the run of ``play``, and where it plays."""
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


def add_serve(command: Parser) -> None:
    """Adds the runs of ``serve``, and the address of the page."""
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


def add_voices(command: Parser) -> None:
    """Adds the voice of ``voices``, and what it writes."""
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


def add_plot(command: Parser) -> None:
    """Adds the runs of ``plot``, and the picture."""
    add_runs(command, "up to 8: over the same steps, losses in one panel")
    add_output(command, "picture to write, ending in .png, .svg or .pdf")
    add_sound(command)
    add_duration(command)


def add_legend(command: Parser) -> None:
    """Adds the run of ``legend``, and the sound file."""
    add_run(command)
    add_output(command, f"sound file to write, ending in {ENDINGS}")
    add_sound(command)


def add_locate(command: Parser) -> None:
    """Adds the run of ``locate``, and the time or the step."""
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
