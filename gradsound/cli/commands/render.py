"""gradsound render: writes the sound of a run, or of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.opened_runs import open_runs
from gradsound.cli.option_values import get_duration, get_preset
from gradsound.cli.progress import Progress
from gradsound.rendering.rendered_file import render

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Writes the sound of a run, or of several."""
    with Progress() as progress, open_runs(options, progress) as (run, *others):
        render(
            run,
            options.output,
            other=others,
            difference=options.difference,
            preset=get_preset(options),
            speed=options.speed,
            duration=get_duration(options),
            sample_rate=options.rate,
            subtype=options.subtype,
            stems=options.stems,
            title=options.title,
        )
