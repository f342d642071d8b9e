"""What the demos of the posts' other systems share: options, tables, intervals."""

from __future__ import annotations

import argparse
from math import inf
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_POINTS = 100_000  # of a density


def parse_options(description: str, seeds: int, **folders: str) -> argparse.Namespace:
    """Returns the options of a demo: ``seeds``, how many; ``out``, an existing folder.

    Args:
        description: What the demo does.
        seeds: How many, by default.
        **folders: Help for options that are more folders, by name; None if not given.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=seeds, help="how many (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the files")
    for name, meaning in folders.items():
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help=meaning)
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds must be 1 or more, got {options.seeds}")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=options.out).close()  # before a minute of training, not after
    except OSError as error:
        parser.error(f"--out must be a folder to write in: {error}")
    torch.set_num_threads(1)  # the networks are small: threads would wait for each other
    return options


def print_table(columns: Sequence[str], rows: Mapping[str, Sequence[float]]) -> None:
    """Prints a Markdown table: a name, then three significant digits of each number."""
    print("| | " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name, numbers in rows.items():
        print(f"| {name} | " + " | ".join(f"{number:.3g}" for number in numbers) + " |")


def share_interval(count: int, total: int) -> tuple[float, float]:
    """Returns the middle 95 % of what a share can be, by its exact binomial posterior.

    The prior is flat.

    Args:
        count: How many had the property.
        total: Of so many.
    """
    shares = (np.arange(_POINTS) + 0.5) / _POINTS
    return _middle(shares, count * np.log(shares) + (total - count) * np.log1p(-shares))


def mean_interval(numbers: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % interval of a mean over seeds, by Student's t.

    For a paired comparison, the numbers are the differences of each seed.
    """
    freedom = len(numbers) - 1
    if not freedom:
        return -inf, inf
    # t = sqrt(freedom) tan(angle) has Student's distribution if the angle has this density.
    angles = np.pi * ((np.arange(_POINTS) + 0.5) / _POINTS - 0.5)
    low, high = _middle(angles, (freedom - 1) * np.log(np.cos(angles)))
    error = np.std(numbers, ddof=1) * np.sqrt(freedom / len(numbers))
    middle = np.mean(numbers)
    return middle + error * np.tan(low), middle + error * np.tan(high)


def _middle(
    grid: NDArray[np.float64], log_density: NDArray[np.float64]
) -> tuple[float, float]:
    below = np.exp(log_density - log_density.max()).cumsum()
    low, high = np.interp([0.025, 0.975], below / below[-1], grid)
    return float(low), float(high)
