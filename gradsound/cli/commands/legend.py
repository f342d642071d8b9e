"""gradsound legend: writes an example of each band's and each alarm's sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.opened_runs import open_run_of
from gradsound.cli.option_values import get_preset
from gradsound.cli.output import print_line
from gradsound.cli.progress import Progress
from gradsound.rendering.sound_legend import legend

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Writes an example of each band's and each alarm's sound; prints its captions."""
    with Progress() as progress, open_run_of(options, progress) as run:
        captions = legend(run, options.output, preset=get_preset(options))
    for caption in captions:
        print_line(str(caption))
