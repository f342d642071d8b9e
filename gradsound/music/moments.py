"""Moments: what there is to be heard of a step, or of several merged into one.

Shapes: L layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gradsound.runs.model import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Alarm


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What sounds at once.

    Attributes:
        first: Number of its first step.
        step: Its only step; or what is remarkable of all, as of the last one.
        alarms: What was found at any of them.
        present: Whether the run has one of them; of several runs, not every one may.
    """

    first: int
    step: Step
    alarms: tuple[Alarm, ...] = ()
    present: bool = True


def merge_moments(earlier: Moment, later: Moment) -> Moment:
    """Returns two moments as one; no alarm is lost."""
    step = merge_steps(earlier.step, later.step)
    alarms = earlier.alarms + later.alarms
    return Moment(earlier.first, step, alarms, earlier.present or later.present)


def nothing(number: int, layers: int) -> Moment:
    """What there is of a step that a run does not have."""
    norms, absent = np.full(layers, np.nan, np.float32), np.ones(layers, bool)
    return Moment(number, Step(number, 0.0, norms, absent), present=False)


def merge_steps(earlier: Step, later: Step) -> Step:
    """Returns a step that has what is remarkable of two.

    Of each layer it has the greater norm; NaN is greater than infinity, and anything than
    no gradient. So a layer that is out of line for one step of thousands is heard. Of
    values it has the later ones, and those that are not finite: NaN before infinity.

    A step that was skipped has no part in that, unless both were: its gradients were thrown
    away, and would hide those that were not.
    """
    values = _later(earlier.values, later.values)
    if earlier.skipped != later.skipped:
        kept = later if earlier.skipped else earlier
        norms, absent, raw = kept.norms, kept.absent, kept.raw
    else:
        norms = _greater(earlier, earlier.norms, later, later.norms)
        absent = earlier.absent & later.absent
        raw = None
        if earlier.raw is not None or later.raw is not None:
            raw = _greater(earlier, earlier.unclipped, later, later.unclipped)
    skipped = earlier.skipped and later.skipped
    return replace(
        later, norms=norms, absent=absent, skipped=skipped, raw=raw, values=values
    )


def _later(earlier: Mapping[str, float], later: Mapping[str, float]) -> Mapping[str, float]:
    """The later of two values of each name, but what is not finite stays."""
    if not earlier:
        return later
    values = {**earlier, **later}
    for name, value in earlier.items():
        if math.isnan(value) or (math.isinf(value) and math.isfinite(values[name])):
            values[name] = value
    return values


def _greater(
    earlier: Step, one: NDArray[np.float32], later: Step, other: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The greater of two norms of each layer, shape (L,); NaN where both are absent."""
    below = np.float32(-1)  # any norm
    norms = np.maximum(  # which passes NaN on
        np.where(earlier.absent, below, one), np.where(later.absent, below, other)
    )
    norms[norms < 0] = np.nan
    return norms
