"""gradsound completion: the script that has a shell complete the command line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gradsound.cli.shared_options import file
from gradsound.errors import MissingExtraError
from gradsound.music.pitch import SCALES
from gradsound.music.presets import PRESETS
from gradsound.output.sound_device import FRAMES
from gradsound.synth.voices.builtin import VOICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SHELLS = ("bash", "zsh", "fish")
# Of options whose names are looked at later, so that a wrong one gets the nearest.
_NAMES: Mapping[str, Iterable[str]] = {
    "preset": PRESETS,
    "voice": VOICES,
    "scale": SCALES,
    "latency": FRAMES,
}


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """A script for a shell, which asks no Python when it completes.

    Args:
        parser: Of the command line; it is of no other use after that.
        shell: One of `SHELLS`.

    Raises:
        MissingExtraError: If shtab is not installed.
    """
    try:
        import shtab
    except ImportError as error:
        raise MissingExtraError("shtab", "completion") from error
    _describe(parser, shtab.FILE)
    return str(shtab.complete(parser, shell))


def _describe(parser: argparse.ArgumentParser, files: object) -> None:
    """Says of every argument what completes it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _describe(command, files)
        elif action.type is file:
            action.complete = files  # type: ignore[attr-defined]
        elif action.dest in _NAMES:
            action.choices = [*_NAMES[action.dest]]
