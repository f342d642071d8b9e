"""Reads a run in MLflow's file store: `mlruns/EXPERIMENT/RUN/metrics/NAME`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradsound.logs.row import ENTRY_MAX
from gradsound.logs.scalars import Scalars

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gradsound.logs.row import OnDamage
    from gradsound.logs.scalars import WaitForMore

TOOL = "MLflow"
META = "meta.yaml"  # of a run folder

_METRICS = "metrics"
_MILLISECOND = 1e-3  # seconds; MLflow's unit of time
_PIECE = 1 << 18  # bytes per read; the numbers of 7,000 lines
_SPACE, _NEWLINE = b" \n"


def is_run_folder(folder: Path) -> bool:
    """Returns whether a folder is the folder of a run."""
    return (folder / _METRICS).is_dir() and (folder / META).is_file()


def read(
    path: Path, on_damage: OnDamage, wait_for_more: WaitForMore = lambda: False
) -> Iterator[Scalars | None]:
    """Yields the values of a run, one metric after the other.

    Raises:
        OSError: If a metric cannot be read.
    """
    metrics: dict[Path, _Metric] = {}
    while True:
        for folder, folders, files in os.walk(path / _METRICS):
            folders.sort()
            for file in (Path(folder, name) for name in sorted(files)):
                # A slash in a metric's name makes a folder.
                name = file.relative_to(path / _METRICS).as_posix()
                yield from metrics.setdefault(file, _Metric(file, name, on_damage)).read()
        yield None
        if not wait_for_more():
            break
    for metric in metrics.values():
        metric.end()


class _Metric:
    """The file of a metric, which grows; a line has milliseconds, value and step."""

    def __init__(self, path: Path, name: str, on_damage: OnDamage) -> None:
        self._path, self._name, self._on_damage = path, name, on_damage
        self._at, self._number = 0, 0  # bytes and lines read so far
        self._rest = b""  # of a line that has no newline yet

    def read(self) -> Iterator[Scalars]:
        """Yields the values that are there, and were not read before."""
        if self._path.stat().st_size <= self._at:
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            while data := file.read(_PIECE):
                self._at += len(data)
                lines, newline, self._rest = (self._rest + data).rpartition(b"\n")
                if newline:
                    yield self._parse(lines + newline)
                if len(self._rest) > ENTRY_MAX:  # longer than any line: damage
                    self._number += 1
                    self._report(self._rest)
                    self._rest = b""

    def end(self) -> None:
        """Reports a last line without a newline, whose step may lack digits."""
        self._number += 1
        self._report(self._rest)

    def _parse(self, lines: bytes) -> Scalars:
        """Returns the values in whole lines."""
        table = _parse_lines(lines)
        if table is None:  # some line is in another form
            rows = [self._parse_line(line) for line in lines[:-1].split(b"\n")]
            table = np.array([row for row in rows if row is not None]).reshape(-1, 3)
        else:
            self._number += len(table)
        times, values, steps = table.T
        places = np.zeros(len(table), np.intp)
        return Scalars([self._name], places, steps, times * _MILLISECOND, values)

    def _parse_line(self, line: bytes) -> tuple[float, float, float] | None:
        """Returns the numbers of a line; reports any other line that is not blank."""
        self._number += 1
        try:
            time, value, *rest = line.split()
            # The oldest versions of MLflow wrote no step.
            return float(time), float(value), float(rest[0]) if rest else 0.0
        except ValueError:
            self._report(line)
            return None

    def _report(self, line: bytes) -> None:
        if line.strip():
            text = f"line {self._number:,} of {self._name} is torn or damaged, left out"
            self._on_damage(text)


def _parse_lines(lines: bytes) -> NDArray[np.float64] | None:
    """Returns the numbers of lines, three a line; None if some line is in another form."""
    data = np.frombuffer(lines, np.uint8)
    gaps = np.flatnonzero(data <= _SPACE)
    if len(gaps) % 3 or gaps[0] == 0 or (np.diff(gaps) == 1).any():
        return None
    if (data[gaps].reshape(-1, 3) != (_SPACE, _SPACE, _NEWLINE)).any():
        return None
    try:
        numbers = np.array([*map(float, lines.split())])
    except ValueError:
        return None
    return numbers.reshape(-1, 3)
