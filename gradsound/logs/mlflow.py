"""Reads a run in MLflow's file store: `mlruns/EXPERIMENT/RUN/metrics/NAME`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.logs.row import ENTRY_MAX, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.logs.row import OnDamage

META = "meta.yaml"  # of a run folder

_METRICS = "metrics"
_MILLISECOND = 1e-3  # seconds; MLflow's unit of time


def is_run_folder(folder: Path) -> bool:
    """Returns whether a folder is the folder of a run."""
    return (folder / _METRICS).is_dir() and (folder / META).is_file()


def read_rows(path: Path, on_damage: OnDamage) -> Iterator[Row]:
    """Yields one row for each value, one metric after the other.

    Raises:
        OSError: If a metric cannot be read.
    """
    metrics = path / _METRICS
    for folder, folders, files in os.walk(metrics):
        folders.sort()
        for file in sorted(files):
            yield from _read_metric(Path(folder, file), metrics, on_damage)


def _read_metric(path: Path, metrics: Path, on_damage: OnDamage) -> Iterator[Row]:
    # A slash in a metric's name makes a folder.
    name = path.relative_to(metrics).as_posix()
    with path.open("rb") as file:
        number = 0
        while line := file.readline(ENTRY_MAX):
            number += 1
            row = _parse_line(name, line)
            if row is not None:
                yield row
            elif line.strip():
                on_damage(f"line {number:,} of {name} is torn or damaged, left out")


def _parse_line(name: str, line: bytes) -> Row | None:
    """Parses milliseconds, value and step; the oldest versions of MLflow wrote no step."""
    if not line.endswith(b"\n"):  # torn; the step may lack digits
        return None
    try:
        time, value, *rest = line.split()
        step = float(rest[0]) if rest else 0
        return Row(step, float(time) * _MILLISECOND, {name: float(value)})
    except ValueError:
        return None
