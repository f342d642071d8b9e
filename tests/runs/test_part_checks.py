"""Checks of parts: what is certainly no training in its order is refused."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.runs import make_run

from gradsound import Run, read_run
from gradsound.errors import GradsoundWarning
from gradsound.runs.joined_parts import join_parts


def part(
    numbers: range, name: str, norm: float = 1.0, start: str = "", sizes: str = ""
) -> Run:
    """Returns a part with two layers, whose norms are the step numbers times a factor."""
    rows = [[norm * (number + 1), norm / (number + 1)] for number in numbers]
    run = make_run(rows, layers=("a", "b"))
    steps = [replace(step, number=k) for step, k in zip(run.steps, numbers)]
    parameters = tuple(map(int, sizes.split())) or (0, 0)
    header = replace(run.header, start=start, parameters=parameters)
    return replace(run, header=header, steps=steps, name=name)


def numbers_of(*parts: Run) -> list[int]:
    """Returns the step numbers of the joined parts."""
    return [step.number for step in join_parts(parts).steps]


@pytest.mark.parametrize("every", [1, 20])
def test_a_copy_is_refused(every: int) -> None:
    """Equal first steps show a copy, or a copy from before the training went on."""
    whole = part(range(0, 30 * every, every), "whole")
    copy = part(range(0, 12 * every, every), "copy")
    with pytest.raises(ValueError, match="copy begins with the same steps as whole"):
        join_parts([whole, copy])
    with pytest.raises(ValueError, match=r"whole begins with the same .*: leave one of"):
        join_parts([part(range(2), "first", 5.0), copy, whole])


def test_nan_does_not_hide_a_copy() -> None:
    """NaN is not equal to itself, but a copy has it in the same places."""
    run = make_run([[np.nan, 1.0], [2.0, None]])
    steps = [replace(step, values={"loss": np.nan}) for step in run.steps]
    run = replace(run, steps=steps)
    again = [replace(step, values={"loss": float("nan")}) for step in steps]
    with pytest.raises(ValueError, match="the same steps"):
        join_parts([run, replace(run, steps=again)])


def test_the_same_start_is_no_copy() -> None:
    """A training that counts anew has the same numbers, but another loss, norm or time."""
    first, again = part(range(3), "x"), part(range(3), "y", norm=1 / 3)
    assert numbers_of(first, again) == [*range(6)]

    steps = [replace(step, values={"loss": 0.5}) for step in first.steps]
    assert numbers_of(first, replace(first, steps=steps)) == [*range(6)]
    steps = [replace(step, time=step.time + 1) for step in first.steps]
    assert numbers_of(first, replace(first, steps=steps)) == [*range(6)]


MONDAY, TUESDAY = "2026-11-23T08:00:00+00:00", "2026-11-24T08:00:00+00:00"


@pytest.mark.parametrize("begin", [0, 5, 10, 50])
def test_a_part_that_began_before_is_refused(begin: int) -> None:
    """The clocks of the parts say their order, whatever the step numbers are."""
    tuesday = part(range(10, 20), "b.jsonl", start=TUESDAY)
    monday = part(range(begin, begin + 5), "a.jsonl", 1 / 3, start=MONDAY)
    message = f"a.jsonl began at {MONDAY[:-6]}.*, before b.jsonl .*: give the parts in the"
    with pytest.raises(ValueError, match=message):
        join_parts([tuesday, monday])
    assert numbers_of(monday, tuesday)


def test_time_zones_are_compared() -> None:
    """Another time zone does not change the order; no time zone says nothing."""
    late, early = "2026-11-23T01:00:00-05:00", "2026-11-23T05:00:00Z"
    first = part(range(4, 8), "x", start=early)
    assert numbers_of(first, part(range(5, 9), "y", start=late)) == [*range(4, 9)]
    with pytest.raises(ValueError, match="x began at"):
        join_parts([part(range(5, 9), "y", start=late), first])
    for unknown in ("", "Monday", "2026-11-20T01:00:00"):
        again = part(range(5, 9), "y", 1 / 3, start=unknown)
        assert numbers_of(first, again) == [*range(4, 9)]


@pytest.mark.parametrize(
    "ranges",
    [
        [(900, 1000, 1), (0, 900, 1)],
        [(900, 1000, 1), (0, 950, 1)],
        [(920, 1000, 20), (20, 920, 20)],
        [(0, 100, 1), (500, 900, 1), (100, 500, 1)],
        [(0, 100, 1), (500, 900, 1), (100, 600, 1), (900, 950, 1)],
    ],
)
def test_a_part_that_fills_the_gap_before_another_is_refused(
    ranges: list[tuple[int, int, int]],
) -> None:
    """Without clocks, the step numbers tell that two parts are in the wrong order."""
    parts = [part(range(*one), f"part{k}", 1 / (k + 2)) for k, one in enumerate(ranges)]
    with pytest.raises(ValueError, match=r"come before those of part\d .*: give the parts"):
        join_parts(parts)
    numbers = numbers_of(*sorted(parts, key=lambda one: next(iter(one.steps)).number))
    assert numbers == sorted({*numbers})


@pytest.mark.parametrize(
    "ranges",
    [
        # From checkpoints: the later parts repeat steps.
        [(0, 100, 1), (60, 90, 1), (30, 50, 1)],
        [(0, 1000, 20), (500, 800, 20), (480, 1200, 20)],
        # Counts that begin anew, with 0 or 1, or after a first part that is lost.
        [(1, 100, 1), (0, 50, 1)],
        [(20, 1000, 20), (20, 500, 20)],
        [(20, 1000, 20), (0, 500, 20)],
        [(900, 1000, 1), (0, 300, 1)],
        # Steps that no part has.
        [(0, 100, 1), (500, 900, 1)],
        [(7, 8, 1), (7, 9, 1)],
    ],
)
def test_parts_that_may_be_right_are_taken(ranges: list[tuple[int, int, int]]) -> None:
    """Overlaps, gaps and counts that begin anew are parts of trainings."""
    parts = [part(range(*one), f"part{k}", 1 / (k + 2)) for k, one in enumerate(ranges)]
    numbers = numbers_of(*parts)
    assert numbers == sorted({*numbers})


def test_a_clock_outweighs_the_numbers() -> None:
    """A part that began later goes on, though its numbers fill a gap."""
    first = part(range(900, 1000), "x", start=MONDAY)
    anew = part(range(950), "y", 1 / 3, start=TUESDAY)
    assert len(numbers_of(first, anew)) == 1050


def test_another_model_is_refused() -> None:
    """If every layer has another size, the names alone are the same."""
    narrow, wide = part(range(3), "x", sizes="7 70"), part(range(3, 6), "y", sizes="9 90")
    with pytest.raises(ValueError, match=r"other sizes \(a: 7 and 9 parameters\): give"):
        join_parts([narrow, wide])
    for sizes in ("7 90", "0 0"):  # a new head; a log of another tool
        assert numbers_of(narrow, part(range(3, 6), "y", sizes=sizes)) == [*range(6)]


def test_a_file_is_no_part_of_itself(save, tmp_path: Path) -> None:
    """The same file is refused, also by another path."""
    path = save([[1.0], [2.0]])
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    for again in (path, link, tmp_path / "." / path.name):
        with pytest.raises(ValueError, match="is given twice; give each part of a run"):
            read_run(path, again)


def test_a_check_warns_of_nothing_twice(save) -> None:
    """A torn line is told when the run is read, not by the checks before."""
    first = save([[1.0], [2.0]], name="first.jsonl")
    second = save([[1 / 3], [2 / 3]], name="second.jsonl")
    first.write_bytes(first.read_bytes()[:-9])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", GradsoundWarning)
        run = read_run(first, second)
        assert not warned
        assert len([*run.steps]) == 3
    assert len(warned) == 1
