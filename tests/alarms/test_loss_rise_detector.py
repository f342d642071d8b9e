"""The loss rise detector: when a loss is high, worth an alarm, lost, and back."""

from __future__ import annotations

import numpy as np
import pytest

from gradsound.alarms.loss_rise_detector import LossRiseDetector
from gradsound.alarms.thresholds import Alarm

WIDE = [1.0, 1.25, 0.75] * 8  # its spread is 0.37, its third largest loss 1.25


def detect(*parts: list[float]) -> list[Alarm]:
    """Returns the alarms of losses."""
    losses = np.array([loss for part in parts for loss in part])
    judged = LossRiseDetector().detect(np.arange(len(losses)), losses)
    return [alarm for _, alarm in judged.alarms]


def test_a_rise_and_its_end_are_told_with_their_losses() -> None:
    """The alarm comes with the third high loss, and ends by the median of eight losses.

    While the alarm holds, nothing else is told. The next rise is an alarm again.
    """
    high, low = [9.0, 8.0, 9.5], [1.0] * 8
    assert detect([1.0] * 8, high, low, [7.0, 7.0, 7.125, 30.0], low) == [
        Alarm("loss", 10, "the loss is 9.5, and was 1", (), persists=True),
        Alarm("recovery", 18, "the loss is back at 1", (), resolves="loss"),
        Alarm("loss", 21, "the loss is 7.125, and was 1", (), persists=True),
        Alarm("recovery", 29, "the loss is back at 1", (), resolves="loss"),
    ]
    assert detect([1.0] * 8, high, [9.0] * 9, [1.0] * 5)[1:] == [
        Alarm("recovery", 24, "the loss is back at 1", (), resolves="loss")
    ]


@pytest.mark.parametrize(("before", "alarms"), [(7, []), (8, [10])])
def test_a_rise_needs_eight_losses_before_it(before: int, alarms: list[int]) -> None:
    """With fewer, the first high loss is taken for usual."""
    assert [a.step for a in detect([1.0] * before, [9.0] * 3, [1.0] * 9)[:1]] == alarms


@pytest.mark.parametrize(
    ("losses", "high", "is_alarm"),
    [
        (WIDE, 3.96, False),  # 8 spreads of 0.37
        (WIDE, 3.97, True),
        ([1.0] * 20 + [2.0] * 3, 2.5, False),  # 1.5 times the third largest
        ([1.0] * 20 + [2.0] * 3, 2.5625, True),
        ([1.0] * 20, 2.0, False),  # twice the loss
        ([1.0] * 20, 2.0625, True),
        ([0.0] * 20 + [1.0, 0.0, 1.0], 1.0, False),  # of 0 or less: the whole range
        ([0.0] * 20 + [1.0, 0.0, 1.0], 1.0625, True),
        ([-3.0] * 20 + [-2.0, -3.0, -2.0], -2.0, False),
        ([-3.0] * 20 + [-2.0, -3.0, -2.0], -1.9375, True),
        ([6.0] * 3 + [2.0] * 69, 3.0, False),  # a quarter of the fall from 6 to 2
        ([6.0] * 3 + [2.0] * 69, 3.03125, True),
    ],
)
def test_a_rise_is_larger_than_the_scatter_and_than_a_share_of_the_loss(
    losses: list[float], high: float, is_alarm: bool
) -> None:
    """Of three losses, all are above each limit; a loss at a limit is none."""
    found = detect(losses, [high] * 3, losses[-12:])

    assert [a.kind for a in found[:1]] == ["loss"] * is_alarm


def test_the_lowest_of_three_high_losses_decides() -> None:
    """Two losses of 9 do not make a rise of one of 1.5 between them."""
    assert not detect([1.0] * 20, [9.0, 1.5, 9.0], [1.0] * 9)


@pytest.mark.parametrize(
    ("noise", "high", "is_alarm"), [(0.4375, 3.5, True), (0.5, 3.5, False)]
)
def test_a_fall_counts_if_it_is_larger_than_eight_changes(
    noise: float, high: float, is_alarm: bool
) -> None:
    """A fall of 4 is not sure among changes of 0.5, so a quarter of it is no rise."""
    losses = [6.0] * 3 + [2.0, 2.0 + noise] * 36

    assert bool(detect(losses, [high] * 3, losses[-12:])) == is_alarm


def lost(start: float, best: float, level: list[float]) -> list[float]:
    """Returns losses that fall from a start, and come to a level before any limit."""
    return [start] * 3 + [best] * 4 + level


