"""What the commands do: from their options to the functions behind them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gradsound.cli import info
from gradsound.cli.completion import script
from gradsound.cli.output import say, write
from gradsound.cli.play import play
from gradsound.cli.progress import Progress
from gradsound.cli.shared_options import (
    OF_RUN,
    USUAL,
    duration_of,
    preset_of,
    run_of,
    selected,
    voice_of,
)
from gradsound.music.presets import at_speed
from gradsound.output.sound_device import devices
from gradsound.rendering.legend import legend
from gradsound.rendering.locate import (
    is_sound,
    seconds,
    tell_step,
    tell_time,
    timeline_for,
    timeline_of,
)
from gradsound.rendering.picture import plot
from gradsound.rendering.sound import render
from gradsound.rendering.voice_demo import audition, described, listed
from gradsound.runs.summary import summarize
from gradsound.synth.kernels.select import renderer
from gradsound.web.host_and_port import check_port
from gradsound.workers.sinks import DeviceSink

if TYPE_CHECKING:
    import argparse


def render_run(options: argparse.Namespace) -> None:
    """Writes the sound of a run, or of two."""
    other = options.other
    with Progress() as progress:
        render(
            run_of(options, progress),
            options.output,
            other=None if other is None else selected(other, options, progress),
            difference=options.difference,
            preset=preset_of(options),
            speed=options.speed,
            duration=duration_of(options),
            sample_rate=options.rate,
            subtype=options.subtype,
        )


def play_run(options: argparse.Namespace) -> None:
    """Plays a run on the sound device."""
    play(
        options.run,
        layers=options.layers,
        norms=options.norms,
        preset=preset_of(options),
        speed=options.speed,
        follow=options.follow,
        live=DeviceSink(
            device=options.device, latency=options.latency, volume=options.volume
        ),
    )


def serve_run(options: argparse.Namespace) -> None:
    """Plays a run in a browser."""
    check_port(options.port)  # and whether there is what it takes to serve
    from gradsound.cli.serve import serve  # which no other command needs, nor waits for

    serve(
        options.run,
        layers=options.layers,
        norms=options.norms,
        preset=preset_of(options),
        speed=options.speed,
        follow=options.follow,
        port=options.port,
        host=options.host,
    )


def show_voices(options: argparse.Namespace) -> None:
    """Lists voices, tells of one, or writes how it sounds."""
    voice = voice_of(options)
    if voice is None:
        if options.output is not None:
            raise ValueError(f"which voice is to be written to {options.output}?")
        for name, what in listed():
            say(f"{name:8} {what}")
        say()
        say(renderer())
    elif options.output is None:
        for line in described(voice).split("\n"):
            say(line)
    else:
        audition(voice, options.output)


def list_devices(_: argparse.Namespace) -> None:
    """Lists sound devices."""
    for device in devices():
        mark = "*" if device["default"] else " "
        say(f"{mark} {device['index']:3} {device['name']}")


def plot_run(options: argparse.Namespace) -> None:
    """Draws a run."""
    with Progress() as progress:
        plot(run_of(options, progress), options.output, preset=preset_of(options))


def write_legend(options: argparse.Namespace) -> None:
    """Writes what a run's bands and alarms sound like."""
    with Progress() as progress:
        captions = legend(
            run_of(options, progress), options.output, preset=preset_of(options)
        )
    for caption in captions:
        say(str(caption))


def locate_sound(options: argparse.Namespace) -> None:
    """Says which step sounds when."""
    if (options.time is None) == (options.step is None):
        raise ValueError("give a time, or --step and its number")
    if is_sound(options.run):
        given = [name for name in OF_RUN if getattr(options, name) not in (None, False)]
        if given:
            leave = ", ".join(f"--{name}" for name in given)
            raise ValueError(f"{options.run}: is as it was rendered; leave out {leave}")
        timeline = timeline_of(options.run)
    else:
        for name, usual in USUAL.items():
            if getattr(options, name) is None:
                setattr(options, name, usual)
        preset = at_speed(preset_of(options), options.speed)
        with Progress() as progress:
            run = run_of(options, progress)
            timeline = timeline_for(run, preset, duration_of(options))
    if options.time is not None:
        say(tell_time(timeline, seconds(options.time)))
    else:
        say(tell_step(timeline, options.step))


def show_info(options: argparse.Namespace) -> None:
    """Says what is in a run and what happened."""
    with Progress() as progress:
        run = run_of(options, progress)
        summary = summarize(run)
    if options.json:
        say(json.dumps(info.data(run, summary), allow_nan=False))
    else:
        for line in info.lines(run, summary):
            say(line)


def complete(options: argparse.Namespace) -> None:
    """Prints what completes commands in a shell."""
    write(script(options.parser, options.shell))
