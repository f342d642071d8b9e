"""Moments: steps with their alarms, and the merging of several into one.

Shapes: L layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from gradsound.runs.model import Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Alarm


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One step, or several merged steps, that sound at the same time.

    Attributes:
        first: Number of the first step.
        step: The only step, or the merged one with the number of the last.
        alarms: The alarms of all its steps.
        present: Whether the run has any of the steps. When several runs play at once, a
            run may lack a step of the others.
    """

    first: int
    step: Step
    alarms: tuple[Alarm, ...] = ()
    present: bool = True


def merge_moments(earlier: Moment, later: Moment) -> Moment:
    """Returns one moment with the merged steps and the alarms of both."""
    step = merge_steps(earlier.step, later.step)
    alarms = earlier.alarms + later.alarms
    # A resumed training repeats numbers, so the later step may have the lower one.
    first = min(earlier.first, later.first)
    return Moment(first, step, alarms, earlier.present or later.present)


def merge_groups(moments: Sequence[Moment], size: int) -> list[Moment]:
    """Returns one moment for each group of so many successive moments."""
    starts = range(0, len(moments), size)
    return [reduce(merge_moments, moments[k : k + size]) for k in starts]


def missing_moment(number: int, layers: int) -> Moment:
    """Returns the moment of a step that the run does not have; all L layers are absent."""
    norms, absent = np.full(layers, np.nan, np.float32), np.ones(layers, bool)
    return Moment(number, Step(number, 0.0, norms, absent), present=False)


def merge_steps(earlier: Step, later: Step) -> Step:
    """Returns a step with the largest norm of each layer.

    NaN counts as larger than infinity, and any norm as larger than no gradient. So one
    unusual step of thousands stays audible. Each value is the later one, but NaN or
    infinity stays.

    The norms of a skipped step count only if both steps were skipped. They were thrown
    away, and their infinities would hide the norms of the other step.
    """
    values = _merge_values(earlier.values, later.values)
    if earlier.skipped != later.skipped:
        applied = later if earlier.skipped else earlier
        norms, absent, raw = applied.norms, applied.absent, applied.raw
    else:
        norms = _larger_norms(earlier, earlier.norms, later, later.norms)
        absent = earlier.absent & later.absent
        raw = None
        if earlier.raw is not None or later.raw is not None:
            raw = _larger_norms(earlier, earlier.unclipped, later, later.unclipped)
    return replace(
        later,
        norms=norms,
        absent=absent,
        raw=raw,
        values=values,
        skipped=earlier.skipped and later.skipped,
        discarded=earlier.discarded and later.discarded,
    )


def _merge_values(
    earlier: Mapping[str, float], later: Mapping[str, float]
) -> Mapping[str, float]:
    """Returns the later value of each name, but keeps NaN, and infinity before numbers."""
    if not earlier:
        return later
    values = {**earlier, **later}
    for name, value in earlier.items():
        if math.isnan(value) or (math.isinf(value) and math.isfinite(values[name])):
            values[name] = value
    return values


def _larger_norms(
    earlier: Step,
    earlier_norms: NDArray[np.float32],
    later: Step,
    later_norms: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Returns the larger norm of each layer, shape (L,); NaN where both are absent."""
    below = np.float32(-1)  # smaller than any norm
    norms = np.maximum(  # keeps NaN, unlike np.fmax
        np.where(earlier.absent, below, earlier_norms),
        np.where(later.absent, below, later_norms),
    )
    norms[norms < 0] = np.nan
    return norms
