"""Functions of several benchmarks: describe the machine, check the names of parts."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


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


def check_parts(
    parser: argparse.ArgumentParser, wanted: Sequence[str], parts: Sequence[str]
) -> None:
    """Ends the command if a user asked for a part that does not exist."""
    if unknown := {*wanted} - {*parts}:
        parser.error(f"no part {', '.join(unknown)}; there are: {', '.join(parts)}")
