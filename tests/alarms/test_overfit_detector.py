"""The overfit detector: how long and how far an evaluation loss must rise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from gradsound.alarms.overfit_detector import OverfitDetector
from gradsound.alarms.thresholds import Alarm

RISING = [1 + k / 100 for k in range(1, 13)]
SMALL = [100 + k / 8 for k in range(1, 11)]


def detect(evaluations: Sequence[float], losses: Sequence[float] = ()) -> list[Alarm]:
    """Returns the alarms of evaluations 1,000 steps apart; the training loss falls."""
    detector = OverfitDetector()
    falling = losses or 3 - np.arange(len(evaluations)) / 1000
    return [
        alarm
        for k, (evaluation, loss) in enumerate(zip(evaluations, falling, strict=True))
        for alarm in detector.detect(1000 * k, evaluation, float(loss), 10 * k)
    ]


def test_overfitting_and_its_end_are_told_with_their_losses() -> None:
    """The alarm comes once, at the twelfth evaluation after the lowest loss.

    A new lowest loss ends it, and twelve higher evaluations are overfitting again.
    """
    text = "overfitting: the evaluation loss is {}, lowest was {} at step {}"
    again = [0.5 + k / 100 for k in range(1, 13)]

    assert detect([1.5, 1.0, *RISING, 1.2, 1.0, 0.5, 0.5, *again]) == [
        Alarm("overfit", 13_000, text.format(1.12, 1, "1,000"), (), persists=True),
        Alarm(
            "recovery", 16_000, "the evaluation loss falls again: 0.5", (), False, "overfit"
        ),
        Alarm("overfit", 28_000, text.format(0.61, 0.5, "16,000"), (), persists=True),
    ]


def test_eleven_evaluations_are_too_few() -> None:
    """Each lowest loss begins the count anew."""
    assert not detect([1.0, *RISING[:11]])
    assert not detect([1.0, *RISING[:11], 0.9, *RISING[:11]])


def to(last: float) -> list[float]:
    """Returns evaluations of which twelve rise to a loss; the last is a little higher."""
    return [1.0, *np.linspace(1.001, last, 11).tolist(), last + 1e-4]


def turned(first: Sequence[int]) -> list[float]:
    """Returns RISING, but begun with these of its losses, counted from 0."""
    rest = [loss for k, loss in enumerate(RISING) if k not in first]
    return [1.0, *(RISING[k] for k in first), *rest]


@pytest.mark.parametrize(
    ("evaluations", "is_alarm"),
    [
        (to(1.0299), False),  # a rise of 3 %
        (to(1.0301), True),
        ([-2.0, *(loss - 3 for loss in to(1.0599)[1:])], False),  # of its size
        ([-2.0, *(loss - 3 for loss in to(1.0601)[1:])], True),
        ([1.0, 1.5, *to(1.399)[1:]], False),  # four fifths of the highest rise
        ([1.0, 1.5, *to(1.401)[1:]], True),
        ([100, *SMALL, 103, 103.5], False),  # 3 % and four fifths to the digit
        ([100, *SMALL, 103.0625, 103.5], True),
        ([100, 105, *SMALL, 104, 104.5], False),
        ([100, 105, *SMALL, 104.0625, 104.5], True),
        (turned([8, 7, 0]), True),  # 15 of 66 pairs fall
        (turned([8, 7, 1]), True),  # 16
        (turned([8, 7, 2]), False),  # 17
        ([1.0, *[1.1] * 8, *RISING[:4]], False),
        ([1.0, *[1.1] * 8, 1.11, 1.12, 1.13, 1.14], True),  # 28 pairs are equal
        ([1.0, *[1.1] * 9, 1.11, 1.12, 1.13], False),  # 36
        ([1.0, *[1.1] * 8, *[1.12] * 3, 1.13], True),  # 31
        ([1.0, *[1.1] * 8, *[1.12] * 4], False),  # 34
        ([1.0, *[1.1] * 8, 1.12, 1.12, 1.13, 1.12], False),  # 31, and one falls
    ],
)
def test_overfitting_is_a_clear_rise(evaluations: list[float], is_alarm: bool) -> None:
    """By more than 3 %, to nearly the highest loss, in more than half of all pairs.

    The median of the last three evaluations decides about the rise.
    """
    assert bool(detect(evaluations)) == is_alarm


@pytest.mark.parametrize(("loss", "is_alarm"), [(0.75, True), (1.0, False), (1.25, False)])
def test_only_a_training_loss_that_falls_can_overfit(loss: float, is_alarm: bool) -> None:
    """It is lower than at the lowest evaluation loss."""
    assert bool(detect([1.0, *RISING], [1.0, *[loss] * 12])) == is_alarm


def test_a_bump_is_forgotten_after_48_evaluations() -> None:
    """A rise to 1.3 is small beside one to 3, until that is the 49th from the end."""
    evaluations = [1.0, 3.0, *np.linspace(1.1, 1.3, 60).tolist()]

    assert [a.step for a in detect(evaluations)] == [49_000]


@pytest.mark.parametrize(
    ("evaluations", "count", "is_falling"),
    [
        ({}, 1, False),
        ({1: 1.0}, 1, True),
        ({10: 1.0}, 100, False),
        ({10: 2.0, 20: 1.9902}, 19, True),
        ({10: 2.0, 20: 1.9902}, 20, False),  # a fall of half a percent
        ({10: 2.0, 20: 1.9898}, 20, True),
        ({10: -2.0, 20: -2.0098}, 20, False),
        ({10: -2.0, 20: -2.0102}, 20, True),
        ({10: 0.0, 20: 0.0}, 39, False),
        ({10: 1.0, 20: 0.9}, 39, True),
        ({10: 1.0, 20: 0.9}, 40, False),
        ({10: 1.0, 20: 0.9, 30: 0.998}, 39, False),
    ],
)
def test_an_evaluation_loss_falls_in_the_second_half_of_the_losses(
    evaluations: dict[int, float], count: int, is_falling: bool
) -> None:
    """The last one is lower than the lowest of the first half, if there is one."""
    detector = OverfitDetector()
    for losses, evaluation in evaluations.items():
        assert not list(detector.detect(losses, evaluation, 1.0, losses))

    assert detector.is_falling(count) == is_falling
