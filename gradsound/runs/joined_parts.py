"""Parts: several runs of one training, joined to one run in the order of the parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from gradsound.errors import without_warnings
from gradsound.runs.layer_differences import describe_difference
from gradsound.runs.model import Run, pick_layers
from gradsound.runs.part_checks import check_parts
from gradsound.runs.restarts import StepClock, TimeShift
from gradsound.runs.step import NO_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradsound.runs.step import Step


def join_parts(parts: Sequence[Run]) -> Run:
    """Returns the run of a training that was recorded in parts.

    Where a part repeats steps of the parts before, its steps count, as in TensorBoard. A
    part whose numbers begin anew, at the first number of the first part or below, goes on
    after the last step instead: all would be repeated otherwise.

    Args:
        parts: One run, or more. Their steps can be iterated repeatedly.

    Raises:
        ValueError: If the parts have different layers, or one of them is certainly no
            continuation of another.
        RunFormatError: If one of the first steps of a part is no step.
    """
    if len(parts) == 1:
        return parts[0]
    run = parts[0]
    same_layers = [run] + [_with_layers_of(run, part) for part in parts[1:]]
    check_parts(same_layers)
    steps = _JoinedSteps(tuple(same_layers))
    budgets = [part.header.budget for part in parts if part.header.budget is not None]
    signals = {
        name: how for part in reversed(parts) for name, how in part.header.signals.items()
    }
    header = replace(
        run.header, budget=budgets[0] if budgets else None, signals=signals or NO_SIGNALS
    )
    is_numbered_once = len(steps.numberings()) == 1
    total_steps = parts[-1].total_steps if is_numbered_once else None
    return Run(header, steps, " + ".join(part.name for part in parts), total_steps)


def _with_layers_of(run: Run, part: Run) -> Run:
    """Returns a part with its layers in the order of a run."""
    layers, own = run.header.layers, part.header.layers
    if layers == own:
        return part
    if {*layers} != {*own}:
        raise ValueError(
            f"{part.name} cannot go on from {run.name}, because their layers differ "
            f"({describe_difference(layers, own)}): give the parts of one training"
        )
    return pick_layers(part, tuple(own.index(name) for name in layers))


@dataclass(frozen=True, slots=True)
class _Part:
    """A part with a step.

    Attributes:
        run: The part.
        first: Number of its first step.
    """

    run: Run
    first: int


@dataclass(frozen=True, slots=True)
class _JoinedSteps:
    """The steps of several parts; repeatable."""

    parts: tuple[Run, ...]

    def numberings(self) -> list[list[_Part]]:
        """Returns the parts with steps, in groups whose step numbers go on."""
        groups: list[list[_Part]] = []
        for run in self.parts:
            with without_warnings():  # the reading of the part tells them
                step = next(iter(run.steps), None)
            if step is None:
                continue
            part = _Part(run, step.number)
            if groups and part.first > groups[-1][0].first:
                groups[-1].append(part)
            else:
                groups.append([part])
        return groups

    def __iter__(self) -> Iterator[Step]:
        clock, last = StepClock(), -1
        for group in self.numberings():
            # Step numbers count from 0 in run files, from 1 in some logs.
            offset = last + (group[0].first == 0) if last >= 0 else 0
            for index, part in enumerate(group):
                end = min((later.first for later in group[index + 1 :]), default=inf)
                shift = TimeShift(clock.next_time())
                for step in part.run.steps:
                    if step.number >= end:
                        break
                    shifted = replace(shift.apply(step), number=step.number + offset)
                    clock.add(shifted.time)
                    last = shifted.number
                    yield shifted
