"""Numbers in a log that no norm can be, and the sentence that says how a run reads them."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LARGEST = float(np.finfo(np.float32).max)  # norms are float32
_DEEPSPEED_NONFINITE = -1.0  # DeepSpeed logs it in place of NaN and infinity


def is_odd(number: float) -> bool:
    """Returns whether a number is below 0, or finite and too large for float32."""
    return number < 0 or _LARGEST < number < inf


@dataclass(slots=True)
class _Finding:
    """The first odd number of a kind, and how many there are."""

    name: str
    number: float
    step: int
    count: int = 1

    def __str__(self) -> str:
        more = f" (and {self.count - 1:,} more)" if self.count > 1 else ""
        return f"{self.name} is {self.number:g} at step {self.step:,}{more}, read as "


def describe_odd_norms(
    steps: Iterable[tuple[int, object, Mapping[int, float]]], names: Mapping[int, str]
) -> str:
    """Returns a text with the first odd norm of each kind; empty without one.

    Args:
        steps: The steps of a log, from `SortedSteps.steps`.
        names: The names of the norms that have odd numbers, by index.
    """
    findings: dict[bool, _Finding] = {}  # by whether the numbers are negative
    for step, _, values in steps:
        for index, number in values.items():
            if index not in names or not is_odd(number):
                continue
            if (known := findings.get(number < 0)) is None:
                findings[number < 0] = _Finding(names[index], number, step)
            else:
                known.count += 1
    return "; ".join(
        f"{finding}{_reading(finding.number)}" for finding in findings.values()
    )


def _reading(number: float) -> str:
    if number > 0:
        return f"infinity, because norms end at {_LARGEST:.2g}"
    if number == _DEEPSPEED_NONFINITE:
        return "NaN, because DeepSpeed logs -1 for NaN and infinity"
    return "NaN, because no norm is below 0 (to choose other norms: norms)"
