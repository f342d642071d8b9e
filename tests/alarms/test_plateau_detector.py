"""The plateau detector: which slopes are plateaus, when it checks, and what ends one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gradsound.alarms.loss_trend import LossTrend
from gradsound.alarms.plateau_detector import PlateauDetector
from gradsound.alarms.thresholds import Alarm


def detect(losses: Sequence[float] | np.ndarray, first: int = 64) -> list[Alarm]:
    """Returns the alarms of losses, of which the first check has so many."""
    steps, losses = np.arange(len(losses)), np.array(losses, float)
    found = PlateauDetector(first).detect(steps, losses, lambda _: True)
    return [alarm for _, alarm in found]


def losses_of(rise: float, error: float) -> np.ndarray:
    """Returns 24 losses around 1 that have this slope and this standard error."""
    x = np.log2(np.arange(24) + 1)
    x -= x.mean()
    noise = np.resize([1.0, -1.0], 24)
    noise -= noise.mean() + (x @ noise) / (x @ x) * x
    noise *= error * ((x @ x) * 22 / (noise @ noise)) ** 0.5
    return 1 + rise * x + noise


def test_a_plateau_and_its_end_are_told_with_their_losses() -> None:
    """A new plateau is told after one and a half times the losses at its end, once.

    The mean of the last sixteen losses decides about the end.
    """
    losses = [5.5] * 1000 + [5.0] * 2000

    assert detect(losses) == [
        Alarm("plateau", 63, "plateau: the loss stays at 5.5 since step 32", (), True),
        Alarm("recovery", 1003, "the loss falls again: 5.375", (), resolves="plateau"),
        Alarm("plateau", 1505, "plateau: the loss stays at 5 since step 1,130", (), True),
    ]


@pytest.mark.parametrize("loss", [0.1, 1 / 3, 5.5, 2.7e-5, -0.7, 1e9])
def test_a_constant_loss_is_a_plateau(loss: float) -> None:
    """The digits that a computer rounds are no fall."""
    assert [(a.kind, a.step) for a in detect([loss] * 100)] == [("plateau", 63)]


@pytest.mark.parametrize(
    ("rise", "error", "is_plateau"),
    [
        (0.0, 0.0099, True),  # two errors below a fall of 2 %
        (0.0, 0.0101, False),
        (-0.01, 0.0024, False),  # a fall of more than four errors is sure
        (-0.01, 0.0026, True),
        (-0.01, 0.0049, True),
        (-0.01, 0.0051, False),
        (0.05, 0.0049, True),  # two errors below a rise of 6 %
        (0.05, 0.0051, False),
        (0.059, 1e-4, True),
        (0.061, 1e-4, False),
    ],
)
def test_a_plateau_is_flat_for_sure(rise: float, error: float, is_plateau: bool) -> None:
    """A doubling of the steps changes the loss by -2 % to 6 %, and no fall is sure."""
    losses = losses_of(rise, error)
    trend = LossTrend()
    trend.add(np.arange(len(losses)), losses)
    slope = trend.slope(1.0)

    assert (slope.rise, slope.error) == pytest.approx((rise, error))
    assert bool(detect(losses, 24)) == is_plateau
    assert bool(detect(1e-3 * losses, 24)) == is_plateau


def test_a_plateau_of_the_last_quarter_is_one() -> None:
    """Where the second half still falls, its second half may be flat."""
    losses = np.r_[np.geomspace(8, 2, 90), np.full(30, 2.0)]
    text = "plateau: the loss stays at 2 since step 90"

    assert detect(losses, 120) == [Alarm("plateau", 119, text, (), persists=True)]


@pytest.mark.parametrize(
    ("first", "begin", "alarm"),
    [(1, 0, 23), (64, 0, 63), (64, 64, 66), (64, 67, 69), (64, 70, 72), (4, 5, 23)],
)
def test_checks_are_five_percent_of_the_losses_apart(
    first: int, begin: int, alarm: int
) -> None:
    """After 64 losses come 67, 70 and 73; the first check has 24 losses or more."""
    detector = PlateauDetector(first)
    steps, losses = np.arange(100), np.full(100, 5.5)
    found = detector.detect(steps, losses, lambda k: k >= begin)

    assert [(k, one.step) for k, one in found] == [(alarm, alarm)]


@pytest.mark.parametrize(("loss", "end"), [(49.0, []), (48.9375, [216])])
def test_a_plateau_ends_two_percent_below_its_level(loss: float, end: list[int]) -> None:
    """The level is 50, so the mean of the last sixteen losses is below 49."""
    found = detect([50.0] * 201 + [loss] * 100)

    assert [a.step for a in found[1:]] == end


def test_the_end_of_a_noisy_plateau_is_sure() -> None:
    """Its mean falls by two errors of its slope, where these are more than 2 %."""
    noisy = losses_of(0.02, 0.0195)
    found = [detect([*noisy, *[loss] * 30], 24) for loss in (0.965, 0.957)]

    assert [[a.kind for a in alarms] for alarms in found] == [
        ["plateau"],
        ["plateau", "recovery"],
    ]
