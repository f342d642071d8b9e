"""gradsound play: plays a run on the sound device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.opened_runs import get_choice, get_parts
from gradsound.cli.option_values import get_preset
from gradsound.cli.play import play
from gradsound.workers.sinks import DeviceSink

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Plays a run on the sound device."""
    play(
        options.runs[0],
        parts=get_parts(options),
        layers=options.layers,
        choice=get_choice(options),
        preset=get_preset(options),
        speed=options.speed,
        follow=options.follow,
        live=DeviceSink(
            device=options.device, latency=options.latency, volume=options.volume
        ),
    )
