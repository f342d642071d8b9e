"""Pairs of measurements: this build and another one in turns, and the other one again.

The second measurement of the other build is the control: its ratio to the first shows how
much the machine changes by itself.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def surroundings(modules: Path) -> dict[str, Any]:
    """Returns the keywords of `subprocess` for a process that is measured.

    Args:
        modules: A folder for compiled modules, which Python may have been told not to keep.
    """
    environment = {
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(modules),
    }
    # Not in the checkout, which would shadow the package.
    return {"cwd": tempfile.gettempdir(), "env": {**os.environ, **environment}}


@dataclass(frozen=True)
class Pairs:
    """Medians over rounds.

    Attributes:
        base: Seconds of the other build.
        this: Seconds of this build.
        ratio: This build's seconds by the other's, of one round.
        control: The same of the other build and itself.
        base_peak: Peak memory of the other build, in megabytes.
        this_peak: The same of this build.
    """

    base: float
    this: float
    ratio: float
    control: float
    base_peak: float
    this_peak: float


def measure_pairs(
    measure: Callable[[str], tuple[float, float]], base: str, rounds: int
) -> Pairs:
    """Measures two builds in turns, after a round that does not count.

    Args:
        measure: Returns seconds and peak megabytes of a build, given its Python.
        base: The Python of the other build.
        rounds: How many rounds count.
    """
    measured: list[list[tuple[float, float]]] = [[], [], []]
    for round_number in range(-1, rounds):
        for python, results in zip((base, sys.executable, base), measured):
            result = measure(python)
            if round_number >= 0:
                results.append(result)
    before, now, again = [[seconds for seconds, _ in one] for one in measured]
    peaks = [statistics.median(peak for _, peak in one) for one in measured]
    return Pairs(
        statistics.median(before),
        statistics.median(now),
        statistics.median(b / a for a, b in zip(before, now)),
        statistics.median(b / a for a, b in zip(before, again)),
        peaks[0],
        peaks[1],
    )
