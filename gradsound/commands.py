"""What the commands do: from their options to the functions behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.address import check_port
from gradsound.audition import audition, described, listed
from gradsound.console import play
from gradsound.legend import legend
from gradsound.locating import (
    is_sound,
    seconds,
    tell_step,
    tell_time,
    timeline_for,
    timeline_of,
)
from gradsound.music.preset import at_speed
from gradsound.options import (
    OF_RUN,
    USUAL,
    duration_of,
    preset_of,
    run_of,
    selected,
    voice_of,
)
from gradsound.out.loudspeaker import devices
from gradsound.picture import plot
from gradsound.player import Live
from gradsound.rendering import render
from gradsound.summary import summarize, tell
from gradsound.synth.events import renderer

if TYPE_CHECKING:
    import argparse


def render_run(options: argparse.Namespace) -> None:
    """Writes the sound of a run, or of two."""
    render(
        run_of(options),
        options.output,
        other=None if options.other is None else selected(options.other, options),
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
        live=Live(device=options.device, latency=options.latency, volume=options.volume),
    )


def serve_run(options: argparse.Namespace) -> None:
    """Plays a run in a browser."""
    check_port(options.port)  # and whether there is what it takes to serve
    from gradsound.serving import serve  # which no other command needs, nor waits for

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
            print(f"{name:8} {what}")
        print(f"\n{renderer()}")
    elif options.output is None:
        print(described(voice))
    else:
        audition(voice, options.output)


def list_devices(_: argparse.Namespace) -> None:
    """Lists sound devices."""
    for device in devices():
        mark = "*" if device["default"] else " "
        print(f"{mark} {device['index']:3} {device['name']}")


def plot_run(options: argparse.Namespace) -> None:
    """Draws a run."""
    plot(run_of(options), options.output, preset=preset_of(options))


def write_legend(options: argparse.Namespace) -> None:
    """Writes what a run's bands and alarms sound like."""
    for caption in legend(run_of(options), options.output, preset_of(options)):
        print(caption)


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
        timeline = timeline_for(run_of(options), preset, duration_of(options))
    if options.time is not None:
        print(tell_time(timeline, seconds(options.time)))
    else:
        print(tell_step(timeline, options.step))


def show_info(options: argparse.Namespace) -> None:
    """Says what is in a run and what happened."""
    run = run_of(options)
    summary = summarize(run)
    header = run.header
    print(f"{run.name}: {header.note}" if header.note else run.name)
    since = f", from {header.start}" if header.start else ""
    took = f" in {summary.seconds:.1f} s" if summary.seconds else ""  # not all logs tell
    print(f"{summary.steps} steps{took}{since}")
    for line in tell(summary) if summary.steps else ():
        print(line)
    width = max(5, *(len(name) for name in header.layers))
    titles = ("parameters", "lowest", "typical", "highest", "no gradient")
    print("layer".ljust(width), *(title.rjust(11) for title in titles))
    for layer, name in enumerate(header.layers):
        norms = summary.lowest[layer], summary.typical[layer], summary.highest[layer]
        shown = ("-" if np.isnan(norm) else f"{norm:.3g}" for norm in norms)
        size = header.parameters[layer]
        cells = (f"{size:,}" if size else "-", *shown, summary.absent[layer])
        print(name.ljust(width), *(str(cell).rjust(11) for cell in cells))
