"""Options that several commands share (run, layers, preset, speed), and their values."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gradsound.cli.argument_types import file_path, parse_time
from gradsound.cli.load_voice import load_voice
from gradsound.cli.standard_input import NAME, is_stdin, save_stdin
from gradsound.music.pitch import SCALES, LogPitch
from gradsound.music.presets import PRESETS, Preset, find_preset
from gradsound.name_matching import describe_unknown
from gradsound.open_run import is_same_file, open_part, open_run
from gradsound.synth.voices.builtin import VOICES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gradsound.cli.progress import Progress
    from gradsound.runs.model import Run
    from gradsound.synth.voices.builtin import Voice

# Options that apply to run files only, not to a rendered sound.
RUN_OPTIONS = (
    *("preset", "voice", "band", "scale", "invert", "baseline"),
    *("speed", "duration", "layers", "norms", "then"),
)
DEFAULTS = {"preset": "notes", "speed": 1.0}
VOICE_HELP = "a name from 'gradsound voices', or module:function of your own"


def add_run(command: argparse.ArgumentParser, alternative: str = "") -> None:
    """Adds the run, its further parts, and the options that choose layers and norms.

    Args:
        command: The command's parser.
        alternative: Another kind of input that the command reads, in words after these.
    """
    kinds = f"a run file, or a log of another tool{alternative}, or - for standard input"
    command.add_argument("run", type=file_path, metavar="run.jsonl", help=kinds)
    command.add_argument(
        "--then",
        type=file_path,
        action="append",
        metavar="FILE",
        help="the file in which the training of run.jsonl goes on; repeatable",
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


def get_preset(options: argparse.Namespace) -> Preset:
    """Returns the preset, changed by --voice, --scale, --invert, --baseline and --band.

    Raises:
        ValueError: If the name is unknown, or the preset lacks a setting to change.
        VoiceError: If the voice cannot be imported or compiled.
    """
    preset = find_preset(options.preset, get_voice(options))
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


def get_voice(options: argparse.Namespace) -> Voice | None:
    """Returns the voice of --voice; None without that option.

    Raises:
        ValueError: If the name is unknown.
        VoiceError: If a user's own voice cannot be imported.
    """
    voice = options.voice
    if voice is not None and ":" not in voice and voice not in VOICES:
        raise ValueError(f"{describe_unknown('voice', voice, VOICES)}; or module:function")
    return None if voice is None else load_voice(voice)


def get_duration(options: argparse.Namespace) -> float | None:
    """Returns the seconds of --duration; None without that option.

    Raises:
        ValueError: If it is not a time.
    """
    return None if options.duration is None else parse_time(options.duration)


@contextmanager
def open_run_of(options: argparse.Namespace, progress: Progress) -> Iterator[Run]:
    """Opens the run of the command, counts its steps and selects the layers of --layers.

    Args:
        options: The options of the command.
        progress: Shows how many steps are read.

    Raises:
        OSError, RunFormatError, ValueError: As `open_run` and `Run.select`.
    """
    if is_stdin(options.run) and is_stdin(getattr(options, "other", None)):
        raise ValueError("standard input has one run: save the other one to a file")
    paths = [options.run, *get_parts(options)]
    with _open_selection(paths, options, progress) as run:
        yield run


@contextmanager
def open_other(options: argparse.Namespace, progress: Progress) -> Iterator[Run | None]:
    """Opens the run to compare with as `open_run_of` does; yields None without one."""
    if options.other is None:
        yield None
        return
    with _open_selection([options.other], options, progress) as run:
        yield run


def get_parts(options: argparse.Namespace) -> list[Path]:
    """Returns the files of --then.

    Raises:
        ValueError: If the command follows a file or reads standard input, which has no end
            after which a part could come; or its output is one of the parts.
    """
    parts: list[Path] = options.then or []
    from_stdin = any(map(is_stdin, (options.run, *parts)))
    if parts and (getattr(options, "follow", False) or from_stdin):
        raise ValueError(
            "--then joins files that are finished, so it goes neither with --follow nor "
            "with standard input: give the last file alone"
        )
    output = getattr(options, "output", None)
    for part in parts:
        if output is not None and is_same_file(part, output):
            raise ValueError(f"{part}: is a part of the run itself; write to another file")
    return parts


@contextmanager
def _open_selection(
    paths: Sequence[Path], options: argparse.Namespace, progress: Progress
) -> Iterator[Run]:
    with ExitStack() as stack:
        if is_stdin(paths[0]):
            path = stack.enter_context(save_stdin())
            run = open_part(path, NAME, options.norms)
        else:
            run = open_run(*paths, norms=options.norms)
        run = progress.count_steps(run)
        yield run if options.layers is None else run.select(options.layers)
