"""The argument parser of all commands: wrong usage becomes a one-line error."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from gradsound.cli.output import flush, print_text

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


_ALIKE = 0.8  # of difflib's ratio; all options share two dashes


class Parser(argparse.ArgumentParser):
    """A parser that raises ValueError for wrong usage, and OSError for unwritten help."""

    def error(self, message: str) -> NoReturn:
        """Raises ValueError with argparse's message, without the usage of all options."""
        fault = message.removeprefix("argument ")
        raise ValueError(f"{fault}; see '{self.prog} --help'")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses as argparse does, but refuses unknown arguments of a command itself."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            from difflib import get_close_matches  # only a mistake needs it

            known = [option for action in self._actions for option in action.option_strings]
            name = unknown[0].partition("=")[0]
            near = get_close_matches(name, known, n=1, cutoff=_ALIKE)
            hint = f" (did you mean {near[0]}?)" if near else ""
            if not name.startswith("-") and any(one.nargs == 1 for one in self._actions):
                hint = f" ({self.prog} takes one run; render takes several, and ranks)"
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return options, unknown

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Exits as argparse does, after the help is written."""
        flush()
        super().exit(status, message)

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        # argparse ignores a help text that it cannot write.
        if file is sys.stdout or file is None:
            print_text(message)
        else:
            super()._print_message(message, file)
