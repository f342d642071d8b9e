"""Builds a run (header and steps) from the rows of another tool's log.

Shapes: L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from math import floor, isfinite
from typing import TYPE_CHECKING

import numpy as np

from gradsound.errors import RunFormatError, warn
from gradsound.logs.norm_names import classify_names
from gradsound.logs.odd_norms import describe_odd_norms
from gradsound.logs.sorted_steps import SortedSteps
from gradsound.runs.model import Header, Run
from gradsound.runs.step import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gradsound.logs.norm_names import ClassifiedNames
    from gradsound.logs.row import OnDamage, Row

# Seconds, the years 2001 to 9999. Another time is not counted from 1970, or has no date.
_UNIX_TIMES = (1e9, 253_402_300_800.0)


def build_run(
    name: str,
    read_rows: Callable[[OnDamage], Iterable[Row]],
    globs: Sequence[str] | None,
) -> Run:
    """Builds the run of a log; reads the log once, in bounded memory.

    Args:
        name: The name of the run in messages.
        read_rows: The reader of the log.
        globs: Globs over names, which select the norms. None finds the norms by name.

    Raises:
        OSError: If the log cannot be read, or the temporary file cannot be written.
        RunFormatError: If the log has no values or no norms.
    """
    damage = _DamageSummary()
    try:
        log_steps = SortedSteps()
        for row in read_rows(damage.add):
            log_steps.add(row)
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
    # Of the sorted steps, because a later entry of the same step counts.
    odd = {k: log_steps.names[k] for k in log_steps.odd_names if k in names.layers}
    odd_norms = describe_odd_norms(log_steps.steps(), odd) if odd else ""
    if reports := [report for report in (str(damage), odd_norms) if report]:
        warn(f"{name}: {'; '.join(reports)}")
    steps = _LogSteps(log_steps, names)
    layers = tuple(names.layers.values())
    header = Header(layers=layers, parameters=(0,) * len(layers), start=steps.start)
    return Run(header, steps, name)


class _DamageSummary:
    """The first report of damage to a log, and how many more there were."""

    def __init__(self) -> None:
        self.first, self._more = "", 0

    def add(self, report: str) -> None:
        if self.first:
            self._more += 1
        else:
            self.first = report

    def __str__(self) -> str:
        return f"{self.first} (and {self._more:,} more)" if self._more else self.first


@dataclass(frozen=True, slots=True)
class _LogSteps:
    """The steps of a log; repeatable.

    A step of a log becomes a step of the run if it has a norm. Values logged at other steps
    are attached to the next one that has a norm, as `Step.values` requires.
    """

    log_steps: SortedSteps
    names: ClassifiedNames

    def __iter__(self) -> Iterator[Step]:
        layers = {index: layer for layer, index in enumerate(self.names.layers)}
        value_names, size = self.names.values, len(layers)
        begin: float | None = None
        seconds, values = 0.0, dict[str, float]()
        for number, time, logged in self.log_steps.steps():
            norms, absent = np.full(size, np.nan), np.ones(size, bool)
            for index, value in logged.items():
                if (layer := layers.get(index)) is not None:
                    norms[layer], absent[layer] = value, False
                else:
                    values[value_names[index]] = value
            if absent.all():
                continue
            if time is not None:
                begin = time if begin is None else begin
                seconds = max(seconds, time - begin)  # a clock may be set back
            norms[norms < 0] = np.nan  # DeepSpeed writes -1 for NaN and infinity
            if isfinite(epoch := values.get("epoch", np.nan)):
                values["epoch"] = float(floor(epoch))  # Trainer logs fractions of an epoch
            with np.errstate(over="ignore"):  # float32 rounds a larger norm to infinity
                yield Step(number, seconds, norms.astype(np.float32), absent, values=values)
            values = {}

    @property
    def start(self) -> str:
        """When the first step was logged, ISO 8601; empty if unknown."""
        for _, time, logged in self.log_steps.steps():
            if not logged.keys().isdisjoint(self.names.layers):
                if time is None or not _UNIX_TIMES[0] <= time < _UNIX_TIMES[1]:
                    return ""
                return datetime.fromtimestamp(time, timezone.utc).isoformat()
        return ""
