"""gradsound serve: plays a run, or those of a folder, in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.chosen_run import find_folder
from gradsound.cli.opened_runs import get_choice, get_paths
from gradsound.cli.option_values import get_preset
from gradsound.web.port import check_port

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Plays a run in a browser, or lists the runs of a folder there."""
    (path, *parts), *others = get_paths(options)
    if others:
        count = len(options.runs)
        raise ValueError(f"a page plays one run, got {count}; render and plot take several")
    check_port(options.port)  # before the import, which needs the extra that this checks
    from gradsound.cli.page_server import serve, serve_folder

    if (folder := find_folder(path)) is not None:
        if options.follow or parts:
            raise ValueError(
                f"{path}: is a folder, and its page follows each run that grows: leave out "
                f"{'--follow' if options.follow else '--then'}"
            )
        serve_folder(
            folder,
            layers=options.layers,
            choice=get_choice(options),
            preset=get_preset(options),
            speed=options.speed,
            port=options.port,
            host=options.host,
        )
        return
    serve(
        path,
        parts=parts,
        layers=options.layers,
        choice=get_choice(options),
        preset=get_preset(options),
        speed=options.speed,
        follow=options.follow,
        port=options.port,
        host=options.host,
    )
