"""gradsound locate: finds the step at a time of the sound, or the time of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.opened_runs import open_run_of
from gradsound.cli.option_values import get_duration, get_preset
from gradsound.cli.options.shared import DEFAULTS, RUN_OPTIONS
from gradsound.cli.output import print_line
from gradsound.cli.progress import Progress
from gradsound.durations import parse_time
from gradsound.music.presets import at_speed
from gradsound.rendering.locate import (
    compute_timeline,
    describe_step,
    describe_time,
    is_sound,
    read_timeline,
)

if TYPE_CHECKING:
    import argparse

    from gradsound.music.timeline import Timeline


def run(options: argparse.Namespace) -> None:
    """Prints the step at a time of the sound, or the time of a step."""
    if (options.time is None) == (options.step is None):
        raise ValueError("give either a time, or --step and a number")
    if is_sound(options.runs[0]):
        _refuse_run_options(options)
        timeline = read_timeline(options.runs[0])
    else:
        timeline = _compute_timeline(options)
    if options.time is not None:
        print_line(describe_time(timeline, parse_time(options.time)))
    else:
        print_line(describe_step(timeline, options.step))


def _refuse_run_options(options: argparse.Namespace) -> None:
    names = [name for name in RUN_OPTIONS if getattr(options, name) not in (None, False)]
    if names:
        flags = ", ".join(f"--{name}".replace("_", "-") for name in names)
        raise ValueError(
            f"{options.runs[0]}: a sound is already rendered; leave out {flags}"
        )


def _compute_timeline(options: argparse.Namespace) -> Timeline:
    for name, default in DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, default)
    preset = at_speed(get_preset(options), options.speed)
    with Progress() as progress, open_run_of(options, progress) as run:
        return compute_timeline(run, preset, get_duration(options))
