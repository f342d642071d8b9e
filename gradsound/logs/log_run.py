"""Builds a run (header and steps) from the scalars of another tool's log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np

from gradsound.errors import RunFormatError, warn
from gradsound.logs.log_folders import find_log
from gradsound.logs.names.classified_names import classify_names
from gradsound.logs.steps.log_blocks import LogBlocks
from gradsound.logs.steps.odd_norms import describe_odd_norms
from gradsound.logs.steps.sorted_steps import SortedSteps
from gradsound.logs.unknown_file import describe_unknown
from gradsound.name_matching import printable
from gradsound.runs.model import Header, Run
from gradsound.runs.step_stream import StepSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gradsound.logs.log import Log
    from gradsound.logs.names.classified_names import ClassifiedNames
    from gradsound.runs.log_choice import LogChoice
    from gradsound.runs.step_block import StepBlock

REPORT_WIDTH = 500  # characters; a damaged log may have longer names
# Seconds, the years 2001 to 9999. Another time is not counted from 1970, or has no date.
_UNIX_TIMES = (1e9, 253_402_300_800.0)


def read_log(path: Path, choice: LogChoice, name: str) -> Run | None:
    """Reads the run in a log of another tool; returns None without a file, or an empty one.

    Args:
        path: A log, a folder that contains one, or a run in a database.
        choice: What to read of it.
        name: The name of the run in messages.

    Raises:
        OSError: If the log cannot be read.
        RunFormatError: If the log has no values or no norms, or the folder or the database
            has several runs, or the file is no log.
    """
    log = find_log(path, choice)
    if log is not None:
        return build_run(name, log, choice.norms)
    if path.is_file() and path.stat().st_size:
        raise RunFormatError(f"{name}: {describe_unknown(path, choice.step)}")
    return None


def build_run(name: str, log: Log, globs: Sequence[str] | None) -> Run:
    """Builds the run of a log; reads the log once, in bounded memory.

    Args:
        name: The name of the run in messages.
        log: The log.
        globs: Globs over names, which select the norms. None finds the norms by name.

    Raises:
        OSError: If the log cannot be read, or the temporary file cannot be written.
        RunFormatError: If the log has no values or no norms.
    """
    damage = _DamageSummary()
    try:
        log_steps = SortedSteps()
        for scalars in log.read(damage.add, lambda: False):
            if scalars is not None:
                log_steps.add(scalars)
        log_steps.sort()
        if log_steps.rejected:
            damage.add(
                f"{log_steps.rejected:,} entries without a whole number as step, left out"
            )
        if not log_steps.names:
            raise RunFormatError(f"no number could be read{damage.first and f': {damage}'}")
        names = classify_names(log_steps.names, globs)
    except RunFormatError as error:
        raise RunFormatError(f"{name}: {error}") from error
    if (step := log_steps.overwritten_step) is not None:
        damage.add(f"all was logged at step {step}, where the last counts; log a step, too")
    norms = {*names.norms}
    # Of the sorted steps, because a later entry of the same step counts.
    odd = {k: log_steps.names[k] for k in log_steps.odd_places if k in norms}
    odd_norms = describe_odd_norms(log_steps.read(), odd) if odd else ""
    if reports := [
        report for report in (*log.notes, str(damage), names.doubt, odd_norms) if report
    ]:
        warn(f"{name}: {'; '.join(reports)}")
    layers = tuple(names.layers.values())
    header = Header(
        layers=layers, parameters=(0,) * len(layers), start=find_start(log_steps, names)
    )
    return Run(header, _LogSource(log_steps, names), name)


class _DamageSummary:
    """The first report of damage to a log, and how many more there were."""

    def __init__(self) -> None:
        self.first, self._more = "", 0

    def add(self, report: str) -> None:
        if self.first:
            self._more += 1
        else:
            self.first = printable(report, REPORT_WIDTH)

    def __str__(self) -> str:
        return f"{self.first} (and {self._more:,} more)" if self._more else self.first


@dataclass(frozen=True, slots=True)
class _LogSource(StepSource):
    """The steps of a log; repeatable."""

    log_steps: SortedSteps
    names: ClassifiedNames

    def blocks(self) -> Iterator[StepBlock]:
        """Yields the steps in blocks."""
        blocks = LogBlocks(self.names)
        for steps in self.log_steps.read():
            yield from blocks.make(steps)


def _format_start(time: float) -> str:
    """Returns a time of a log as date, ISO 8601; empty if it is unknown, or has no date."""
    if not _UNIX_TIMES[0] <= time < _UNIX_TIMES[1]:
        return ""
    return datetime.fromtimestamp(time, timezone.utc).isoformat()


def find_start(log_steps: SortedSteps, names: ClassifiedNames) -> str:
    """Returns when the first step with a norm was logged, ISO 8601; empty if unknown."""
    for steps in log_steps.read():
        norms = np.flatnonzero(np.isin(steps.places, names.norms))
        if len(norms):
            row = np.searchsorted(steps.begins, norms[0], "right") - 1
            return _format_start(float(steps.times[row]))
    return ""
