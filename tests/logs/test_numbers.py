"""Numbers in logs: which JSON values, steps, times and names count."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
from helpers.logs import log_of, wandb_entry, wandb_file

from gradsound import read_run
from gradsound.errors import GradsoundWarning, RunFormatError
from gradsound.logs.log_run import build_run
from gradsound.logs.numbers import parse_number
from gradsound.logs.row import Row
from gradsound.logs.scalars import make_scalars
from gradsound.logs.steps.sorted_steps import SortedSteps


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1 / 3, 1 / 3),
        (-inf, -inf),
        ("NaN", nan),
        ("nan", nan),
        ("Infinity", inf),
        ("+Infinity", inf),
        ("-Infinity", -inf),
        ("inf", inf),
        ("+inf", inf),
        ("-inf", -inf),
        ("1.5", 1.5),
        (" 1e-3 ", 0.001),
        ("1.#INF", inf),
        ("-1.#IND", nan),
        ("-nan(ind)", nan),
        (7, 7.0),
        (10**400, inf),
        (-(10**400), -inf),
        ("", None),
        ("1/2", None),
        ("1.5 s", None),
        ("#", None),
        (True, None),
        (False, None),
        (None, None),
        ([1.0], None),
        ({"a": 1.0}, None),
    ],
)
def test_which_json_values_are_numbers(value: object, number: float | None) -> None:
    """Numbers and texts that are numbers as a whole; booleans and other texts are not."""
    np.testing.assert_equal(parse_number(value), number)


ENTRY = f"""{{"step": 3, "grad_norm": 0.5, "true": true, "false": false, "none": null,
 "text": "seven", "figure": "7.5", "list": [1], "object": {{"a": 1}}, "whole": 7,
 "nan": "NaN", "huge": {"9" * 5000}, "negative": -{"9" * 5000}, "more": 1e999}}"""
VALUES = {
    "figure": 7.5,
    "whole": 7.0,
    "nan": nan,
    "huge": inf,
    "negative": -inf,
    "more": inf,
}


def test_numbers_of_a_trainer_state(tmp_path: Path) -> None:
    """Booleans are no values; a whole number of any length becomes a float or infinity."""
    (tmp_path / "x").write_text(f'[{ENTRY}, 1, "a", [{ENTRY}]]')
    (step,) = read_run(tmp_path / "x").steps

    assert (step.number, step.norms.tolist()) == (3, [0.5])
    np.testing.assert_equal(dict(step.values), {**VALUES, "object/a": 1})


def test_numbers_of_wandb(tmp_path: Path) -> None:
    """The same holds for W&B; its reader skips tables and histograms undecoded."""
    items = {
        "grad_norm": "0.5",
        "true": "true",
        "false": "false",
        "none": "null",
        "text": '"seven"',
        "figure": '"7.5"',
        "list": "[1",
        "object": '{"a"',
        "whole": "7",
        "nan": '"NaN"',
        "huge": "9" * 5000,
        "negative": "-" + "9" * 5000,
        "more": "1e999",
    }
    (tmp_path / "x.wandb").write_bytes(wandb_file([wandb_entry(items, step=3)]))
    (step,) = read_run(tmp_path / "x.wandb").steps

    assert (step.number, step.norms.tolist()) == (3, [0.5])
    np.testing.assert_equal(dict(step.values), VALUES)


def test_steps_of_wandb(tmp_path: Path) -> None:
    """The item "_step" wins over the field of the entry, and a trainer's step over both."""
    first = wandb_entry({"grad_norm": "1"}, step=300)
    second = wandb_entry({"grad_norm": "2", "_step": "301"}, step=7)
    third = wandb_entry({"grad_norm": "3", "_step": "302", "global_step": "400"}, step=8)
    (tmp_path / "x.wandb").write_bytes(wandb_file([first, second, third]))

    assert [step.number for step in read_run(tmp_path / "x.wandb").steps] == [300, 301, 400]


def test_records_of_wandb_that_are_too_long_or_damaged(tmp_path: Path) -> None:
    """A record above 4 MiB is skipped, a damaged one with a warning; others are read."""
    norms = [wandb_entry({"grad_norm": str(step)}, step=step) for step in range(3)]
    table = wandb_entry({"table": "[" + "1" * (1 << 22)}, step=1)
    (tmp_path / "x.wandb").write_bytes(wandb_file([norms[0], table, norms[1], norms[2]]))
    assert [step.number for step in read_run(tmp_path / "x.wandb").steps] == [0, 1, 2]

    (tmp_path / "x.wandb").write_bytes(wandb_file([norms[0], b"\x12\x05abc", norms[2]]))
    with pytest.warns(GradsoundWarning, match="x.wandb: has a damaged record at byte "):
        assert [step.number for step in read_run(tmp_path / "x.wandb").steps] == [0, 2]


def test_an_entry_of_a_state_that_is_too_long(tmp_path: Path) -> None:
    """A JSON value above 4 MiB ends the state, with a warning."""
    entry = {"step": 1, "grad_norm": 1.0}
    long = {"step": 2, "grad_norm": 2.0, "text": "x" * 9_000_000}
    (tmp_path / "x").write_text(json.dumps([entry, long, entry]))
    with pytest.warns(GradsoundWarning, match="after entry 1 of log_history, at character"):
        assert [step.number for step in read_run(tmp_path / "x").steps] == [1]


