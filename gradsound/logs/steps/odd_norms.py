"""Numbers in a log that no norm can be, and the sentence that says how a run reads them."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from gradsound.logs.steps.log_steps import LogSteps

_LARGEST = float(np.finfo(np.float32).max)  # norms are float32
_DEEPSPEED_NONFINITE = -1.0  # DeepSpeed logs it in place of NaN and infinity


def are_odd(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns which numbers are below 0, or finite and too large for float32."""
    odd: NDArray[np.bool_] = (numbers < 0) | ((numbers > _LARGEST) & (numbers < inf))
    return odd


@dataclass(slots=True)
class _Finding:
    """The first odd number of a kind, and how many there are."""

    name: str
    number: float
    step: int
    count: int

    def __str__(self) -> str:
        more = f" (and {self.count - 1:,} more)" if self.count > 1 else ""
        return f"{self.name} is {self.number:g} at step {self.step:,}{more}, read as "


def describe_odd_norms(parts: Iterable[LogSteps], names: Mapping[int, str]) -> str:
    """Returns a text with the first odd norm of each kind; empty without one.

    Args:
        parts: The steps of a log, from `SortedSteps.read`.
        names: The names of the norms that have odd numbers, by index.
    """
    findings: dict[bool, _Finding] = {}  # by whether the numbers are negative
    for steps in parts:
        odd = np.flatnonzero(are_odd(steps.values) & np.isin(steps.places, [*names]))
        negative = steps.values[odd] < 0
        kinds = [kind for kind in (odd[negative], odd[~negative]) if len(kind)]
        for entries in sorted(kinds, key=lambda kind: int(kind[0])):
            entry = int(entries[0])
            number = float(steps.values[entry])
            if (known := findings.get(number < 0)) is not None:
                known.count += len(entries)
                continue
            step = steps.numbers[np.searchsorted(steps.begins, entry, "right") - 1]
            name = names[int(steps.places[entry])]
            findings[number < 0] = _Finding(name, number, int(step), len(entries))
    return "; ".join(
        f"{finding}{_reading(finding.number)}" for finding in findings.values()
    )


def _reading(number: float) -> str:
    if number > 0:
        return f"infinity, because norms end at {_LARGEST:.2g}"
    if number == _DEEPSPEED_NONFINITE:
        return "NaN, because DeepSpeed logs -1 for NaN and infinity"
    return "NaN, because no norm is below 0 (to choose other norms: norms)"
