"""The alarms of one step, whose texts name one layer and count the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.thresholds import Alarm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

# A spike does not persist, because the running median follows a lasting rise.
_PERSISTING = frozenset(
    (
        *("nonfinite", "vanishing", "dead", "rise", "rank", "straggler"),
        *("still", "echo", "coarse"),
    )
)


@dataclass(frozen=True, slots=True)
class StepReport:
    """The alarms of one step.

    Attributes:
        alarms: In the order of detection.
        step: Number of the step.
        names: Names of the layers, L of them.
    """

    alarms: list[Alarm]
    step: int
    names: Sequence[str]

    def add(
        self,
        kind: str,
        text: str,
        layers: NDArray[np.bool_],
        first: int | None = None,
        detail: str = "",
        resolves: str = "",
    ) -> None:
        """Adds an alarm whose text names one layer and counts the others.

        Args:
            kind: As in `Alarm`.
            text: Words before the name of the layer; "" for none.
            layers: Affected layers, shape (L,).
            first: Index of the layer to name; by default the first affected one.
            detail: Words after the name.
            resolves: As in `Alarm`.
        """
        named = int(np.argmax(layers)) if first is None else first
        others = int(layers.sum()) - 1
        more = f" (and {others} more)" if others else ""
        text = f"{text} {self.names[named]}{detail}{more}".lstrip()
        self.add_text(kind, text, layers, named, resolves)

    def add_text(
        self,
        kind: str,
        text: str,
        layers: NDArray[np.bool_],
        first: int,
        resolves: str = "",
    ) -> None:
        """Adds an alarm with a text of its own.

        Args:
            kind: As in `Alarm`.
            text: The event.
            layers: Affected layers, shape (L,).
            first: Index of the layer that comes first in the alarm.
            resolves: As in `Alarm`.
        """
        others = [self.names[k] for k in np.flatnonzero(layers).tolist() if k != first]
        affected = (self.names[first], *others)
        persists = kind in _PERSISTING
        self.alarms.append(Alarm(kind, self.step, text, affected, persists, resolves))

    def add_whole(self, kind: str, text: str, resolves: str = "") -> None:
        """Adds an alarm of the whole model.

        Args:
            kind: As in `Alarm`.
            text: The event.
            resolves: As in `Alarm`.
        """
        persists = kind in _PERSISTING
        self.alarms.append(Alarm(kind, self.step, text, (), persists, resolves))

    def add_recovery(self, kind: str, text: str, layers: NDArray[np.bool_]) -> None:
        """Adds the alarm that resolves a kind of alarm in layers."""
        self.add("recovery", text, layers, resolves=kind)


class StepReports:
    """The reports of successive steps, made when a detector asks for one.

    Args:
        numbers: Numbers of the steps, S of them.
        names: Names of the layers.
    """

    def __init__(self, numbers: NDArray[np.int64], names: Sequence[str]) -> None:
        self._numbers, self._names = numbers, names
        self._reports: dict[int, StepReport] = {}

    def __getitem__(self, row: int) -> StepReport:
        """Returns the report of a step by its row."""
        if row not in self._reports:
            number = int(self._numbers[row])
            self._reports[row] = StepReport([], number, self._names)
        return self._reports[row]

    def alarms(self) -> Iterator[tuple[int, list[Alarm]]]:
        """Yields row and alarms of each step that has any, in order."""
        for row in sorted(self._reports):
            if self._reports[row].alarms:
                yield row, self._reports[row].alarms
