"""gradsound plot: draws a run, or two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.opened_runs import open_other, open_run_of
from gradsound.cli.option_values import get_duration, get_preset
from gradsound.cli.progress import Progress
from gradsound.rendering.picture import plot

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
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
