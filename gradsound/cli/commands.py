"""What each command does: from its options to a function of the package."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gradsound.cli import info, info_data
from gradsound.cli.argument_types import parse_time
from gradsound.cli.completion import completion_script
from gradsound.cli.output import print_line, print_text, terminal_columns
from gradsound.cli.play import play
from gradsound.cli.progress import Progress
from gradsound.cli.shared_options import (
    DEFAULTS,
    RUN_OPTIONS,
    get_duration,
    get_parts,
    get_preset,
    get_voice,
    open_other,
    open_run_of,
)
from gradsound.music.presets import at_speed
from gradsound.output.sound_device import find_devices
from gradsound.rendering.locate import (
    compute_timeline,
    describe_step,
    describe_time,
    is_sound,
    read_timeline,
)
from gradsound.rendering.picture import plot
from gradsound.rendering.sound import render
from gradsound.rendering.sound_legend import legend
from gradsound.rendering.voice_demo import describe_voice, list_voices, write_demo
from gradsound.summary.run_summary import summarize
from gradsound.synth.kernels.select import describe_kernel
from gradsound.web.page_address import check_port
from gradsound.workers.sinks import DeviceSink

if TYPE_CHECKING:
    import argparse

    from gradsound.music.timeline import Timeline


def render_run(options: argparse.Namespace) -> None:
    """Writes the sound of a run, or of two."""
    with (
        Progress() as progress,
        open_run_of(options, progress) as run,
        open_other(options, progress) as other,
    ):
        render(
            run,
            options.output,
            other=other,
            difference=options.difference,
            preset=get_preset(options),
            speed=options.speed,
            duration=get_duration(options),
            sample_rate=options.rate,
            subtype=options.subtype,
        )


def play_run(options: argparse.Namespace) -> None:
    """Plays a run on the sound device."""
    play(
        options.run,
        parts=get_parts(options),
        layers=options.layers,
        norms=options.norms,
        preset=get_preset(options),
        speed=options.speed,
        follow=options.follow,
        live=DeviceSink(
            device=options.device, latency=options.latency, volume=options.volume
        ),
    )


def serve_run(options: argparse.Namespace) -> None:
    """Plays a run in a browser."""
    check_port(options.port)  # before the import, which needs the extra that this checks
    from gradsound.cli.serve import serve  # websockets and asyncio load for this one only

    serve(
        options.run,
        parts=get_parts(options),
        layers=options.layers,
        norms=options.norms,
        preset=get_preset(options),
        speed=options.speed,
        follow=options.follow,
        port=options.port,
        host=options.host,
    )


def show_voices(options: argparse.Namespace) -> None:
    """Lists the voices, describes one, or writes a demo of it."""
    voice = get_voice(options)
    if voice is None:
        if options.output is not None:
            raise ValueError(f"{options.output}: name the voice to write")
        for name, description in list_voices():
            print_line(f"{name:8} {description}")
        print_line()
        print_line(describe_kernel())
    elif options.output is None:
        for line in describe_voice(voice).split("\n"):
            print_line(line)
    else:
        write_demo(voice, options.output)


def list_devices(_: argparse.Namespace) -> None:
    """Lists the sound devices; the default one has a star."""
    for device in find_devices():
        mark = "*" if device["default"] else " "
        print_line(f"{mark} {device['index']:3} {device['name']}")


def plot_run(options: argparse.Namespace) -> None:
    """Draws a run, or two."""
    with (
        Progress() as progress,
        open_run_of(options, progress) as run,
        open_other(options, progress) as other,
    ):
        plot(
            run,
            options.output,
            other=other,
            preset=get_preset(options),
            duration=get_duration(options),
        )


def write_legend(options: argparse.Namespace) -> None:
    """Writes an example of each band's and each alarm's sound; prints its captions."""
    with Progress() as progress, open_run_of(options, progress) as run:
        captions = legend(run, options.output, preset=get_preset(options))
    for caption in captions:
        print_line(str(caption))


def locate_sound(options: argparse.Namespace) -> None:
    """Prints the step at a time of the sound, or the time of a step."""
    if (options.time is None) == (options.step is None):
        raise ValueError("give either a time, or --step and a number")
    if is_sound(options.run):
        _refuse_run_options(options)
        timeline = read_timeline(options.run)
    else:
        timeline = _compute_timeline(options)
    if options.time is not None:
        print_line(describe_time(timeline, parse_time(options.time)))
    else:
        print_line(describe_step(timeline, options.step))


def _refuse_run_options(options: argparse.Namespace) -> None:
    names = [name for name in RUN_OPTIONS if getattr(options, name) not in (None, False)]
    if names:
        flags = ", ".join(f"--{name}" for name in names)
        raise ValueError(f"{options.run}: a sound is already rendered; leave out {flags}")


def _compute_timeline(options: argparse.Namespace) -> Timeline:
    for name, default in DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, default)
    preset = at_speed(get_preset(options), options.speed)
    with Progress() as progress, open_run_of(options, progress) as run:
        return compute_timeline(run, preset, get_duration(options))


def show_info(options: argparse.Namespace) -> None:
    """Prints what a run contains and what happened in it."""
    with Progress() as progress, open_run_of(options, progress) as run:
        summary = summarize(run)
    if options.json:
        print_line(json.dumps(info_data.to_data(run, summary), allow_nan=False))
    else:
        for line in info.to_lines(
            run,
            summary,
            top=options.top,
            everything=options.all,
            columns=terminal_columns(),
        ):
            print_line(line)


def print_completion(options: argparse.Namespace) -> None:
    """Prints the completion script of a shell."""
    print_text(completion_script(options.parser, options.shell))
