"""Scalars: a piece of another tool's log, the form into which every log reader converts.

A reader is a generator function with the arguments `path`, `on_damage` and `wait_for_more`.
It yields `Scalars` in the order of the log, and None when it has read all that is there.
Then it calls `wait_for_more`, and reads on if that returns True: a log may grow.

Shapes: E entries, K names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from gradsound.logs.row import OnDamage, Row

    # Called at the end of a log. It may block. It returns whether to read again.
    WaitForMore: TypeAlias = Callable[[], bool]
    ReadScalars: TypeAlias = Callable[[OnDamage, WaitForMore], Iterator["Scalars | None"]]


@dataclass(frozen=True, slots=True, eq=False)
class Scalars:
    """Successive entries of a log; an entry is one number with a name.

    Attributes:
        names: The names in these entries, length K, all different, in the order of the log;
            sorted if the log has no order. A run has its layers in this order.
        places: Of each entry, the index of its name, shape (E,), intp.
        steps: The step as logged, shape (E,), float64; NaN if the log has none.
        times: Seconds on any clock, shape (E,), float64; NaN if unknown.
        values: Logged numbers, shape (E,), float64; NaN and infinities are kept.
        discards: By name, the step from which on the log takes back the entries with this
            name that it had before these.
    """

    names: list[str]
    places: NDArray[np.intp]
    steps: NDArray[np.float64]
    times: NDArray[np.float64]
    values: NDArray[np.float64]
    discards: Mapping[str, int] = field(default_factory=dict)


def make_scalars(rows: Sequence[Row]) -> Scalars:
    """Returns the scalars of some rows."""
    indices: dict[str, int] = {}
    places = [indices.setdefault(name, len(indices)) for row in rows for name in row.values]
    counts = [len(row.values) for row in rows]
    steps = np.array([row.step for row in rows], np.float64)  # None becomes NaN
    times = np.array([row.time for row in rows], np.float64)
    return Scalars(
        [*indices],
        np.array(places, np.intp),
        np.repeat(steps, counts),
        np.repeat(times, counts),
        np.array([value for row in rows for value in row.values.values()], np.float64),
    )
