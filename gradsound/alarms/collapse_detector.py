"""Detection of mixtures of experts that have collapsed: few of their experts are in use.

Shapes: S steps, K numbers of experts in use.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.running_median import slide
from gradsound.alarms.thresholds import (
    COLLAPSE_END,
    COLLAPSE_FIRST,
    COLLAPSE_POSSIBLE,
    COLLAPSE_SHARE,
    COLLAPSE_WINDOW,
    Alarm,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from gradsound.runs.step_block import LoggedValue

_MIDDLE = slice(COLLAPSE_WINDOW // 2 - 1, COLLAPSE_WINDOW // 2 + 1)  # of sorted numbers


class CollapseDetector:
    """Finds mixtures of experts that have collapsed: that of a model, or of each layer.

    The steps from the first collapse to the end of the last one are one condition.

    Args:
        least: Fewer experts in use are a collapse; as in `Thresholds`.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._mixtures: dict[str, _Mixture] = {}
        self._collapsed: set[str] = set()  # names

    def detect(
        self, numbers: NDArray[np.int64], values: Mapping[str, LoggedValue]
    ) -> Iterator[tuple[int, Alarm]]:
        """Yields rows of steps and their alarms.

        Args:
            numbers: Numbers of the steps, shape (S,).
            values: The experts in use of steps that have them, by name.
        """
        changes = []  # row, name, whether it has collapsed now, text
        for name, value in values.items():
            mixture = self._mixtures.setdefault(name, _Mixture(self._least))
            finite = np.isfinite(value.numbers)
            rows = value.rows[finite]
            changes += [
                (int(rows[k]), name, has_collapsed, f"{name} at {text}")
                for k, has_collapsed, text in mixture.find_changes(value.numbers[finite])
            ]
        changes.sort(key=lambda change: change[0])  # stable: as the run has the names
        for row, of_step in groupby(changes, key=lambda change: change[0]):
            for alarm in self._report(int(numbers[row]), [*of_step]):
                yield row, alarm

    def _report(
        self, step: int, changes: Sequence[tuple[int, str, bool, str]]
    ) -> Iterator[Alarm]:
        """Yields the alarm of the mixtures that collapsed, or the end of the last one."""
        begun = {name: text for _, name, has_collapsed, text in changes if has_collapsed}
        ended = {
            name: text for _, name, has_collapsed, text in changes if not has_collapsed
        }
        self._collapsed = self._collapsed - ended.keys() | begun.keys()
        if begun:
            yield Alarm("collapsed", step, f"collapsed: {_first(begun)}", persists=True)
        elif not self._collapsed:
            text = f"no longer collapsed: {_first(ended)}"
            yield Alarm("recovery", step, text, resolves="collapsed")


class _Mixture:
    """One mixture of experts.

    Args:
        least: As in `CollapseDetector`.
    """

    def __init__(self, least: float) -> None:
        self._least, self._count, self._highest = least, 0, 0.0
        self._last = np.full(COLLAPSE_WINDOW - 1, np.nan)  # numbers
        self._has_collapsed = False

    def find_changes(self, numbers: NDArray[np.float64]) -> Iterator[tuple[int, bool, str]]:
        """Yields where it collapses or recovers, which of the two, and a text.

        Args:
            numbers: The next experts in use, finite, shape (K,).
        """
        recent = np.concatenate([self._last, numbers])
        self._last = recent[-(COLLAPSE_WINDOW - 1) :]
        counts = self._count + np.arange(1, len(numbers) + 1)
        self._count += len(numbers)
        middle = np.sort(slide(recent, COLLAPSE_WINDOW), axis=1)[:, _MIDDLE].mean(axis=1)
        levels = np.where(counts < COLLAPSE_WINDOW, 0, middle)  # before, some are NaN
        highest = np.maximum.accumulate(np.concatenate([[self._highest], levels]))[1:]
        self._highest = float(highest[-1]) if len(highest) else self._highest
        limits = np.maximum(self._least, COLLAPSE_SHARE * highest)
        low = (levels < limits) & (levels > COLLAPSE_POSSIBLE) & (counts >= COLLAPSE_FIRST)
        high = levels > COLLAPSE_END * limits
        begin = 0
        while (
            found := np.flatnonzero((high if self._has_collapsed else low)[begin:])
        ).size:
            k = begin + int(found[0])
            self._has_collapsed, begin = not self._has_collapsed, k + 1
            most = f", highest {highest[k]:.3g}" if self._has_collapsed else ""
            yield k, self._has_collapsed, f"{levels[k]:.3g}{most}"


def _first(texts: Mapping[str, str]) -> str:
    """Returns the first text, and how many more there are."""
    more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
    return f"{next(iter(texts.values()))}{more}"
