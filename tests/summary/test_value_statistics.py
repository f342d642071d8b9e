"""Statistics of values: first, last, lowest, highest; which value is an evaluation loss."""

from __future__ import annotations

from dataclasses import asdict, replace
from math import inf, nan

from helpers.runs import make_run

from gradsound.runs.step_stream import make_blocks
from gradsound.summary.value_statistics import ValueStatistics


def statistics_of(losses: list[float | None]) -> ValueStatistics:
    """Returns the statistics of a run with these losses; None for none."""
    statistics = ValueStatistics()
    (step,) = make_run([[1.0]]).steps
    steps = [
        replace(step, number=number, values={} if loss is None else {"loss": loss})
        for number, loss in enumerate(losses)
    ]
    for block in make_blocks(steps, 2):
        statistics.add(block)
    return statistics


def test_numbers_of_a_value() -> None:
    """Lowest and highest are finite; the last number may be NaN; gaps do not count."""
    ranges = statistics_of([None, 4.0, 1.0, inf, 9.0, None, 1.0, nan]).ranges
    loss = asdict(ranges["loss"])

    assert str(loss.pop("last")) == "nan"
    assert loss == {
        "name": "loss",
        "count": 6,
        "nonfinite": 2,
        "first": 4.0,
        "lowest": 1.0,
        "highest": 9.0,
        "lowest_step": 2,
        "highest_step": 4,
    }


def test_a_value_that_is_never_finite() -> None:
    """It has neither a lowest nor a highest number."""
    loss = statistics_of([nan, inf]).ranges["loss"]
    assert (loss.lowest_step, loss.highest_step) == (None, None)
    assert str(loss.lowest) == "nan"
