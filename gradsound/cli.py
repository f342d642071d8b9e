"""The command line: what it offers, and one clear line for whatever goes wrong."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

import gradsound
from gradsound.audition import audition, described, listed, named
from gradsound.console import play
from gradsound.errors import show_plainly
from gradsound.legend import legend
from gradsound.locating import (
    is_sound,
    seconds,
    tell_step,
    tell_time,
    timeline_for,
    timeline_of,
)
from gradsound.music.pitch import SCALES, LogPitch
from gradsound.music.preset import PRESETS, Preset, at_speed, find_preset
from gradsound.out.loudspeaker import FRAMES, NoDeviceError, devices
from gradsound.out.sound_file import FORMATS
from gradsound.picture import plot
from gradsound.player import Live
from gradsound.rendering import SAMPLE_RATES, render
from gradsound.run_file import read_run
from gradsound.serving import serve
from gradsound.summary import summarize, tell
from gradsound.synth.events import renderer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradsound.run import Run
    from gradsound.synth.voices import Voice

# What says how a run sounds, of which a sound is in no need.
_OF_RUN = (
    *("preset", "voice", "band", "scale", "invert", "baseline"),
    *("speed", "duration", "layers"),
)
_USUAL = {"preset": "notes", "speed": 1.0}
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

    command = _add(
        commands, "render", "write the sound of a run, or of two, to a file", _render
    )
    command.add_argument(
        "other",
        type=Path,
        nargs="?",
        metavar="other.jsonl",
        help="another run to compare with: one in each ear",
    )
    _add_output(
        command,
        f"sound file to write, ending in {', '.join(FORMATS)}; or .vtt, captions alone",
    )
    command.add_argument(
        "--difference", action="store_true", help="the ratio of the two runs' norms"
    )
    _add_sound(command)
    _add_speed(command)
    _add_duration(command)
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
    command = _add(commands, "play", "play a run on the sound device", _play, standard)
    _add_sound(command)
    _add_speed(command)
    command.add_argument(
        "--follow",
        action="store_true",
        help="play steps as they are added, from now on: fast ones together",
    )
    command.add_argument("--device", help="index or part of a name, from 'devices'")
    command.add_argument("--latency", default="safe", help=f"{' or '.join(FRAMES)} (safe)")
    command.add_argument("--volume", type=float, default=1.0, help="0 to 1 (1)")

    command = _add(commands, "serve", "play a run in a browser", _serve, standard)
    _add_sound(command)
    _add_speed(command)
    command.add_argument(
        "--follow",
        action="store_true",
        help="play steps as they are added, from now on, to all who listen alike",
    )
    command.add_argument("--port", type=int, help="which to serve on (any that is free)")
    command.add_argument(
        "--host",
        default="127.0.0.1",
        help="address of this machine to be reached by (127.0.0.1: from here alone)",
    )

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
    _add_sound(command)

    command = _add(
        commands, "legend", "write what a run's bands and alarms sound like", _legend
    )
    _add_output(command, f"sound file to write, ending in {', '.join(FORMATS)}")
    _add_sound(command)

    command = _add(
        commands, "locate", "say which step sounds when", _locate, "or its WAV file"
    )
    command.add_argument("time", nargs="?", help="of the sound: 42, 0:42 or 1:02:03")
    command.add_argument("--step", type=_step, metavar="N", help="say when a step sounds")
    of_run = "as the sound was rendered, for a run file"
    sound = command.add_argument_group("sound", of_run)
    _add_sound(sound)
    _add_speed(sound)
    _add_duration(sound)
    command.set_defaults(**dict.fromkeys(_USUAL))  # so that what is given is known

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
    what = f"a run file{instead and f', {instead}'}"
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


def _step(text: str) -> int:
    """A number of a step, as captions have it: 13912 or 13,912."""
    try:
        return int(text.replace(",", ""))
    except ValueError:
        message = f"must be a whole number, got {text!r}"
        raise argparse.ArgumentTypeError(message) from None


def _add_speed(command: argparse._ActionsContainer) -> None:
    usual = _USUAL["speed"]
    command.add_argument("--speed", type=float, default=usual, help="times faster (1)")


def _add_duration(command: argparse._ActionsContainer) -> None:
    command.add_argument(
        "--duration", metavar="TIME", help="fit it into that: 60 (seconds) or 1:00"
    )


def _duration(options: argparse.Namespace) -> float | None:
    return None if options.duration is None else seconds(options.duration)


def _add_sound(command: argparse._ActionsContainer) -> None:
    """How a run sounds: a preset, and what is to be otherwise."""
    names = ", ".join(sorted(PRESETS))
    usual = _USUAL["preset"]
    command.add_argument("--preset", default=usual, help=f"{names} (notes)")
    command.add_argument("--voice", metavar="VOICE", help=f"{_VOICE} (the preset's)")
    command.add_argument(
        "--band",
        action="append",
        metavar="NAME=GLOB",
        help="gather the layers that match, such as 'mlp=*.mlp.*'; may be repeated",
    )
    command.add_argument("--scale", help=f"notes there are: {', '.join(SCALES)} (any)")
    command.add_argument("--invert", action="store_true", help="larger norms are lower")
    command.add_argument(
        "--baseline",
        choices=("fixed", "running"),
        help="what norms are measured by: 1, or what is usual of each (fixed)",
    )


def _preset(options: argparse.Namespace) -> Preset:
    preset = find_preset(options.preset, _voice(options))
    changes: dict[str, Any] = {}
    if options.scale is not None or options.invert:
        if not isinstance(preset.pitch, LogPitch):
            raise ValueError(f"preset {preset.name!r} has neither scale nor invert")
        scale = options.scale or preset.pitch.scale
        changes["pitch"] = replace(preset.pitch, scale=scale, invert=options.invert)
    if options.baseline is not None:
        changes["baseline"] = options.baseline
    if options.band is not None:
        bands: dict[str, tuple[str, ...]] = {}
        for band in options.band:
            name, equals, glob = band.partition("=")
            if not (name and equals and glob):
                raise ValueError(f"--band must be NAME=GLOB, got {band!r}")
            bands[name] = (*bands.get(name, ()), glob)
        if preset.texture == "scan":
            raise ValueError(f"preset {preset.name!r} sounds every layer, and has no bands")
        changes["bands"] = bands
    return replace(preset, **changes) if changes else preset


def _run(options: argparse.Namespace) -> Run:
    return _selected(options.run, options)


def _selected(path: Path, options: argparse.Namespace) -> Run:
    run = read_run(path)
    return run if options.layers is None else run.select(options.layers)


def _render(options: argparse.Namespace) -> None:
    render(
        _run(options),
        options.output,
        other=None if options.other is None else _selected(options.other, options),
        difference=options.difference,
        preset=_preset(options),
        speed=options.speed,
        duration=_duration(options),
        sample_rate=options.rate,
        subtype=options.subtype,
    )


def _play(options: argparse.Namespace) -> None:
    play(
        options.run,
        layers=options.layers,
        preset=_preset(options),
        speed=options.speed,
        follow=options.follow,
        live=Live(device=options.device, latency=options.latency, volume=options.volume),
    )


def _serve(options: argparse.Namespace) -> None:
    serve(
        options.run,
        layers=options.layers,
        preset=_preset(options),
        speed=options.speed,
        follow=options.follow,
        port=options.port,
        host=options.host,
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
    plot(_run(options), options.output, preset=_preset(options))


def _legend(options: argparse.Namespace) -> None:
    for caption in legend(_run(options), options.output, _preset(options)):
        print(caption)


def _locate(options: argparse.Namespace) -> None:
    if (options.time is None) == (options.step is None):
        raise ValueError("give a time, or --step and its number")
    if is_sound(options.run):
        given = [name for name in _OF_RUN if getattr(options, name) not in (None, False)]
        if given:
            leave = ", ".join(f"--{name}" for name in given)
            raise ValueError(f"{options.run}: is as it was rendered; leave out {leave}")
        timeline = timeline_of(options.run)
    else:
        for name, usual in _USUAL.items():
            if getattr(options, name) is None:
                setattr(options, name, usual)
        preset = at_speed(_preset(options), options.speed)
        timeline = timeline_for(_run(options), preset, _duration(options))
    if options.time is not None:
        print(tell_time(timeline, seconds(options.time)))
    else:
        print(tell_step(timeline, options.step))


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
