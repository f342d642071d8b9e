"""gradsound plot: draws a run, or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.opened_runs import open_runs
from gradsound.cli.option_values import get_duration, get_preset
from gradsound.cli.progress import Progress
from gradsound.rendering.picture import plot

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Draws a run, or several."""
    with Progress() as progress, open_runs(options, progress) as (run, *others):
        plot(
            run,
            options.output,
            other=others,
            preset=get_preset(options),
            duration=get_duration(options),
        )
