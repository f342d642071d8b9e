"""Options of the command line that several commands have, and what is made of them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradsound.cli.load_voice import named
from gradsound.music.pitch import SCALES, LogPitch
from gradsound.music.presets import PRESETS, Preset, find_preset
from gradsound.name_matching import unknown
from gradsound.open_run import open_run
from gradsound.rendering.locate import seconds
from gradsound.synth.voices.builtin import VOICES

if TYPE_CHECKING:
    from gradsound.cli.progress import Progress
    from gradsound.runs.model import Run
    from gradsound.synth.voices.builtin import Voice

# What says how a run sounds, of which a sound is in no need.
OF_RUN = (
    *("preset", "voice", "band", "scale", "invert", "baseline"),
    *("speed", "duration", "layers", "norms"),
)
USUAL = {"preset": "notes", "speed": 1.0}
VOICE = "a name that 'voices' lists, or module:function of your own"


def file(text: str) -> Path:
    """A path; one that is empty would be the working directory."""
    if not text:
        raise argparse.ArgumentTypeError("the name of a file is empty")
    return Path(text)


def add_output(command: argparse.ArgumentParser, what: str) -> None:
    """Adds where to write."""
    command.add_argument(
        "-o", "--output", type=file, required=True, metavar="FILE", help=what
    )


def step_number(text: str) -> int:
    """A number of a step, as captions have it: 13912 or 13,912."""
    try:
        return int(text.replace(",", ""))
    except ValueError:
        message = f"must be a whole number, got {text!r}"
        raise argparse.ArgumentTypeError(message) from None


def add_speed(command: argparse._ActionsContainer) -> None:
    """Adds how much faster."""
    usual = USUAL["speed"]
    command.add_argument(
        "--speed", type=float, default=usual, metavar="TIMES", help="times faster (1)"
    )


def add_duration(command: argparse._ActionsContainer) -> None:
    """Adds how long it may last."""
    command.add_argument(
        "--duration", metavar="TIME", help="fit it into that: 60 (seconds) or 1:00"
    )


def add_sound(command: argparse._ActionsContainer) -> None:
    """Adds how a run sounds: a preset, and what is to be otherwise."""
    names = ", ".join(sorted(PRESETS))
    usual = USUAL["preset"]
    command.add_argument("--preset", default=usual, metavar="NAME", help=f"{names} (notes)")
    command.add_argument("--voice", metavar="VOICE", help=f"{VOICE} (the preset's)")
    command.add_argument(
        "--band",
        action="append",
        metavar="NAME=GLOB",
        help="gather the layers that match, such as 'mlp=*.mlp.*'; may be repeated",
    )
    command.add_argument(
        "--scale", metavar="NAME", help=f"notes there are: {', '.join(SCALES)} (any)"
    )
    command.add_argument("--invert", action="store_true", help="larger norms are lower")
    command.add_argument(
        "--baseline",
        choices=("fixed", "running"),
        help="what norms are measured by: 1, or what is usual of each (fixed)",
    )


def preset_of(options: argparse.Namespace) -> Preset:
    """The preset that options ask for.

    Raises:
        ValueError: If there is none, or it has not what they change.
        VoiceError: If the voice cannot be found or compiled.
    """
    preset = find_preset(options.preset, voice_of(options))
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


def voice_of(options: argparse.Namespace) -> Voice | None:
    """The voice that options ask for, if any.

    Raises:
        ValueError: If there is none of that name.
        VoiceError: If a user's own cannot be found.
    """
    voice = options.voice
    if voice is not None and ":" not in voice and voice not in VOICES:
        raise ValueError(f"{unknown('voice', voice, VOICES)}; or module:function")
    return None if voice is None else named(voice)


def duration_of(options: argparse.Namespace) -> float | None:
    """The seconds that it may last, if there is a limit.

    Raises:
        ValueError: If it is no time.
    """
    return None if options.duration is None else seconds(options.duration)


def run_of(options: argparse.Namespace, progress: Progress) -> Run:
    """The run that options name, of the layers that they choose; raises as `selected`."""
    return selected(options.run, options, progress)


def selected(path: Path, options: argparse.Namespace, progress: Progress) -> Run:
    """A run of the layers that options choose, whose steps are counted.

    Raises:
        OSError, RunFormatError, ValueError: As `open_run` and `Run.select`.
    """
    run = progress.counted(open_run(path, norms=options.norms))
    return run if options.layers is None else run.select(options.layers)
