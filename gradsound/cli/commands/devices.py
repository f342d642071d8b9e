"""gradsound devices: lists the sound devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsound.cli.output import print_line
from gradsound.output.sound_device_process import find_devices

if TYPE_CHECKING:
    import argparse


def run(_: argparse.Namespace) -> None:
    """Lists the sound devices; the default one has a star."""
    for device in find_devices():
        mark = "*" if device["default"] else " "
        print_line(f"{mark} {device['index']:3} {device['name']}")
