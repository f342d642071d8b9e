"""The collapse detector: how few experts must be in use, and for how long."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from helpers.alarms import detect as detect_run
from helpers.alarms import healthy_norms, steps_of, with_values

import gradsound
from gradsound.alarms.collapse_detector import CollapseDetector
from gradsound.alarms.thresholds import Alarm
from gradsound.runs.step_block import gather_values


def detect(
    *numbers: Sequence[float], size: int = 1000, least: float = 1.5
) -> list[tuple[int, str, str]]:
    """Returns step, kind and text of the alarms of mixtures a, b, ...; step 0 is 100.

    Args:
        numbers: The experts in use of each mixture at each step; NaN where none is logged.
        size: Steps that the detector gets at a time.
        least: The threshold.
    """
    steps = [
        {name: n for name, n in zip("ab", of_step, strict=False) if not np.isnan(n)}
        for of_step in zip(*numbers, strict=True)
    ]
    detector, found = CollapseDetector(least), []
    for begin in range(0, len(steps), size):
        values = gather_values(steps[begin : begin + size])
        block = np.arange(begin, min(begin + size, len(steps))) + 100
        for row, alarm in detector.detect(block, values):
            assert alarm.step == block[row]
            assert alarm.persists == (alarm.kind == "collapsed")
            found.append((alarm.step - 100, alarm.kind, alarm.text))
    return found


def test_a_mixture_that_never_used_more_than_one_expert() -> None:
    """It is told at the 32nd number, once."""
    assert detect([1.0] * 200) == [(31, "collapsed", "collapsed: a at 1, highest 1")]
    assert detect([1.0] * 31) == []


def test_a_mixture_that_loses_half_of_its_experts_and_has_them_again() -> None:
    """The median of 16 is the first under 4 at the 9th number that is. 4.8 ends it."""
    assert detect([8.0] * 50 + [3.9] * 50 + [4.7] * 50 + [5.0] * 50) == [
        (58, "collapsed", "collapsed: a at 3.9, highest 8"),
        (157, "recovery", "no longer collapsed: a at 4.85"),
    ]


@pytest.mark.parametrize(
    ("numbers", "is_alarm"),
    [
        ([1.51] * 100, False),
        ([1.49] * 100, True),
        ([0.9] * 100, False),  # a share of experts, as other tools log it
        ([8.0] * 50 + [4.1] * 50, False),
        ([2.9] * 50 + [1.49] * 50, True),  # a pair: half of it is under the least
        ([1.0] * 22 + [2.0] * 100, False),  # it grows: 16 numbers of 32 have seen more
        ([1.0] * 26 + [2.0] * 100, True),
        ([8.0] * 50 + ([1.0] * 8 + [8.0] * 8) * 9, False),  # every other batch or so
        ([8.0] * 50 + [1.0] * 8 + [8.0] * 50, False),
        ([64.0] * 7 + [20.0] * 100, False),  # a few at the start are no level
        (np.linspace(1.2, 5.8, 100).tolist(), False),
    ],
)
def test_what_is_a_collapse(numbers: list[float], is_alarm: bool) -> None:
    """Under 1.5, or half of the highest level, in the median of 16."""
    assert bool(detect(numbers)) == is_alarm


def test_what_is_not_finite_counts_not() -> None:
    """A step that chose no expert has NaN; infinity is no number of experts."""
    numbers = np.ones(100)
    numbers[::2] = np.inf
    assert [step for step, *_ in detect(numbers.tolist())] == [63]
    assert detect([np.nan] * 100) == []


def test_mixtures_of_several_layers_are_one_condition() -> None:
    """Those of one step are one alarm; the last one that recovers ends it."""
    a = [8.0] * 50 + [1.0] * 50 + [8.0] * 100
    b = [6.0] * 50 + [1.0] * 90 + [8.0] * 60
    later = [6.0] * 70 + [1.0] * 70 + [8.0] * 60

    assert [(step, kind) for step, kind, _ in detect(a, b)] == [
        (58, "collapsed"),
        (147, "recovery"),
    ]
    assert detect(a, b)[0][2] == "collapsed: a at 1, highest 8 (and 1 more)"
    assert [(step, kind) for step, kind, _ in detect(a, later)] == [
        (58, "collapsed"),
        (78, "collapsed"),
        (147, "recovery"),
    ]


def test_it_does_not_matter_how_many_steps_come_at_a_time() -> None:
    """Also where some steps have no number."""
    rng = np.random.default_rng(0)
    level = np.repeat(rng.uniform(1, 8, 20), 30)
    numbers = [np.clip(level + rng.normal(0, 1, 600), 1, 8) for _ in range(2)]
    for one in numbers:
        one[rng.random(600) < 0.2] = np.nan
    whole = detect(*numbers)

    assert len(whole) >= 4
    assert all(detect(*numbers, size=size) == whole for size in (1, 7, 100))


def test_the_limit_is_a_threshold() -> None:
    """Of a router that gives each token two experts, two in use are a collapse."""
    run = with_values(steps_of(healthy_norms(50)), experts=[2.0] * 50)
    limits = gradsound.Thresholds(collapsed=3.0)

    assert "collapsed" not in {alarm.kind for alarm in detect_run(run)}
    text = "collapsed: experts at 2, highest 2"
    found = [alarm for alarm in detect_run(run, limits) if alarm.kind == "collapsed"]
    assert found == [Alarm("collapsed", 31, text, persists=True)]
