"""The pause detector reports stalls and a lower throughput, and no regular pauses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from helpers.alarms import LIMITS, detect, kinds, with_intervals, with_values

from gradsound.alarms.stall_detector import StallDetector
from gradsound.alarms.thresholds import Alarm
from gradsound.runs.step import Step


def intervals(count: int, seconds: float = 30.0, seed: int = 0) -> np.ndarray:
    """Returns intervals that scatter by 5 %, shape (count,)."""
    return seconds * np.exp(np.random.default_rng(seed).normal(0, 0.05, count))


def watch(
    seconds: Sequence[float], evaluated: Sequence[int] = ()
) -> tuple[StallDetector, list[Alarm]]:
    """Returns a detector after such intervals between steps, and its alarms.

    Args:
        seconds: Interval before each step but the first.
        evaluated: Numbers of the steps before which the run was evaluated.
    """
    detector = StallDetector(LIMITS)
    steps = with_intervals([0, *seconds], np.ones((len(seconds) + 1, 1)))
    return detector, alarms_of(detector, steps, evaluated)


def alarms_of(
    detector: StallDetector, steps: Sequence[Step], evaluated: Sequence[int] = ()
) -> list[Alarm]:
    """Returns the alarms of steps, in two blocks."""
    alarms = []
    for part in (steps[: len(steps) // 2], steps[len(steps) // 2 :]):
        if part:
            numbers = np.array([step.number for step in part])
            times = np.array([step.time for step in part])
            found = detector.detect(numbers, times, np.isin(numbers, evaluated))
            alarms += [alarm for _, alarm in found]
    return alarms


FOUR = [4.0] * 40


@pytest.mark.parametrize(
    ("seconds", "evaluated", "late", "stall"),
    [
        (FOUR, [], 80, ""),  # 20 times the usual
        (FOUR, [], 80.5, "1 min 20 s, 20 x"),
        ([*FOUR, 16], [], 24, ""),  # 1.5 times the pause before
        ([*FOUR, 16], [], 24.25, "24.2 s, 6.1 x"),
        ([*FOUR, 12], [], 24.25, ""),  # a pause is longer than three intervals
        ([*FOUR, 16, 4], [], 24.25, ""),  # a single pause may be an evaluation
        ([*FOUR, 12, 4, 12, 4], [], 24.25, ""),
        ([*FOUR, 16, 4, 16, 4], [], 24, ""),
        ([*FOUR, 16, 4, 16, 4], [], 24.25, "24.2 s, 6.1 x"),
        ([*[1] * 40, 4, 1, 4, *[6] * 40], [], 18, ""),  # three times the usual
        ([*[1] * 40, 4, 1, 4, *[6] * 40], [], 18.25, "18.2 s, 3 x"),
        ([*[0.25] * 40, 8], [41], 9.75, "9.8 s, 39 x"),
        ([*[0.25] * 40, 8], [41], 10, ""),  # from 10 s on, the longest pause counts
        ([*[0.25] * 40, 8], [41], 12, ""),
        ([*[0.25] * 40, 8], [41], 12.25, "12.2 s, 49 x"),
        ([*FOUR, 64, *[4] * 999], [], 90, ""),  # of the last 1,000 steps
        ([*FOUR, 64, *[4] * 1000], [], 90, "1 min 30 s, 22 x"),
        ([*FOUR, 64, 48, *[4] * 999], [], 81, "1 min 21 s, 20 x"),
        ([*FOUR, 64, 60, *[4] * 999], [], 90, ""),
        ([*[1] * 40, *[0.125] * 15], [], 5, ""),  # the usual of 32 intervals
        ([*[1] * 40, *[0.125] * 16], [], 5, "5.0 s, 40 x"),
        ([0.125] * 15, [], 3, ""),
        ([0.125] * 16, [], 3, "3.0 s, 24 x"),
        ([0.015625] * 16, [], 1.984375, ""),
        ([0.015625] * 16, [], 2, "2.0 s, 128 x"),
    ],
)
def test_a_stall_is_longer_than_known_pauses(
    seconds: list[float], evaluated: list[int], late: float, stall: str
) -> None:
    """A stall of 10 s or more is 1.5 times the longest pause of the last 1,000 steps.

    It is also three times the usual. It is sure if it is 20 times the usual, if it follows
    another pause, or if the run has had two pauses.
    """
    detector, alarms = watch(seconds, evaluated)
    text = f"no step for {stall} the usual"
    found = Alarm("stall", len(seconds), text, persists=True) if stall else None

    assert alarms == []
    assert detector.detect_stall(late) == found
    assert detector.stalled == bool(stall)


def test_a_stall_is_told_with_its_duration_and_so_is_its_end() -> None:
    """A stall that ends before it is told does not persist.

    A later stall is twice as long as the longest before, however that was told.
    """
    quick, text = [0.125] * 20, "no step before, for {} the usual"
    assert watch([*quick, 3, *quick, 5.75, *quick, 6])[1] == [
        Alarm("stall", 21, text.format("3.0 s, 24 x")),
        Alarm("stall", 63, text.format("6.0 s, 48 x")),
    ]
    detector, _ = watch(quick)
    assert detector.detect_stall(2.625) == Alarm(
        "stall", 20, "no step for 2.6 s, 21 x the usual", persists=True
    )
    assert detector.detect_stall(3.5) is None
    late, after = with_intervals([5.5, 0.125])
    assert alarms_of(detector, [late]) == [
        Alarm("recovery", 0, "steps again, after 3.0 s", resolves="stall")
    ]
    assert alarms_of(detector, [after]) == []
    assert detector.detect_stall(5.75) is None
    assert detector.detect_stall(6) is not None


def test_a_stall_ends_with_the_next_step_whatever_the_interval() -> None:
    """A reader that gets a step late tells a stall that the times of the steps lack."""
    detector, _ = watch([0.125] * 20)
    assert detector.detect_stall(3) is not None
    end = [Alarm("recovery", 0, "steps again, after 0.1 s", resolves="stall")]

    assert alarms_of(detector, with_intervals([2.625])) == end
    assert not detector.stalled


def test_a_user_may_ask_for_shorter_stalls() -> None:
    """Before the first stall, only the thresholds count."""
    detector = StallDetector(replace(LIMITS, stall=4.0, stall_seconds=0.5))
    assert not detector.stalled
    assert alarms_of(detector, with_intervals([0.0625] * 20)) == []

    assert detector.detect_stall(0.4375) is None
    assert detector.detect_stall(0.5) is not None

    low = StallDetector(replace(LIMITS, stall=1.5, stall_seconds=0.5))
    steps = with_intervals([0, *[0.25] * 20, 0.5])
    assert [(a.kind, a.step) for a in alarms_of(low, steps)] == [("stall", 21)]


@pytest.mark.parametrize(
    ("pauses", "evaluated", "stalls"),
    [
        ({30: 3}, [30], []),  # the first evaluation is usual
        ({30: 3}, [], [30]),
        ({30: 3}, [20, 30], [30]),  # quick ones before say that it is none
        ({31: 3}, [30], []),  # it may come before the step or after it
        ({31: 3}, [30, 31], []),  # the first is not over before the step after
        ({32: 3}, [30, 32], [32]),
        ({30: 3, 50: 4.375}, [30, 50], []),
        ({30: 3, 50: 4.5}, [30, 50], [50]),  # 1.5 times as long
        ({30: 3, 50: 4.375, 70: 6.5}, [30, 50, 70], []),
        ({30: 4.375, 50: 3, 70: 6.5}, [30, 50, 70], []),  # the longest counts
        ({30: 3, 50: 4.375, 70: 6.625}, [30, 50, 70], [70]),
        ({30: 3, 50: 3}, [50], [30]),
    ],
)
def test_an_evaluation_may_take_as_long_as_the_one_before(
    pauses: dict[int, float], evaluated: list[int], stalls: list[int]
) -> None:
    """It is a stall if it takes 1.5 times as long as the longest before."""
    seconds = [pauses.get(k, 0.125) for k in range(1, 90)]

    assert [(a.kind, a.step) for a in watch(seconds, evaluated)[1]] == [
        ("stall", step) for step in stalls
    ]


SLOW_TEXT, END_TEXT = "steps take {} x as long as usual", "steps take as long as before"


@pytest.mark.parametrize(
    ("parts", "slow", "ratio", "end"),
    [
        ([(128, 64), (70, 128), (200, 64)], 160, "1.5", 256),
        ([(69, 64), (100, 128)], 136, "2", None),  # the usual is known after 128 steps
        ([(128, 40), (100, 56)], None, "", None),  # 1.4 times the usual
        ([(128, 40), (100, 57)], 192, "1.4", None),
        ([(128, 40), (171, 57), (100, 46)], 192, "1.4", None),  # 1.15 times
        ([(128, 40), (171, 57), (100, 45)], 192, "1.4", 360),
        ([(128, 25), (100, 50)], 168, "1.6", None),  # longer than 300 s
        ([(128, 25.125), (100, 50.25)], 160, "1.5", None),
        ([(128, 1), (400, 1.5)], 384, "1.5", None),
    ],
)
def test_a_lower_throughput_is_told_until_it_is_usual_again(
    parts: list[tuple[int, float]], slow: int | None, ratio: str, end: int | None
) -> None:
    """The last 64 steps take 1.4 times as long as usual, for more than five minutes."""
    seconds = [duration for count, duration in parts for _ in range(count)]
    found = []
    if slow:
        found = [Alarm("slow", slow, SLOW_TEXT.format(ratio), persists=True)]
    if end:
        found.append(Alarm("recovery", end, END_TEXT, resolves="slow"))

    assert watch(seconds)[1] == found


@pytest.mark.parametrize("pause", [3.0, 10.0])
def test_regular_pauses_are_usual(pause: float) -> None:
    """Every thirteenth step waits for an evaluation, whether its loss is logged or not."""
    seconds = intervals(400)
    seconds[13::13] *= pause
    logged = np.full(400, np.nan)
    logged[13::13] = 1.0

    assert not detect(with_intervals(seconds))
    assert not detect(with_values(with_intervals(seconds), eval_loss=logged))


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


def test_single_pauses_do_not_lower_the_throughput() -> None:
    """A pause counts as three usual steps; a third of all steps is too many."""
    seconds = np.full(500, 64.0)
    seconds[200:500:16] *= 10
    assert not watch(seconds)[1]

    seconds[200:500:3] = 640
    slow = Alarm("slow", 240, SLOW_TEXT.format("1.5"), persists=True)
    assert watch(seconds)[1] == [slow]


@pytest.mark.parametrize(("blocks", "slow"), [(32, ["slow"]), (33, [])])
def test_a_throughput_that_lasts_is_the_usual(blocks: int, slow: list[str]) -> None:
    """The usual is the median of the last 64 times 64 steps, in bounded memory."""
    parts = [(64 * 64, 64.0), (64 * blocks, 83.2), (200, 108.16)]
    seconds = [duration for count, duration in parts for _ in range(count)]

    assert [alarm.kind for alarm in watch(seconds)[1]] == slow


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
