"""Moments: steps with their alarms, and the merging of several into one.

Shapes: S steps, L layers, G groups of steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from gradsound.runs.compare import missing_step
from gradsound.runs.step_block import LoggedValue, make_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Alarm
    from gradsound.runs.step import Step
    from gradsound.runs.step_block import StepBlock


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


def merge_groups(
    steps: StepBlock,
    alarms: Sequence[tuple[Alarm, ...]],
    begins: NDArray[np.intp],
    present: NDArray[np.bool_] | None = None,
) -> list[Moment]:
    """Returns one moment for each group of successive steps, as `merge_moments` does.

    Args:
        steps: S steps.
        alarms: The alarms of each step, of length S.
        begins: Row of the first step of each group, ascending from 0, shape (G,).
        present: Whether the run has the step, shape (S,); None if it has all.
    """
    are_present = np.ones(len(begins), bool)
    if present is not None:
        are_present = np.logical_or.reduceat(present, begins)
    firsts = np.minimum.reduceat(steps.numbers, begins).tolist()
    merged = merge_rows(steps, begins)
    ends = [*begins[1:].tolist(), len(steps)]
    return [
        Moment(first, step, tuple(chain.from_iterable(alarms[begin:end])), is_present)
        for first, step, begin, end, is_present in zip(
            firsts, merged, begins.tolist(), ends, are_present.tolist()
        )
    ]


def merge_rows(steps: StepBlock, begins: NDArray[np.intp]) -> StepBlock:
    """Returns a block with one step for each group, as `merge_steps` merges them.

    Args:
        steps: S steps.
        begins: As for `merge_groups`, shape (G,).
    """
    if len(begins) == len(steps):
        return steps
    lasts = np.append(begins[1:], len(steps)) - 1
    sizes = np.diff(np.append(begins, len(steps)))
    skipped = np.logical_and.reduceat(steps.skipped, begins)
    # Skipped steps count in groups that have no other.
    hidden = steps.skipped & ~np.repeat(skipped, sizes)
    absent = steps.absent | hidden[:, None]
    clipped = np.logical_or.reduceat(steps.clipped & ~hidden, begins)
    norms = _largest_norms(steps.norms, absent, begins)
    raw = None
    if steps.raw is not None and clipped.any():
        raw = np.where(clipped[:, None], _largest_norms(steps.raw, absent, begins), norms)
    last = steps.take(lasts)
    return replace(
        last,
        norms=norms,
        absent=np.logical_and.reduceat(absent, begins, axis=0),
        skipped=skipped,
        discarded=np.logical_and.reduceat(steps.discarded, begins),
        raw=raw,
        clipped=clipped,
        values={n: _merge_value(value, begins) for n, value in steps.values.items()},
        signals={
            name: np.fmax.reduceat(own, begins) for name, own in steps.signals.items()
        },
    )


def _largest_norms(
    norms: NDArray[np.float32], absent: NDArray[np.bool_], begins: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Returns the largest norms of groups, shape (G, L); NaN where all are absent."""
    below = np.float32(-1)  # smaller than any norm
    largest = np.maximum.reduceat(np.where(absent, below, norms), begins, axis=0)
    largest[largest < 0] = np.nan
    return largest


def _merge_value(value: LoggedValue, begins: NDArray[np.intp]) -> LoggedValue:
    """Returns the last number of each group; but NaN, else infinity, if there is one."""
    groups = np.searchsorted(begins, value.rows, side="right") - 1
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    numbers, places = value.numbers, np.arange(len(groups))
    # Of each group, the place of the last NaN, of the last infinity, of the last number.
    nan, infinity, last = (
        np.maximum.reduceat(np.where(chosen, places, -1), starts)
        for chosen in (np.isnan(numbers), np.isinf(numbers), True)
    )
    kept = np.where(nan >= 0, nan, np.where(infinity >= 0, infinity, last))
    return LoggedValue(groups[starts], numbers[kept])


def missing_moment(number: int, layers: int) -> Moment:
    """Returns the moment of a step that the run does not have; all L layers are absent."""
    return Moment(number, missing_step(number, layers), present=False)


def merge_steps(earlier: Step, later: Step) -> Step:
    """Returns a step with the largest norm of each layer.

    NaN counts as larger than infinity, and any norm as larger than no gradient. So one
    unusual step of thousands stays audible. Each value is the later one, but NaN or
    infinity stays. Each signal is the larger one.

    The norms of a skipped step count only if both steps were skipped. They were thrown
    away, and their infinities would hide the norms of the other step.
    """
    (merged,) = merge_rows(make_block([earlier, later]), np.zeros(1, np.intp))
    return merged
