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

import numpy as np

import gradsound
from gradsound.audition import audition, described, listed, named
from gradsound.console import play
from gradsound.errors import show_plainly
from gradsound.music.preset import PRESETS
from gradsound.out.loudspeaker import FRAMES, NoDeviceError, devices
from gradsound.out.sound_file import FORMATS
from gradsound.picture import plot
from gradsound.player import Live
from gradsound.rendering import SAMPLE_RATES, render
from gradsound.run_file import read_run
from gradsound.summary import summarize, tell
from gradsound.synth.events import renderer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradsound.run import Run
    from gradsound.synth.voices import Voice

_VOICE = "a name that 'voices' lists, or module:function of your own"


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

    command = _add(commands, "render", "write the sound of a run to a file", _render)
    _add_output(command, f"sound file to write, ending in {', '.join(FORMATS)}")
    _add_preset(command)
    _add_voice(command)
    _add_speed(command)
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

    command = _add(commands, "play", "play a run on the sound device", _play, "or -")
    _add_preset(command)
    _add_voice(command)
    _add_speed(command)
    command.add_argument(
        "--follow",
        action="store_true",
        help="play steps as they are added, from now on: fast ones together",
    )
    command.add_argument("--device", help="index or part of a name, from 'devices'")
    command.add_argument("--latency", default="safe", help=f"{' or '.join(FRAMES)} (safe)")
    command.add_argument("--volume", type=float, default=1.0, help="0 to 1 (1)")

    command = commands.add_parser(
        "devices", help="list sound devices", description="List sound devices."
    )
    command.set_defaults(act=_devices)

    command = commands.add_parser(
        "voices",
        help="list voices, or hear one",
        description="List voices, or write how one sounds from C2 to C7.",
    )
    command.set_defaults(act=_voices)
    command.add_argument("voice", nargs="?", metavar="VOICE", help=_VOICE)
    command.add_argument("-o", "--output", type=Path, help="sound file to write")

    command = _add(commands, "plot", "draw a run: pitches, events, spectrum", _plot)
    _add_output(command, "picture to write, ending in .png, .svg or .pdf")
    _add_preset(command)
    _add_voice(command)

    _add(commands, "info", "say what is in a run and what happened", _info)
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
    what = f"a run file{instead and f', {instead} for standard input'}"
    command.add_argument("run", type=Path, metavar="run.jsonl", help=what)
    command.add_argument(
        "--layers",
        action="append",
        metavar="GLOB",
        help="only the layers whose names match, such as 'encoder.*'; may be repeated",
    )
    return command


def _add_output(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("-o", "--output", type=Path, required=True, help=what)


def _add_speed(command: argparse.ArgumentParser) -> None:
    command.add_argument("--speed", type=float, default=1.0, help="times faster (1)")


def _add_preset(command: argparse.ArgumentParser) -> None:
    names = ", ".join(sorted(PRESETS))
    command.add_argument("--preset", default="notes", help=f"{names} (notes)")


def _add_voice(command: argparse.ArgumentParser) -> None:
    command.add_argument("--voice", metavar="VOICE", help=f"{_VOICE} (the preset's)")


def _run(options: argparse.Namespace) -> Run:
    run = read_run(options.run)
    return run if options.layers is None else run.select(options.layers)


def _render(options: argparse.Namespace) -> None:
    render(
        _run(options),
        options.output,
        preset=options.preset,
        voice=_voice(options),
        speed=options.speed,
        sample_rate=options.rate,
        subtype=options.subtype,
    )


def _play(options: argparse.Namespace) -> None:
    play(
        options.run,
        layers=options.layers,
        preset=options.preset,
        voice=_voice(options),
        speed=options.speed,
        follow=options.follow,
        live=Live(device=options.device, latency=options.latency, volume=options.volume),
    )


def _voice(options: argparse.Namespace) -> Voice | None:
    return None if options.voice is None else named(options.voice)


def _voices(options: argparse.Namespace) -> None:
    voice = _voice(options)
    if voice is None:
        if options.output is not None:
            raise ValueError(f"which voice is to be written to {options.output}?")
        for name, what in listed():
            print(f"{name:8} {what}")
        print(f"\n{renderer()}")
    elif options.output is None:
        print(described(voice))
    else:
        audition(voice, options.output)


def _devices(_: argparse.Namespace) -> None:
    for device in devices():
        mark = "*" if device["default"] else " "
        print(f"{mark} {device['index']:3} {device['name']}")


def _plot(options: argparse.Namespace) -> None:
    plot(_run(options), options.output, preset=options.preset, voice=_voice(options))


def _info(options: argparse.Namespace) -> None:
    run = _run(options)
    summary = summarize(run)
    header = run.header
    print(f"{run.name}: {header.note}" if header.note else run.name)
    since = f", from {header.start}" if header.start else ""
    print(f"{summary.steps} steps in {summary.seconds:.1f} s{since}")
    for line in tell(summary) if summary.steps else ():
        print(line)
    width = max(5, *(len(name) for name in header.layers))
    titles = ("parameters", "lowest", "typical", "highest", "no gradient")
    print("layer".ljust(width), *(title.rjust(11) for title in titles))
    for layer, name in enumerate(header.layers):
        norms = summary.lowest[layer], summary.typical[layer], summary.highest[layer]
        shown = ("-" if np.isnan(norm) else f"{norm:.3g}" for norm in norms)
        cells = (f"{header.parameters[layer]:,}", *shown, summary.absent[layer])
        print(name.ljust(width), *(str(cell).rjust(11) for cell in cells))
