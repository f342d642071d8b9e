"""argparse, but wrong usage is one line, as is whatever else is wrong."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, NoReturn

from gradsound.cli.output import finish, write

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


class Parser(argparse.ArgumentParser):
    """A parser that raises ValueError for wrong usage, and OSError for unwritten help."""

    def error(self, message: str) -> NoReturn:
        """As argparse's, without the usage of all options."""
        what = message.removeprefix("argument ")
        raise ValueError(f"{what}; '{self.prog} --help' tells more")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """As argparse's, once what was printed is written."""
        finish()
        super().exit(status, message)

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        # argparse itself passes over help that cannot be written.
        if file is sys.stdout or file is None:
            write(message)
        else:
            super()._print_message(message, file)
