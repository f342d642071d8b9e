"""gradsound detach: ends what records a training, which goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.commands.attach import give_order

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> None:
    """Has the process of a training remove all hooks and finish its files."""
    give_order(options, {"action": "detach"})
