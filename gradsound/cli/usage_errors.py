"""The argument parser of all commands: wrong usage becomes a one-line error."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, NoReturn

from gradsound.cli.output import flush, print_text

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


class Parser(argparse.ArgumentParser):
    """A parser that raises ValueError for wrong usage, and OSError for unwritten help."""

    def error(self, message: str) -> NoReturn:
        """Raises ValueError with argparse's message, without the usage of all options."""
        fault = message.removeprefix("argument ")
        raise ValueError(f"{fault}; see '{self.prog} --help'")

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
