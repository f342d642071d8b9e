"""gradsound serve: plays a run in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.opened_runs import get_parts
from gradsound.cli.option_values import get_preset
from gradsound.web.page_address import check_port

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Plays a run in a browser."""
    check_port(options.port)  # before the import, which needs the extra that this checks
    from gradsound.cli.serve import serve

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
