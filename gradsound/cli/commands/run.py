"""gradsound run: runs a script as Python would, and records or plays its trainings."""

from __future__ import annotations

import atexit
import os
import sys
from typing import TYPE_CHECKING

from gradsound.cli.training_values import get_run_options
from gradsound.script.own_modules import import_ours
from gradsound.script.program import Program
from gradsound.script.torch_import import TorchImport

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from gradsound.script.found_trainings import FoundTrainings


class ScriptRun:
    """One run of a script, with its options.

    Args:
        options: The options of the command; ``options.script`` has the words of the script.

    Raises:
        ValueError, OSError, ImportError: If an option is wrong, or there is no script.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._program = _get_program(options.script)
        self._options = get_run_options(options)
        self._program.check()
        self._trainings: FoundTrainings | None = None
        self._error = ""  # after which nothing is recorded
        self._process = os.getpid()

    def run(self) -> None:
        """Runs the script; it ends the process as it would under Python.

        Raises:
            BaseException: What the script raises.
        """
        atexit.register(self._tell_if_nothing)  # before the script's own, so it comes last
        TorchImport(self._watch)
        self._program.run(self._show_error)

    def _watch(self) -> None:
        """Begins to look for trainings: the script has imported torch."""
        try:
            with import_ours():
                from gradsound.script.found_trainings import FoundTrainings

            self._trainings = FoundTrainings(self._options)
        except Exception as error:  # noqa: BLE001 (the script goes on with any torch)
            self._error = f"{type(error).__name__}: {error}"

    def _show_error(self, error: BaseException) -> None:
        if self._trainings is not None:
            self._trainings.show_error(error)

    def _tell_if_nothing(self) -> None:
        """Prints why nothing is recorded, if so, in the first process of a launcher."""
        if os.getpid() != self._process or os.environ.get("RANK", "0") != "0":
            return
        if self._error:
            reason = f"nothing is recorded, because this torch does not fit: {self._error}"
        elif self._trainings is None:
            reason = "the script does not import torch, so there is nothing to hear"
        elif self._trainings.runs_begun:
            return
        elif self._trainings.given:
            reason = "the script records itself, and nothing else trains in it"
        else:
            reason = "no optimizer made a step, so there is nothing to hear"
        try:
            sys.stderr.write(f"gradsound: {reason}\n")
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):  # the script closed it
            return


def prepare(options: argparse.Namespace) -> Callable[[], None]:
    """Returns what runs the script, once no option can be wrong any more."""
    return ScriptRun(options).run


def _get_program(words: list[str]) -> Program:
    if not words:
        raise ValueError("name the script to run; see 'gradsound run --help'")
    first, *others = words
    for option, kind in (("-m", "module"), ("-c", "code")):
        if first.startswith(option):
            if first == option and not others:
                raise ValueError(f"{option} needs a {kind}; see 'gradsound run --help'")
            name, *arguments = others if first == option else (first[2:], *others)
            return Program(kind, name, tuple(arguments))  # type: ignore[arg-type]
    return Program("script", first, tuple(others))
