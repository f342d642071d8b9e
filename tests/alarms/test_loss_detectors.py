"""The detectors of the loss: not finite, risen, on a plateau, overfitting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.alarms import detect, kinds, with_losses

from gradsound.alarms.loss_detector import LossDetector
from gradsound.alarms.thresholds import Alarm
from gradsound.runs.step_block import gather_values


def noise(count: int, deviation: float, seed: int = 0) -> np.ndarray:
    """Returns normal noise, shape (count,)."""
    return np.random.default_rng(seed).normal(0, deviation, count)


def power_law(count: int) -> np.ndarray:
    """Returns a loss that falls as losses do: by less for each doubling."""
    return 0.5 + 5 * np.arange(1, count + 1) ** -0.25


def every(count: int, interval: int, evaluations: np.ndarray) -> np.ndarray:
    """Returns evaluation losses at regular steps, NaN at all others, shape (count,)."""
    losses = np.full(count, np.nan)
    losses[interval - 1 :: interval] = evaluations
    return losses


FALLING = power_law(600)


@pytest.mark.parametrize(
    "losses",
    [
        FALLING + noise(600, 0.05),
        FALLING * np.exp(noise(600, 0.3)),
        noise(600, 1e-3),
        np.zeros(600),
        -2 * np.log(np.arange(1, 601)) + noise(600, 0.1),
        0.01 * np.exp(noise(600, 1.5)),
        1 + 0.1 * np.random.default_rng(0).standard_t(2, 600),
    ],
    ids=["additive", "multiplicative", "around 0", "0", "negative", "heavy", "outliers"],
)
def test_healthy_losses_have_no_alarm(losses: np.ndarray) -> None:
    """Neither noise of any kind, nor losses of 0 or below, are alarms."""
    assert not detect(with_losses(losses))


@pytest.mark.parametrize(
    ("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")]
)
def test_a_loss_that_is_not_finite_is_reported_once(value: float, word: str) -> None:
    """The alarm ends after three successive finite losses, and may come again."""
    losses = FALLING[:80].copy()
    losses[[60, 63, 64, 70]] = value
    found = [
        Alarm("nonfinite", 60, f"the loss is {word}", (), persists=True),
        Alarm("recovery", 67, "the loss is finite again: 2.241", (), False, "nonfinite"),
        Alarm("nonfinite", 70, f"the loss is {word}", (), persists=True),
        Alarm("recovery", 73, "the loss is finite again: 2.205", (), False, "nonfinite"),
    ]

    assert detect(with_losses(losses)) == found


def test_the_loss_says_whether_a_spike_harms() -> None:
    """It is worse at the second high loss and if it is not finite, else usual or not.

    The level is that of losses of 1 and 1.5, of which the third largest is usual.
    """
    losses = [None, *[1.0, 1.5] * 8, 1.5, 1.5625, 1.0, 9.0, 9.0, None, 9.0, 1.0]
    losses += [np.nan, 1.0, np.inf, 1.0]
    usual, high, worse = "U", "H", "HW"
    expected = [
        *[usual, high, usual, high, worse, worse, worse],
        *[usual, worse, usual, worse, usual],
    ]

    assert levels_of(losses, len(losses))[0] == ""
    assert levels_of(losses, len(losses))[17:] == expected
    assert levels_of(losses, 1)[17:] == expected


def levels_of(losses: list[float | None], size: int) -> list[str]:
    """Returns for each step H if its loss is high, W if worse, U if usual.

    Args:
        losses: The loss of each step, None without one.
        size: How many steps the detector gets at once.
    """
    detector, states = LossDetector(64), []
    for begin in range(0, len(losses), size):
        part = losses[begin : begin + size]
        values = [{} if loss is None else {"loss": loss} for loss in part]
        numbers = np.arange(begin, begin + len(part))
        _, levels = detector.detect(numbers, gather_values(values))
        flags = zip(levels.high.tolist(), levels.worse.tolist(), levels.usual.tolist())
        states += ["H" * high + "W" * worse + "U" * usual for high, worse, usual in flags]
    return states


def alarms_of(detector: LossDetector, *steps: dict[str, float]) -> list[Alarm]:
    """Returns the alarms of steps 0, 1 ... with these losses and rates."""
    found, _ = detector.detect(np.arange(len(steps)), gather_values(steps))
    return [alarm for _, alarm in found]


def plateau_steps(rates: list[float]) -> list[int]:
    """Returns the steps of the plateaus of a constant loss under these learning rates."""
    steps = [{"loss": 5.5, "lr": rate} for rate in rates]
    alarms = alarms_of(LossDetector(24), *steps)
    return [alarm.step for alarm in alarms if alarm.kind == "plateau"]


def test_the_rate_says_where_a_plateau_means_something() -> None:
    """It may begin from a twentieth of the highest rate on.

    A warm-up takes twice the losses up to the highest rate.
    """
    assert plateau_steps([1.0] * 40) == [23]
    assert plateau_steps([1.0] * 10 + [0.05] * 30) == [23]
    assert plateau_steps([1.0] * 10 + [0.0499] * 30) == []
    assert plateau_steps([k / 100 for k in range(19)] + [0.18] * 40) == [36]
    assert plateau_steps([k / 100 for k in range(20)] + [0.19] * 40) == [38]


def test_a_loss_without_a_rate_may_begin_a_plateau() -> None:
    """The rate of another step says nothing about it."""
    detector, found = LossDetector(24), []
    for step in range(0, 40, 2):
        values = [{"loss": 5.5, "lr": 0.01 if step else 1.0}, {"loss": 5.5}]
        alarms, _ = detector.detect(np.arange(step, step + 2), gather_values(values))
        found += [(alarm.kind, alarm.step) for _, alarm in alarms]

    assert found == [("plateau", 23)]


def test_an_evaluation_loss_that_is_not_finite_does_not_count() -> None:
    """The next finite one is the first, which is no news."""
    steps = [{"loss": 5.5} for _ in range(24)]
    steps[3]["evaluation"] = -np.inf
    (alarm,) = alarms_of(LossDetector(24), *steps)

    assert (alarm.kind, alarm.step) == ("plateau", 23)


def test_evaluations_are_compared_with_the_usual_loss_of_the_training() -> None:
    """Training that falls from 3 to 2 overfits; the text has the step of the evaluation."""
    evaluations = [2.5, *np.linspace(2.6, 2.8, 12)]
    losses = np.repeat(np.linspace(3, 2, 13), 10)
    found = detect(with_losses(losses, eval_loss=every(130, 10, np.array(evaluations))))
    text = "overfitting: the evaluation loss is 2.8, lowest was 2.5 at step 9"

    assert found == [Alarm("overfit", 129, text, (), persists=True)]


@pytest.mark.parametrize("first", [40, 100, 400])
@pytest.mark.parametrize("lasts", [20, 100])
def test_a_loss_that_jumps_and_stays_is_an_alarm(first: int, lasts: int) -> None:
    """From 1.0 to 16, told at the third loss; its end within a tenth of its duration."""
    losses = FALLING + noise(600, 0.02)
    losses[first : first + lasts] = 16 + noise(lasts, 0.5)
    alarms = detect(with_losses(losses))
    alarms = [a for a in alarms if "plateau" not in (a.kind, a.resolves)]

    assert [(a.kind, a.resolves) for a in alarms[:2]] == [
        ("loss", ""),
        ("recovery", "loss"),
    ]
    assert alarms[0].step == first + 2
    assert first + lasts <= alarms[1].step <= first + lasts + max(8, lasts / 10)
    assert alarms[0].text.startswith("the loss is 1")


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_high_losses_are_a_hard_batch(count: int) -> None:
    """Fewer than three successive losses are no alarm, however high."""
    losses = FALLING + noise(600, 0.02)
    losses[300 : 300 + count] = 20

    assert not detect(with_losses(losses))


def test_a_small_bump_is_no_alarm() -> None:
    """A loss that rises by two fifths of itself, and falls again, is usual."""
    losses = FALLING + noise(600, 0.02)
    losses[300:360] *= np.linspace(1.4, 1, 60)

    assert not detect(with_losses(losses))


def test_a_loss_that_rises_for_good_is_an_alarm() -> None:
    """It grows to three times its lowest level within 400 steps."""
    losses = np.concatenate([FALLING[:300], FALLING[300] * np.geomspace(1, 3, 400)])
    found = kinds(with_losses(losses + noise(700, 0.02)))

    assert found
    assert found[0][0] == "loss"
    assert found[0][1] < 600


def test_a_loss_above_its_start_is_an_alarm_early() -> None:
    """After twelve losses that fall, three above the first are enough."""
    losses = [32.0, 32.5, 30.3, 22.0, 7.7, 9.0, 8.7, 7.3, 8.7, 11.1, 9.7, 7.0, 7.1]
    found = kinds(with_losses([*losses, 33.0, 34.0, 36.0, 33.5, 34.5]))

    assert found == [("loss", 15)]


@pytest.mark.parametrize("seed", range(3))
def test_a_sure_fall_is_no_plateau(seed: int) -> None:
    """A fall of 0.025 in 1,000 losses, with a standard error of 0.002, is a fall.

    The log begins at step 10,000 of the training, where GPT-2 falls so slowly.
    """
    losses = 3.3 - 0.025e-3 * np.arange(3000) + noise(3000, 0.018, seed)
    steps = [replace(s, number=10_000 + s.number) for s in with_losses(losses)]

    assert not detect(steps)


def test_a_plateau_is_reported_once_and_ends_with_the_fall() -> None:
    """A loss that stays at 5.5 from the 30th step on is reported by the 110th."""
    losses = np.concatenate([5.5 + np.geomspace(20, 0.001, 30), np.full(270, 5.5)])
    losses = np.concatenate([losses, 5.5 * np.geomspace(1, 0.6, 100)]) + noise(400, 0.03)
    alarms = detect(with_losses(losses))

    assert [(a.kind, a.resolves) for a in alarms] == [
        ("plateau", ""),
        ("recovery", "plateau"),
    ]
    assert 60 <= alarms[0].step <= 110
    assert 300 < alarms[1].step <= 330
    assert alarms[0].text.startswith("plateau: the loss stays at 5.5")


def test_a_loss_that_never_falls_is_a_plateau() -> None:
    """A classifier of ten classes that learns nothing stays at log 10."""
    assert ("plateau", 63) in kinds(with_losses(np.log(10) + noise(200, 0.02)))


def test_an_uncertain_loss_is_no_plateau() -> None:
    """Noise of a fifth of the loss hides what 300 losses do."""
    assert not detect(with_losses(0.27 + noise(300, 0.05)))


def test_the_end_of_a_schedule_is_no_plateau() -> None:
    """Below a twentieth of the highest learning rate, the loss stays by design."""
    losses = np.concatenate([power_law(300), np.full(700, power_law(300)[-1])])
    losses += noise(1000, 0.01)
    rates = np.concatenate([np.ones(300), np.full(700, 0.01)])

    assert "plateau" in dict(kinds(with_losses(losses)))
    assert "plateau" not in dict(kinds(with_losses(losses, lr=rates)))


def test_an_evaluation_loss_that_falls_is_no_plateau() -> None:
    """The loss of the training hardly falls, but its evaluation does."""
    losses = 2.7 + noise(1000, 0.02)
    falling = every(1000, 50, np.linspace(2.8, 2.5, 20))
    rising = every(1000, 50, np.linspace(2.8, 2.9, 20))

    assert "plateau" not in dict(kinds(with_losses(losses, eval_loss=falling)))
    assert "plateau" in dict(kinds(with_losses(losses, eval_loss=rising)))


def test_overfitting_is_reported_once_until_the_next_lowest_loss() -> None:
    """The evaluation loss rises for twelve evaluations while the training's falls."""
    evaluations = np.concatenate(
        [np.linspace(0.8, 0.5, 10), np.linspace(0.5, 0.7, 48), [0.4, 0.4]]
    )
    losses = with_losses(FALLING, eval_loss=every(600, 10, evaluations))
    alarms = detect(losses)

    assert [(a.kind, a.resolves) for a in alarms] == [
        ("overfit", ""),
        ("recovery", "overfit"),
    ]
    assert 200 < alarms[0].step < 250
    assert alarms[0].text.endswith("lowest was 0.5 at step 99")


@pytest.mark.parametrize(
    "evaluations",
    [
        [*np.linspace(0.8, 0.5, 10), *np.linspace(0.5, 1.2, 8)],
        [*np.linspace(0.8, 0.5, 10), *np.linspace(0.6, 0.52, 40)],
        [*np.linspace(0.8, 0.5, 10), *(0.55 + noise(40, 0.03))],
    ],
    ids=["few", "bump", "noise"],
)
def test_other_evaluation_losses_are_no_overfitting(evaluations: list[float]) -> None:
    """Few evaluations, a bump that falls again, and noise are no alarm."""
    losses = power_law(10 * len(evaluations))
    logged = every(len(losses), 10, np.array(evaluations))

    assert "overfit" not in dict(kinds(with_losses(losses, eval_loss=logged)))
