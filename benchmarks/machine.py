"""Functions of several benchmarks: describe the machine, check a command line."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterable


def machine(*details: str) -> str:
    """Returns one line with processor, cores, Python and torch, and further details."""
    return ", ".join(
        (
            platform.machine(),
            f"{os.cpu_count()} cores",
            f"Python {platform.python_version()}",
            f"torch {torch.__version__}",
            *details,
        )
    )


def threads() -> str:
    """Returns how many threads torch uses, in words."""
    count = torch.get_num_threads()
    return "1 thread" if count == 1 else f"{count} threads"


def check_choices(
    parser: argparse.ArgumentParser,
    noun: str,
    wanted: Iterable[str],
    choices: Collection[str],
) -> None:
    """Ends the command if a user asked for something that does not exist.

    Args:
        parser: Prints the error.
        noun: What the choices are, such as "part".
        wanted: The user's choices.
        choices: The choices that exist.
    """
    unknown = [repr(name) for name in wanted if name not in choices]
    if unknown:
        parser.error(f"no {noun} {', '.join(unknown)}; there are: {', '.join(choices)}")
