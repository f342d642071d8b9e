"""Parts: several runs of one training are one run, in the order of the parts."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import make_run

from gradsound import Run, read_run
from gradsound.runs.joined_parts import join_parts


def part(numbers: range, norm: float, name: str = "part", begin: float = 0.5) -> Run:
    """Returns a part with one layer; its times count from its own start."""
    run = make_run([[norm]] * len(numbers), layers=("a",))
    steps = [
        replace(step, number=number, time=begin + k / 4)
        for k, (step, number) in enumerate(zip(run.steps, numbers))
    ]
    return replace(run, steps=steps, name=name)


def numbers_and_norms(run: Run) -> list[tuple[int, float]]:
    return [(step.number, float(step.norms[0])) for step in run.steps]


def test_one_part_is_the_run_itself() -> None:
    """A run alone stays as it is."""
    run = part(range(3), 1.0)

    assert join_parts([run]) is run


def test_parts_follow_each_other() -> None:
    """The joined run has the steps of all parts, repeatedly, and goes on in time."""
    run = join_parts([part(range(4), 1.0, "x"), part(range(4, 6), 2.0, "y")])

    for _ in range(2):
        expected = [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0), (5, 2.0)]
        assert numbers_and_norms(run) == expected
    times = [step.time for step in run.steps]
    np.testing.assert_allclose(times, 0.5 + np.arange(6) / 4, rtol=1e-9)
    assert run.name == "x + y"


def test_later_parts_win() -> None:
    """Steps from the first one of any later part on are gone from the parts before."""
    parts = [part(range(10), 1.0), part(range(6, 9), 2.0), part(range(3, 5), 3.0)]

    assert numbers_and_norms(join_parts(parts[:2])) == [
        *((k, 1.0) for k in range(6)),
        *((k, 2.0) for k in range(6, 9)),
    ]
    assert numbers_and_norms(join_parts(parts)) == [
        *((k, 1.0) for k in range(3)),
        *((k, 3.0) for k in (3, 4)),
    ]


def test_a_part_that_counts_anew_goes_on() -> None:
    """Parts that each count from the same first step become one ascending run."""
    parts = [part(range(3), 1.0), part(range(3), 2.0), part(range(2, 4), 3.0)]
    steps = [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 3.0), (6, 3.0)]
    assert numbers_and_norms(join_parts(parts)) == steps

    every_tenth = [part(range(10, 40, 10), 1.0), part(range(10, 30, 10), 2.0)]
    numbers = [step.number for step in join_parts(every_tenth).steps]
    assert numbers == [10, 20, 30, 40, 50]


def test_parts_without_steps_change_nothing() -> None:
    """A start that was killed before its first step is a part without steps."""
    parts = [part(range(0), 0.0), part(range(2), 1.0), part(range(0), 0.0)]

    assert numbers_and_norms(join_parts(parts)) == [(0, 1.0), (1, 1.0)]


def test_layers_in_another_order_are_the_same() -> None:
    """Logs of other tools may list layers in another order in each part."""
    first = make_run([[1.0, 2.0]], layers=("a", "b"))
    second = make_run([[4.0, 3.0]], layers=("b", "a"))
    second = replace(second, steps=[replace(s, number=1) for s in second.steps])
    run = join_parts([first, second])

    assert [step.norms.tolist() for step in run.steps] == [[1.0, 2.0], [3.0, 4.0]]


def test_other_layers_are_refused() -> None:
    """The message names both parts, and the layers that only one has."""
    other = replace(make_run([[1.0]], layers=("b",)), name="y.jsonl")
    message = r"y.jsonl cannot go on from x.jsonl, .* \(not in both: a, b\)"
    with pytest.raises(ValueError, match=message):
        join_parts([part(range(1), 1.0, "x.jsonl"), other])


def test_the_count_of_the_last_part_counts() -> None:
    """The joined run knows its count if the parts count on and the last one says it."""
    first, second = part(range(3), 1.0), part(range(3, 5), 1.0)
    counted = replace(second, total_steps=9)

    assert join_parts([first, counted]).total_steps == 9
    assert join_parts([replace(first, total_steps=9), second]).total_steps is None
    assert (
        join_parts([first, replace(part(range(2), 2.0), total_steps=9)]).total_steps is None
    )


def test_files_are_parts(save, tmp_path) -> None:
    """read_run takes the files of a training in order, run files and logs alike."""
    first = save([[1.0], [2.0]], layers=("a",))
    second = tmp_path / "log.csv"
    second.write_text("step,grad_norm/a\n2,3.0\n3,4.0\n")
    run = read_run(first, second)

    assert numbers_and_norms(run) == [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]
    assert run.header.start == read_run(first).header.start
