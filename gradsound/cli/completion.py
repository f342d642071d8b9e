"""gradsound completion: writes the completion script for bash, zsh or fish."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gradsound.cli.argument_types import file_path
from gradsound.errors import MissingExtraError
from gradsound.music.pitch import SCALES
from gradsound.music.presets import PRESETS
from gradsound.output.sound_device import BLOCK_FRAMES
from gradsound.synth.voices.builtin import VOICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SHELLS = ("bash", "zsh", "fish")
# The parser has no choices for these options: our own check of a wrong name suggests the
# nearest one, argparse would list all.
_CHOICES: Mapping[str, Iterable[str]] = {
    "preset": PRESETS,
    "voice": VOICES,
    "scale": SCALES,
    "latency": BLOCK_FRAMES,
}


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Returns a shell's completion script, which starts no Python at a tab.

    Args:
        parser: The parser of the command line; afterwards it serves no other purpose,
            because it has the choices of `_CHOICES`.
        shell: One of `SHELLS`.

    Raises:
        MissingExtraError: If shtab is not installed.
    """
    try:
        import shtab
    except ImportError as error:
        raise MissingExtraError("shtab") from error
    _add_choices(parser, shtab.FILE)
    return str(shtab.complete(parser, shell))


def _add_choices(parser: argparse.ArgumentParser, files: object) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _add_choices(command, files)
        elif action.type is file_path:
            action.complete = files  # type: ignore[attr-defined]
        elif action.dest in _CHOICES:
            action.choices = [*_CHOICES[action.dest]]
