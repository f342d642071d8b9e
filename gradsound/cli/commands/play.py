"""gradsound play: plays a run on the sound device, or by Open Sound Control."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.opened_runs import get_choice, get_parts
from gradsound.cli.option_values import get_preset
from gradsound.cli.playback import OscSink
from gradsound.cli.terminal_player import play
from gradsound.workers.sinks import DeviceSink, check_volume

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Plays a run on the sound device, or by Open Sound Control."""
    play(
        options.runs[0],
        parts=get_parts(options),
        layers=options.layers,
        choice=get_choice(options),
        preset=get_preset(options),
        speed=options.speed,
        follow=options.follow,
        live=_get_sink(options),
    )


def _get_sink(options: argparse.Namespace) -> DeviceSink | OscSink:
    """Returns where to play, after a check of its options."""
    given = {name: getattr(options, name) for name in ("device", "latency")}
    given = {name: value for name, value in given.items() if value is not None}
    if options.osc is None:
        return DeviceSink(volume=options.volume, **given)
    if given:
        raise ValueError(f"--{next(iter(given))} is for a sound device: leave out --osc")
    check_volume(options.volume)
    host, port = options.osc
    return OscSink(host, port, options.volume)
