"""gradsound completion: prints the completion script of bash, zsh or fish."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gradsound.alarms.thresholds import KINDS
from gradsound.cli.argument_types import file_path
from gradsound.cli.choices import LATENCIES, PRESETS, SCALES, TARGETS, VOICES
from gradsound.cli.output import print_text
from gradsound.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The parser has no choices for these options: our own check of a wrong name suggests the
# nearest one, argparse would list all.
_CHOICES: Mapping[str, Iterable[str]] = {
    "preset": PRESETS,
    "voice": VOICES,
    "scale": SCALES,
    "latency": LATENCIES,
    "emit": TARGETS,
    "until": [kind for kind in KINDS if kind != "end"],
}


def run(options: argparse.Namespace) -> None:
    """Prints the completion script of a shell."""
    print_text(completion_script(options.build_parser(), options.shell))


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Returns a shell's completion script, which starts no Python at a tab.

    Args:
        parser: The parser of the command line; afterwards it serves no other purpose,
            because it has the choices of `_CHOICES`.
        shell: One of `choices.SHELLS`.

    Raises:
        MissingExtraError: If shtab is not installed.
    """
    try:
        import shtab
    except ImportError as error:
        raise MissingExtraError("shtab") from error
    _add_choices(parser, shtab.FILE)
    script = str(shtab.complete(parser, shell))
    # shtab lets zsh complete the first of several files only.
    return script.replace('"(*):', '"*:') if shell == "zsh" else script


def _add_choices(parser: argparse.ArgumentParser, files: object) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _add_choices(command, files)
        elif action.type is file_path:
            action.complete = files  # type: ignore[attr-defined]
        elif action.dest in _CHOICES:
            action.choices = [*_CHOICES[action.dest]]
