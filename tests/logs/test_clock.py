"""The clock of a table: which column it is, and its times in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradsound.logs.clock import Clock
from gradsound.open_run import open_run


@pytest.mark.parametrize(
    ("name", "cells", "seconds"),
    [
        ("time_s", ["0", "30", "65.5"], [0, 30, 65.5]),
        ("elapsed_seconds", ["1", "2"], [1, 2]),
        ("total_time_s", ["1", "2"], [1, 2]),
        ("wall_clock_time_(s)", ["1", "2"], [1, 2]),
        ("wallclock_ms", ["1500", "2500"], [1.5, 2.5]),
        ("time_elapsed_min", ["0.5", "2"], [30, 120]),
        ("runtime_hours", ["0.5", "2"], [1800, 7200]),
        ("time", ["1", "2"], [1, 2]),
        ("step_time_s", ["106.5", "105.5", "107"], [106.5, 212, 319]),
        ("time_per_step", ["0.5", "0.25"], [0.5, 0.75]),
        ("iter_time_ms", ["500", "250"], [0.5, 0.75]),
        ("sec_per_step", ["0.5", "0.25"], [0.5, 0.75]),
        ("batch_duration", ["2", "2"], [2, 4]),
    ],
)
def test_a_column_of_times_or_durations_is_a_clock(
    name: str, cells: list[str], seconds: list[float]
) -> None:
    """Durations add up; the unit in a name is that of its numbers."""
    clock = Clock(["step", "loss", name])

    assert clock.column == 2
    assert clock.read_cells(cells).tolist() == pytest.approx(seconds)


@pytest.mark.parametrize(
    "name",
    ["timesteps", "time_weight", "steps_per_second", "loss_time", "lifetime", "times"],
)
def test_other_columns_are_no_clock(name: str) -> None:
    """Their names only resemble those of clocks."""
    assert Clock(["step", name]).column is None


def test_a_time_since_the_start_wins_over_durations() -> None:
    """Of two clocks, the one whose times need no sum."""
    assert Clock(["step_time", "time_s", "step"]).column == 1
    assert Clock(["step_time", "time_s", "timestamp"]).column == 2


@pytest.mark.parametrize("cell", ["", "nan", "inf", "soon"])
def test_a_cell_without_a_time_is_unknown(cell: str) -> None:
    """The next duration continues the sum."""
    clock = Clock(["step_time_s"])
    times = clock.read_cells(["2", cell, "3"])

    np.testing.assert_array_equal(times, [2, np.nan, 5])
    assert clock.read_cells(["1"]).tolist() == [6]


def test_the_clock_of_a_table_is_the_time_of_its_steps(tmp_path: Path) -> None:
    """The first step has time 0, and the column is no value."""
    path = tmp_path / "log.csv"
    path.write_text("step,grad_norm,loss,time_s\n0,1,2,10\n10,1,2,40\n20,1,2,75\n")
    steps = [*open_run(path).steps]

    assert [step.time for step in steps] == [0, 30, 65]
    assert [*steps[0].values] == ["loss"]
