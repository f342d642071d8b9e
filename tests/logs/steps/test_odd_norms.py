"""Odd norms: one warning says that a log has numbers that no norm can be."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import inf, nan

import numpy as np
import pytest
from helpers.logs import log_of

from gradsound.errors import GradsoundWarning
from gradsound.logs.log_run import build_run
from gradsound.logs.row import Row

DEEPSPEED = "NaN, because DeepSpeed logs -1 for NaN and infinity"
NEGATIVE = "NaN, because no norm is below 0"
LARGE = "infinity, because norms end at 3.4e+38"


def warnings_of(rows: Sequence[Row], globs: list[str] | None = None) -> list[str]:
    """Returns the warnings when a log is read, and its steps twice."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", GradsoundWarning)
        run = build_run("log.csv", log_of(rows), globs)
        for _ in range(2):
            list(run.steps)
    return [str(warning.message) for warning in warned]


@pytest.mark.parametrize(
    ("norms", "text"),
    [
        ([1.0, -1.0, 2.0], f"grad_norm is -1 at step 20, read as {DEEPSPEED}"),
        (
            [-1.0, -1.0, -2.0],
            f"grad_norm is -1 at step 0 (and 2 more), read as {DEEPSPEED}",
        ),
        ([1.0, 0.0, -2.5], f"grad_norm is -2.5 at step 40, read as {NEGATIVE}"),
        ([1.0, -inf, 2.5], f"grad_norm is -inf at step 20, read as {NEGATIVE}"),
        ([1e300, 1.0, 2e38], f"grad_norm is 1e+300 at step 0, read as {LARGE}"),
        ([4e38, 1e39, 1.0], f"grad_norm is 4e+38 at step 0 (and 1 more), read as {LARGE}"),
    ],
)
def test_one_warning_names_the_step_the_number_and_the_reading(
    norms: list[float], text: str
) -> None:
    """The NaN or infinity comes from the log, not from the training."""
    rows = [Row(20 * k, None, {"grad_norm": norm}) for k, norm in enumerate(norms)]
    (warning,) = warnings_of(rows)

    assert warning.startswith(f"log.csv: {text}")


def test_numbers_of_both_kinds_are_one_warning() -> None:
    """The first of each kind, in the order of the steps, with the name in the log."""
    rows = [Row(k, None, {"grad_norm/a": 1e40, "grad_norm/b": -3.0}) for k in (9, 2000)]
    (warning,) = warnings_of(rows)

    first, second = warning.split("; ")
    assert first.startswith("log.csv: grad_norm/a is 1e+40 at step 9 (and 1 more), read as")
    assert second.startswith("grad_norm/b is -3 at step 9 (and 1 more), read as NaN")


@pytest.mark.parametrize(
    "values",
    [
        {"grad_norm": nan},
        {"grad_norm": inf},
        {"grad_norm": float(np.finfo(np.float32).max)},
        {"grad_norm": 0.0, "loss": -1.0, "reward": 1e300},
    ],
)
def test_other_numbers_are_what_they_are(values: dict[str, float]) -> None:
    """NaN and infinity are logged as such, and a value may be any number."""
    assert warnings_of([Row(1, None, values)]) == []


def test_other_values_are_not_counted() -> None:
    """A negative loss before a negative norm is no part of the warning."""
    rows = [
        Row(step, None, {"loss": -3.0, "grad_norm": norm})
        for step, norm in enumerate((1.0, -2.0, 1.0))
    ]
    (warning,) = warnings_of(rows)
    assert warning.startswith("log.csv: grad_norm is -2 at step 1, read as NaN")


def test_a_number_that_a_later_entry_replaces_is_none() -> None:
    """The later entry of a step counts, so the run has no odd number."""
    rows = [Row(step, None, {"grad_norm": norm}) for step, norm in ((0, -5.0), (1, 1.0))]
    assert warnings_of([*rows, Row(0, None, {"grad_norm": 2.0})]) == []


def test_damage_and_odd_norms_are_one_warning() -> None:
    """The damage comes first."""
    rows = [Row(None, None, {"grad_norm": 1.0}), Row(1, None, {"grad_norm": -1.0})]
    (warning,) = warnings_of(rows)

    assert warning.startswith("log.csv: 1 entries without a whole number as step, left out")
    assert "; grad_norm is -1 at step 1, read as NaN" in warning


def test_a_glob_chooses_what_is_a_norm() -> None:
    """A value that a user does not choose is no norm, so it may be negative."""
    rows = [Row(1, None, {"grad_norm": -1.0, "mine": 1.0})]
    assert warnings_of(rows, ["mine"]) == []
    assert len(warnings_of(rows, ["grad*"])) == 1
