"""From the rows of a log to a run: header and steps.

Shapes: L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from math import floor, isfinite
from typing import TYPE_CHECKING

import numpy as np

from gradsound.errors import RunFormatError, warn
from gradsound.logs.norm_names import sort_out
from gradsound.logs.spool import Spool
from gradsound.runs.model import Header, Run, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gradsound.logs.norm_names import Names
    from gradsound.logs.row import Row, Trouble

_CLOCK = 1e9  # seconds; a clock that shows more counts from 1970


def run_from(
    name: str, rows: Callable[[Trouble], Iterable[Row]], globs: Sequence[str] | None
) -> Run:
    """The run that a log has; it is read once, in bounded memory.

    Args:
        name: What to call it in messages.
        rows: Reads it.
        globs: Which names are those of norms; found out if None.

    Raises:
        OSError: If it cannot be read, or the temporary file not be written.
        RunFormatError: If nothing can be read, or nothing is a norm.
    """
    troubles = _Troubles()
    try:
        spool = Spool()
        for row in rows(troubles.add):
            spool.add(row)
        spool.sort()
        if spool.rejected:
            troubles.add(
                f"{spool.rejected:,} entries without a whole number as step, left out"
            )
        if not spool.names:
            raise RunFormatError(
                f"no number could be read{troubles.first and f': {troubles}'}"
            )
        names = sort_out(spool.names, globs)
    except RunFormatError as error:
        raise RunFormatError(f"{name}: {error}") from error
    if (only := spool.replaced_at) is not None:
        troubles.add(
            f"all was logged at step {only}, where the last counts; log a step, too"
        )
    if troubles.first:
        warn(f"{name}: {troubles}")
    steps = _Steps(spool, names)
    layers = tuple(names.layers.values())
    return Run(
        Header(layers=layers, parameters=(0,) * len(layers), start=steps.start), steps, name
    )


class _Troubles:
    """What was wrong with a log, in one sentence."""

    def __init__(self) -> None:
        self.first, self._more = "", 0

    def add(self, what: str) -> None:
        if self.first:
            self._more += 1
        else:
            self.first = what

    def __str__(self) -> str:
        return f"{self.first} (and {self._more:,} more)" if self._more else self.first


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps of a log, as often readable as wanted.

    A step is one that has a norm. What else was logged belongs to the next such step, as
    what is noted does (`Step.values`).
    """

    spool: Spool
    names: Names

    def __iter__(self) -> Iterator[Step]:
        places = {index: k for k, index in enumerate(self.names.layers)}
        called, size = self.names.values, len(places)
        begin: float | None = None
        seconds, values = 0.0, dict[str, float]()
        for number, time, numbers in self.spool.steps():
            norms, absent = np.full(size, np.nan), np.ones(size, bool)
            for index, found in numbers.items():
                if (place := places.get(index)) is not None:
                    norms[place], absent[place] = found, False
                else:
                    values[called[index]] = found
            if absent.all():
                continue
            if time is not None:
                begin = time if begin is None else begin
                seconds = max(seconds, time - begin)  # a clock may be set back
            norms[norms < 0] = np.nan  # -1 is what DeepSpeed writes of NaN and infinity
            if isfinite(epoch := values.get("epoch", np.nan)):
                values["epoch"] = float(floor(epoch))  # Trainer counts parts of it
            with np.errstate(over="ignore"):  # what float32 has not is infinite
                yield Step(number, seconds, norms.astype(np.float32), absent, values=values)
            values = {}

    @property
    def start(self) -> str:
        """When it began, ISO 8601; empty if that is not known."""
        for _, time, numbers in self.spool.steps():
            if not numbers.keys().isdisjoint(self.names.layers):
                if time is None or time < _CLOCK:
                    return ""
                return datetime.fromtimestamp(time, timezone.utc).isoformat()
        return ""
