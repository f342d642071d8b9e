"""The run in a log that still grows: when a step is complete, and which times it has."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gradsound.errors import GradsoundWarning, RunFormatError
from gradsound.logs.growing_log import GrowingLog
from gradsound.logs.log import Log
from gradsound.logs.row import Row
from gradsound.logs.scalars import Scalars, make_scalars
from gradsound.runs.step import Step

QUIET = 0.35  # seconds, after which a step that has all norms is complete


def log_of(batches: list[list[Row] | float]) -> Log:
    """Returns a log that gets a batch of rows at each wait, or only waits."""

    def read(_: object, wait_for_more: Callable) -> Iterator[Scalars | None]:
        for batch in batches:
            if isinstance(batch, float):
                time.sleep(batch)
            else:
                yield make_scalars(batch)
            yield None
            wait_for_more()

    return Log(Path("made"), read, "made", Path("made"))


def follow(batches: list, globs: list[str] | None = None, waits: list | None = None):
    """Returns the run of such a log."""
    waits = [] if waits is None else waits
    return GrowingLog("log", log_of(batches), globs, lambda: True, waits.append).run()


def row(step: int, time: float | None = None, **values: float) -> Row:
    """Returns a row; names have their slashes as two underscores."""
    return Row(step, time, {k.replace("__", "/"): v for k, v in values.items()})


def numbers_of(steps: list[Step]) -> list[int]:
    return [step.number for step in steps]


def test_a_step_is_complete_when_a_later_one_is_logged() -> None:
    """Norms and values that are logged one after another are one step."""
    batches = [
        [row(1, grad_norm__a=1.0, grad_norm__b=2.0), row(2, grad_norm__a=3.0)],
        [row(2, grad_norm__b=4.0), row(2, loss=0.5), row(3, grad_norm__a=5.0)],
        [row(3, grad_norm__b=6.0)],
    ]
    run = follow(batches)
    steps = [*run.steps]

    assert run.header.layers == ("a", "b")
    assert numbers_of(steps) == [1, 2, 3]
    assert [step.norms.tolist() for step in steps] == [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    assert [step.values for step in steps] == [{}, {"loss": 0.5}, {}]


def test_the_newest_step_comes_when_nothing_was_logged_for_a_while() -> None:
    """A step with as many norms as the last comes after 0.3 s; another waits on."""
    came: list[tuple[int, int]] = []  # number of the step, and of the batches so far
    batches_read = 0

    def count_batches() -> bool:
        nonlocal batches_read
        batches_read += 1
        return True

    batches = [
        [row(1, grad_norm__a=1.0, grad_norm__b=2.0), row(2, grad_norm__a=3.0)],
        [row(2, grad_norm__b=2.0)],
        QUIET,  # step 2 is complete
        [row(3, grad_norm__a=1.0)],
        QUIET,  # step 3 lacks a norm
        [row(4, grad_norm__a=1.0, grad_norm__b=2.0)],
        QUIET,
    ]
    log = GrowingLog("log", log_of(batches), None, count_batches, print)
    came = [(step.number, batches_read) for step in log.run().steps]

    assert came == [(1, 0), (2, 2), (3, 5), (4, 6)]


def test_norms_that_come_late_are_left_out() -> None:
    """A norm of a complete step is not another step; values go to the next step."""
    batches = [
        [row(1, grad_norm=1.0), row(2, grad_norm=2.0)],
        QUIET,
        QUIET,
        [row(2, grad_norm=9.0, loss=0.5), row(3, grad_norm=3.0)],
    ]
    steps = [*follow(batches).steps]

    assert [(step.number, step.norms[0]) for step in steps] == [(1, 1), (2, 2), (3, 3)]
    assert steps[-1].values == {"loss": 0.5}


def test_a_training_that_goes_back_has_its_steps_again() -> None:
    """After a resume from a checkpoint, the numbers of the steps go back."""
    batches = [
        [row(k, grad_norm=1.0) for k in (1, 2, 3)],
        [row(k, grad_norm=2.0) for k in (2, 3, 4)],
    ]

    assert numbers_of([*follow(batches).steps]) == [1, 2, 3, 2, 3, 4]


def test_a_log_without_a_norm_is_waited_for_and_the_reason_said_once() -> None:
    """The run begins with the first norm; until then, one sentence has the names."""
    waits: list[str] = []
    batches = [
        [row(1, loss=1.0)],
        [row(2, loss=1.0)],
        [row(3, loss=1.0, grad_norm=2.0)],
        [row(4, loss=0.5, grad_norm=3.0)],
    ]
    run = follow(batches, waits=waits)

    assert [step.values for step in run.steps] == [{"loss": 1.0}, {"loss": 0.5}]
    assert waits == [
        "log has no norm yet: nothing in it is called as the norm of a gradient is; "
        "there are: loss; say which with --norms GLOB, in Python norms=GLOB"
    ]


def test_a_log_that_ends_without_a_norm_is_refused() -> None:
    """The error is that of a finished log."""
    with pytest.raises(RunFormatError, match="log: nothing in it is called as the norm"):
        follow([[row(1, loss=1.0)]])
    with pytest.raises(RunFormatError, match="log: no number could be read"):
        follow([])


def test_the_first_step_may_come_in_pieces() -> None:
    """The layers are those of the whole first step, even if it comes one by one."""
    batches = [
        [row(1, grad_norm__a=1.0)],
        [row(1, grad_norm__b=2.0)],
        QUIET,
        [row(2, grad_norm__a=1.0, grad_norm__b=2.0)],
    ]

    assert follow(batches).header.layers == ("a", "b")


def test_names_that_come_later() -> None:
    """Values that come later are values; norms of further layers are said once."""
    batches = [
        [row(1, grad_norm__a=1.0), row(2, grad_norm__a=1.0)],
        [row(3, grad_norm__a=1.0, val_loss=3.0, grad_norm__new=2.0)],
        [row(4, grad_norm__a=1.0, grad_norm__new=2.0)],
    ]
    run = follow(batches)
    with pytest.warns(GradsoundWarning, match="grad_norm/new came after"):
        steps = [*run.steps]

    assert [step.values for step in steps] == [{}, {}, {"val_loss": 3.0}, {}]
    assert {len(step.norms) for step in steps} == {1}


def test_steps_have_the_times_of_the_log_or_those_when_they_came() -> None:
    """Without a clock, steps that come together are spread over the time since."""
    clocked = [[row(k, 1e9 + 7 * k, grad_norm=1.0) for k in (1, 2, 3)]]
    unclocked = [
        [row(1, grad_norm=1.0), row(2, grad_norm=1.0)],
        0.2,
        [row(k, grad_norm=1.0) for k in (3, 4, 5, 6)],
    ]
    begin = time.monotonic()
    came = [step.time for step in follow(unclocked).steps]
    elapsed = time.monotonic() - begin

    assert [step.time for step in follow(clocked).steps] == [0.0, 7.0, 14.0]
    assert came[:3] == [0.0, 0.0, 0.0]
    assert 0.1 < came[-1] < elapsed
    assert np.allclose(np.diff(came[2:]), came[-1] / 3)
