"""The pause detector reports stalls and a lower throughput, and no regular pauses."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.alarms import detect, kinds, with_intervals, with_values


def intervals(count: int, seconds: float = 30.0, seed: int = 0) -> np.ndarray:
    """Returns intervals that scatter by 5 %, shape (count,)."""
    return seconds * np.exp(np.random.default_rng(seed).normal(0, 0.05, count))


@pytest.mark.parametrize("pause", [3.0, 10.0])
def test_regular_pauses_are_usual(pause: float) -> None:
    """Every thirteenth step waits for an evaluation, whether its loss is logged or not."""
    seconds = intervals(400)
    seconds[13::13] *= pause
    logged = np.full(400, np.nan)
    logged[13::13] = 1.0

    assert not detect(with_intervals(seconds))
    assert not detect(with_values(with_intervals(seconds), eval_loss=logged))


def test_a_stall_of_long_intervals_is_three_times_the_usual() -> None:
    """Of two successive pauses, the second is an alarm, as is a longer one later."""
    seconds = intervals(300)
    seconds[220], seconds[221], seconds[222] = 110, 184, 614

    assert kinds(with_intervals(seconds)) == [("stall", 221), ("stall", 222)]


def test_a_pause_longer_than_all_evaluations_is_a_stall() -> None:
    """Once two pauses are known, one of more than 1.5 times their duration is an alarm."""
    seconds = intervals(300)
    seconds[20:300:20] = 200
    seconds[250] = 450

    assert kinds(with_intervals(seconds)) == [("stall", 250)]


def test_an_evaluation_that_takes_much_longer_is_a_stall() -> None:
    """The first evaluation is usual; a later one of four times its duration is not."""
    seconds, logged = intervals(200), np.full(200, np.nan)
    seconds[19::20], logged[19::20] = 200, 1.0
    seconds[159] = 800

    assert kinds(with_values(with_intervals(seconds), eval_loss=logged)) == [("stall", 159)]


def test_a_lower_throughput_is_reported_until_it_is_usual_again() -> None:
    """Every second step takes double the time, for 200 steps."""
    seconds = intervals(600)
    seconds[300:500:2] *= 2.2
    alarms = detect(with_intervals(seconds))

    assert [(a.kind, a.resolves) for a in alarms] == [("slow", ""), ("recovery", "slow")]
    assert 330 < alarms[0].step <= 364
    assert 500 < alarms[1].step <= 564
    assert alarms[0].text == "steps take 1.4 x as long as usual"
    assert alarms[0].persists


def test_a_slow_minute_of_a_quick_training_is_usual() -> None:
    """Other processes take the machine for a minute; five minutes are an alarm."""
    seconds = intervals(12_000, 0.1)
    seconds[2000:2300] *= 2
    assert not detect(with_intervals(seconds))

    seconds[4000:8000] *= 2
    assert [kind for kind, _ in kinds(with_intervals(seconds))] == ["slow", "recovery"]


def test_a_log_without_a_clock_has_neither() -> None:
    """All its times are 0."""
    assert not detect(with_intervals(np.zeros(300)))
