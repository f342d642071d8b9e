"""The parser of the command line: every command with its options and help texts."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING

from gradsound.cli.choices import SHELLS
from gradsound.cli.examples import EXAMPLES, EXIT_CODES
from gradsound.cli.usage_errors import Parser
from gradsound.version import __version__

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

# What a command does, by its name; and the module whose function ``add_<name>`` adds its
# options. It is imported for that command only: no command waits for another's help.
_COMMANDS: Mapping[str, tuple[str, str | None]] = {
    "run": ("run a training script, and record or play its training", "training_commands"),
    "attach": ("record or play a training that runs already", "training_commands"),
    "detach": ("end what attach began; the training goes on", "training_commands"),
    "demo": (
        "train a small network for seconds, and play its training",
        "training_commands",
    ),
    "render": ("write the sound of a run, or of several, to a file", "sound_commands"),
    "play": ("play a run on the sound device", "sound_commands"),
    "serve": ("play a run in a browser", "sound_commands"),
    "watch": (
        "print the alarms of a run, without sound; or of one that grows",
        "text_commands",
    ),
    "devices": ("list sound devices", None),
    "voices": (
        "list voices, describe one, or write its demo or its native code",
        "sound_commands",
    ),
    "plot": (
        "draw a run, or several: norms and pitches, alarms, losses, spectrum",
        "sound_commands",
    ),
    "legend": ("write an example of each band's and each alarm's sound", "sound_commands"),
    "locate": (
        "find the step at a time of the sound, or the time of a step",
        "sound_commands",
    ),
    "info": (
        "print what a run, or several, contain and what happened in them",
        "text_commands",
    ),
    "list": ("list the runs in a folder, the newest first", "text_commands"),
}


def build_parser(words: Container[str] | None = None) -> argparse.ArgumentParser:
    """Returns the parser; ``options.command`` is then the name of the chosen command.

    Args:
        words: Words of a command line: only the commands among them get their options. All
            commands if None.
    """
    parser = Parser(
        "gradsound",
        description="Hear your network train: the sound of runs.",
        epilog=f"{EXAMPLES['']}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"gradsound {__version__}"
    parser.add_argument("-V", "--version", action="version", version=version)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    for name, (purpose, module) in _COMMANDS.items():
        command = _add_command(commands, name, purpose)
        if module is not None and (words is None or name in words):
            options = import_module(f"gradsound.cli.options.{module}")
            getattr(options, f"add_{name}")(command)
    completion = _add_command(
        commands, "completion", "print the completion script of a shell"
    )
    completion.add_argument("shell", choices=SHELLS, help="your shell")
    completion.set_defaults(build_parser=build_parser)
    return parser


def _add_command(
    commands: argparse._SubParsersAction[Parser], name: str, purpose: str
) -> Parser:
    return commands.add_parser(
        name,
        help=purpose,
        description=purpose[0].upper() + purpose[1:] + ".",
        epilog=EXAMPLES[name],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
