"""Checks of parts: refuses those that are certainly not one training in its order.

Parts may repeat steps, because a training that resumes from a checkpoint repeats them.
"""

from __future__ import annotations

from collections import deque
from itertools import combinations, islice
from typing import TYPE_CHECKING

import numpy as np

from gradsound.errors import without_warnings
from gradsound.runs.model import find_begin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.runs.model import Run
    from gradsound.runs.step import Step

_COMPARED_STEPS = 8  # first steps; two trainings never have so many equal ones


def check_parts(parts: Sequence[Run]) -> None:
    """Refuses a part that is there twice, is of another model, or is in a wrong place.

    Args:
        parts: Runs with the same layers in the same order. Their steps can be iterated
            repeatedly.

    Raises:
        ValueError: If one part is no continuation of another, with the names of both.
        RunFormatError: If a line of a part is no step.
    """
    with without_warnings():  # the reading of the run tells them
        for earlier, later in combinations(parts, 2):
            _check_sizes(earlier, later)
            _check_copy(earlier, later)
            _check_clocks(earlier, later)
        _check_numbers([part for part in parts if _first_steps(part, 1)])


def _check_sizes(earlier: Run, later: Run) -> None:
    """Refuses a part in which every layer has another size; a new head is one layer."""
    sizes = [*zip(earlier.header.parameters, later.header.parameters)]
    if all(0 < size != other > 0 for size, other in sizes):
        (size, other), layer = sizes[0], earlier.header.layers[0]
        raise ValueError(
            f"{later.name} cannot go on from {earlier.name}, because the layers have other "
            f"sizes ({layer}: {size:,} and {other:,} parameters): give the parts of one "
            "training"
        )


def _check_copy(earlier: Run, later: Run) -> None:
    steps, others = (_first_steps(run, _COMPARED_STEPS) for run in (earlier, later))
    if steps and others and all(map(_are_equal, steps, others)):
        raise ValueError(
            f"{later.name} begins with the same steps as {earlier.name}, so it is a copy "
            "or the same training: leave one of them out"
        )


def _are_equal(step: Step, other: Step) -> bool:
    return (
        (step.number, step.time) == (other.number, other.time)
        and np.array_equal(step.absent, other.absent)
        and np.array_equal(step.norms, other.norms, equal_nan=True)
        and str(dict(step.values)) == str(dict(other.values))  # NaN is not equal to NaN
    )


def _check_clocks(earlier: Run, later: Run) -> None:
    if _clock_order(earlier, later) < 0:
        raise ValueError(
            f"{later.name} began at {later.header.start}, before {earlier.name} did "
            f"({earlier.header.start}): give the parts in the order of the training"
        )


def _clock_order(earlier: Run, later: Run) -> int:
    """Returns -1 if the later part began first, 1 if the earlier did, 0 if unknown."""
    begin, other = find_begin(earlier.header), find_begin(later.header)
    if begin is None or other is None:
        return 0
    return (other > begin) - (other < begin)


def _check_numbers(parts: Sequence[Run]) -> None:
    """Refuses a part whose steps fill the gap before an earlier part.

    Without a gap, the part either resumes from a checkpoint or counts anew.
    """
    for (index, earlier), (_, later) in combinations(enumerate(parts), 2):
        first, begin = _first_steps(earlier, 2), _first_steps(later, 1)[0].number
        if begin >= first[0].number or _clock_order(earlier, later) > 0:
            continue
        distance = first[-1].number - first[0].number or 1
        before = max((_last_number(part) for part in parts[:index]), default=0)
        end = _last_number(later)
        if before + distance < first[0].number <= end + distance:
            raise ValueError(
                f"{later.name} has the steps {begin:,} to {end:,}, which come before those "
                f"of {earlier.name} (from {first[0].number:,} on): give the parts in the "
                "order of the training"
            )


def _first_steps(run: Run, count: int) -> list[Step]:
    return [*islice(iter(run.steps), count)]


def _last_number(run: Run) -> int:
    return deque(run.steps, maxlen=1)[0].number
