"""Runs in a file store of MLflow: `mlruns/EXPERIMENT/RUN/metrics/NAME`, line by line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.logs.row import LONGEST, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.logs.row import Trouble

METRICS = "metrics"
_META = "meta.yaml"
_MS = 1e-3  # seconds


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run."""
    return (folder / METRICS).is_dir() and (folder / _META).is_file()


def rows(path: Path, trouble: Trouble) -> Iterator[Row]:
    """Yields every number of every metric, one metric after the other.

    Raises:
        OSError: If one cannot be read.
    """
    metrics = path / METRICS
    for folder, folders, files in os.walk(metrics):
        folders.sort()
        for file in sorted(files):
            yield from _metric(Path(folder, file), metrics, trouble)


def _metric(path: Path, metrics: Path, trouble: Trouble) -> Iterator[Row]:
    # A name may have slashes, which are folders.
    name = path.relative_to(metrics).as_posix()
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST):
            number += 1
            row = _row(name, line)
            if row is not None:
                yield row
            elif line.strip():
                trouble(f"line {number:,} of {name} is torn or damaged, left out")


def _row(name: str, line: bytes) -> Row | None:
    """A line: milliseconds, value, step, which the oldest versions did not write."""
    if not line.endswith(b"\n"):  # torn: the step may have lost digits
        return None
    try:
        time, value, *more = line.split()
        step = float(more[0]) if more else 0
        return Row(step, float(time) * _MS, {name: float(value)})
    except ValueError:
        return None
