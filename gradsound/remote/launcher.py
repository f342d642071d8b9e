"""A launcher, such as torchrun, and the workers below it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.remote.target_process import TargetProcess, read_status

if TYPE_CHECKING:
    from collections.abc import Callable


def find_workers(launcher: TargetProcess) -> list[TargetProcess]:
    """Returns the processes below a launcher that it started as its workers.

    These are the topmost with a RANK, or else those that have loaded torch.

    Raises:
        ValueError: If there are none.
        PermissionError: If the system does not let this user look.
    """
    launcher.has_rank()  # raises where all below it would look as if they had none
    below: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, KeyError):  # it has just ended
            parent = int(read_status(folder, "PPid"))
            below.setdefault(parent, []).append(int(folder.name))
    found = _topmost(launcher.pid, below, TargetProcess.has_rank)
    found = found or _topmost(launcher.pid, below, TargetProcess.has_torch)
    if not found:
        raise ValueError(
            f"no worker of a launcher is below process {launcher.pid}: leave --all out if "
            "it trains itself"
        )
    return found


def _topmost(
    pid: int, below: dict[int, list[int]], matches: Callable[[TargetProcess], bool]
) -> list[TargetProcess]:
    """Returns the highest processes below one that match, in the order of their numbers."""
    found: list[TargetProcess] = []
    for child in sorted(below.get(pid, [])):
        process = TargetProcess(child)
        try:
            fits = matches(process)
        except OSError:
            fits = False
        found += [process] if fits else _topmost(child, below, matches)
    return found