def test_a_state_without_history(tmp_path: Path) -> None:
    """A state whose history is no list has no values, and is refused."""
    (tmp_path / "x").write_text('{"log_history": 3, "epoch": 1.0}')
    with pytest.raises(RunFormatError, match=r"x: no number could be read$"):
        read_run(tmp_path / "x")


def run_steps(*rows: Row) -> list[int]:
    """Returns the step numbers of the run of some rows."""
    run = build_run("made", log_of(rows), ["norm"])
    return [step.number for step in run.steps]


@pytest.mark.parametrize("step", [None, -1, 1.5, nan, inf, -inf, 2.0**53 + 2])
def test_other_steps_are_left_out(step: float | None) -> None:
    """A step is a whole number from 0 to 2**53; other rows are counted in the warning."""
    row = Row(step, None, {"norm": 1.0})
    assert run_steps(Row(0, None, {"norm": 1.0}), Row(2.0**53, None, {"norm": 1.0})) == [
        0,
        2**53,
    ]
    with pytest.warns(GradsoundWarning, match="made: 1,000 entries without a whole number"):
        assert run_steps(Row(0.0, None, {"norm": 1.0}), *[row] * 1000) == [0]


def test_steps_without_a_norm_are_no_steps() -> None:
    """Values after the last norm belong to no step."""
    rows = [Row(k, None, {"norm" if k < 3 else "loss": 1.0}) for k in range(5)]

    assert run_steps(*rows) == [0, 1, 2]


def test_repeated_values_cause_no_warning_in_a_log_with_steps() -> None:
    """A resumed training logs steps twice; only a log with a single step is suspicious."""
    rows = [Row(k, None, {"norm": 1.0}) for k in (0, 1, 1, 0)]

    assert run_steps(*rows) == [0, 1]
    assert run_steps(Row(3, None, {"norm": 1.0}), Row(3, None, {"loss": 1.0})) == [3]


@pytest.mark.parametrize(
    ("time", "start"),
    [
        (1e9 - 1, ""),
        (1e9, "2001-09-09T01:46:40+00:00"),
        (253402300799.0, "9999-12-31T23:59:59+00:00"),
        (253402300800.0, ""),
        (1e12, ""),
        (-1e12, ""),
        (1e12 + 1, ""),
    ],
)
def test_a_start_is_a_date_since_2001(time: float, start: str) -> None:
    """Other clocks do not count from 1970, so they have no date."""
    rows = [Row(k, time + 2 * k, {"norm": 1.0}) for k in range(2)]
    run = build_run("made", log_of(rows), ["norm"])

    assert run.header.start == start
    assert [step.time for step in run.steps] == [0.0, 2.0 if abs(time + 2) <= 1e12 else 0.0]


def test_an_epoch_that_is_not_finite_is_kept() -> None:
    """Whole epochs count; NaN and infinity have no whole part."""
    epochs = (0.999, -0.5, nan, inf)
    rows = [Row(k, None, {"norm": 1.0, "epoch": epoch}) for k, epoch in enumerate(epochs)]
    run = build_run("made", log_of(rows), ["norm"])

    np.testing.assert_equal([s.values["epoch"] for s in run.steps], [0.0, -1.0, nan, inf])


def test_norms_below_0_are_nan() -> None:
    """No norm is negative, so -infinity is NaN, too."""
    with pytest.warns(GradsoundWarning, match="made: norm is -inf at step 0, read as NaN"):
        run = build_run("made", log_of([Row(0, None, {"norm": -inf})]), ["norm"])
    (step,) = run.steps

    assert np.isnan(step.norms).all()
    assert not step.absent.any()


def test_the_length_of_names_is_bounded() -> None:
    """Values with a name of more than 1,000 characters are left out."""
    log_steps = SortedSteps()
    row = Row(0, None, {"x" * 1000: 1.0, "y" * 1001: 2.0, "z": 3.0})
    log_steps.add(make_scalars([row]))
    log_steps.sort()
    (steps,) = log_steps.read()

    assert log_steps.names == ["x" * 1000, "z"]
    assert (steps.places.tolist(), steps.values.tolist()) == ([0, 1], [1.0, 3.0])


def test_100_000_names_are_allowed() -> None:
    """A log may have as many names as the bound says."""
    log_steps = SortedSteps()
    row = Row(0, None, dict.fromkeys(map(str, range(100_000)), 0.0))
    log_steps.add(make_scalars([row]))
    log_steps.sort()

    assert len(log_steps.names) == 100_000


def test_a_full_disk_is_an_os_error() -> None:
    """The error names the temporary file."""

    def rows() -> Iterator[Row]:
        for step in range(400):  # 5 MB, of which one piece stays in memory
            yield Row(step, None, {f"norm{k}": 1 / 3 for k in range(1000)})

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(
            OSError, match=r"^the temporary file for a log cannot be used: "
        ):
            build_run("made", log_of(rows()), ["norm*"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
