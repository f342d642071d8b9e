"""Where the options of ``run`` end and the script begins."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def split_words(
    parser: argparse.ArgumentParser, command: str, words: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Returns the words of options, and those from the script, ``-m`` or ``-c`` on.

    As in Python's own command line, all that follows is the script's. An unknown option
    is the last of the first words, and argparse refuses it.

    Args:
        parser: The parser of all commands.
        command: The name of the command.
        words: What follows the command.
    """
    known = _options_of(parser, command)
    index = 0
    while index < len(words):
        word = words[index]
        if word == "--":
            return [*words[:index]], [*words[index + 1 :]]
        if word == "-" or not word.startswith("-") or word[:2] in ("-m", "-c"):
            return [*words[:index]], [*words[index:]]
        index += 1
        name, has_value, _ = word.partition("=")
        alike = {
            id(action): action
            for option, action in known.items()
            if option == name or (name.startswith("--") and option.startswith(name))
        }
        action = known.get(name) or (
            next(iter(alike.values())) if len(alike) == 1 else None
        )
        if action is None:
            return [*words[:index]], []
        if action.nargs is None and not has_value:  # the next word is its value
            index += 1
    return [*words], []


def _options_of(
    parser: argparse.ArgumentParser, command: str
) -> dict[str, argparse.Action]:
    """Returns the options of a command, by each of their names."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices[command]._option_string_actions)
    raise AssertionError