@pytest.mark.parametrize(
    ("losses", "high", "is_alarm"),
    [
        (lost(8.0, 0.0, [3.0] * 80), 4.0, False),  # half of the fall from 8 to 0
        (lost(8.0, 0.0, [3.0] * 80), 4.0625, True),
        (lost(8.0, 3.0, [5.5] * 80), 6.0, False),  # twice the best loss
        (lost(8.0, 3.0, [5.5] * 80), 6.0625, True),
        (lost(7.0, 5.0, [6.5] * 80), 7.0, False),  # above the start
        (lost(7.0, 5.0, [6.5] * 80), 7.0625, True),
        (lost(8.0, 0.0, [5.0] * 80), 5.25, True),
        (lost(8.0, 0.0, [5.0] * 80 + [-1.0]), 5.25, False),  # a loss around 0
        (lost(8.0, 0.0, [5.0] * 80 + [0.0]), 5.25, True),
        (lost(8.0, -4.0, [0.0] * 79 + [5.0, -1.0]), 2.5, True),
        (lost(8.0, 0.0, [5.0, 5.5, 4.5] * 30), 5.74, False),  # within the spread
        (lost(8.0, 0.0, [5.0, 5.5, 4.5] * 30), 5.75, True),
    ],
)
def test_a_loss_that_has_lost_its_fall_is_an_alarm(
    losses: list[float], high: float, is_alarm: bool
) -> None:
    """It has lost half of the fall or doubled, or it is above the start."""
    found = detect(losses, [high] * 3, losses[-12:])

    assert [(a.kind, a.step) for a in found[:1]] == [("loss", len(losses) + 2)] * is_alarm


@pytest.mark.parametrize(
    ("losses", "high", "back", "is_over"),
    [
        (WIDE, 9.0, 2.11, True),  # 3 spreads of 0.37 above 1
        (WIDE, 9.0, 2.12, False),
        (WIDE, 5.0, 2.0, True),  # a quarter of the rise
        (WIDE, 5.0, 2.0625, False),
    ],
)
def test_a_rise_ends_near_the_level_before(
    losses: list[float], high: float, back: float, is_over: bool
) -> None:
    """Within three spreads, and within a quarter of the rise."""
    found = detect(losses, [high] * 3, [back] * 20)
    end = Alarm("recovery", 34, f"the loss is back at {back:g}", (), resolves="loss")

    assert found[1:] == [end] * is_over


def test_a_short_peak_is_a_part_of_the_usual() -> None:
    """Two high losses and the one after them are added to the level."""
    detector = LossRiseDetector()
    peak = detector.detect(np.arange(26), np.array([*WIDE, 9.0, 9.0]))
    assert not peak.alarms
    assert (peak.high[-1], detector.level.count, detector.level.highest) == (
        True,
        24,
        1.25,
    )
    after = detector.detect(np.array([26]), np.array([1.0]))
    assert not after.alarms
    assert (after.high[-1], detector.level.count, detector.level.highest) == (
        False,
        27,
        9.0,
    )


def test_losses_that_are_high_but_no_alarm_become_usual_one_by_one() -> None:
    """Of high losses without an alarm, the level lacks the last two only."""
    losses = np.array([3.0] * 20 + [4.0] * 4)
    judged = LossRiseDetector().detect(np.arange(24), losses)

    assert not judged.alarms
    assert judged.counts[19:].tolist() == [20, 20, 20, 21, 22]


def test_what_lasts_64_losses_is_the_usual_for_later_losses() -> None:
    """The level stays that before the rise, until its 65th loss; so it does again."""
    losses = np.array(([1.0] * 8 + [9.0] * 69 + [1.0] * 70) * 2)
    counts = LossRiseDetector().detect(np.arange(len(losses)), losses).counts.tolist()

    assert counts[6:12] == [7, 8, 8, 8, 8, 8]
    assert counts[73:77] == [8, 8, 9, 10]
    assert np.all(np.diff(counts) >= 0)
    begin = len(counts) // 2 + 8
    held = counts[begin + 1]
    assert counts[begin + 65 : begin + 69] == [held, held, held + 1, held + 2]


@pytest.mark.parametrize("size", [1, 7, 40])
def test_losses_may_come_in_any_blocks(size: int) -> None:
    """Losses with peaks, a jump and its end are judged as if they came at once."""
    losses = 2 + 0.1 * np.random.default_rng(0).standard_normal(600)
    losses[[100, 101, 250, 300, 301, 302, 303]] = 9.0
    losses[400:450] += 3.0
    steps, at_once, parts = np.arange(600), LossRiseDetector(), LossRiseDetector()
    expected = at_once.detect(steps, losses)
    found = [
        parts.detect(steps[k : k + size], losses[k : k + size]) for k in range(0, 600, size)
    ]

    assert [a for one in found for _, a in one.alarms] == [a for _, a in expected.alarms]
    for name in ("high", "usual", "medians", "counts"):
        joined = np.concatenate([getattr(one, name) for one in found])
        np.testing.assert_array_equal(joined, getattr(expected, name))
    assert vars(parts.level).keys() == vars(at_once.level).keys()
    assert vars(parts.level) == vars(at_once.level)
