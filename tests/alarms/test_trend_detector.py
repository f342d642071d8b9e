"""The trend detector reports lasting changes of the norm of the whole model."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.alarms import detect, kinds, steps_of
from helpers.runs import make_run

from gradsound.alarms.step_report import StepReports
from gradsound.alarms.thresholds import Alarm
from gradsound.alarms.trend_detector import TrendDetector


def noise(steps: int, seed: int = 0) -> np.ndarray:
    """Returns factors that scatter by 20 %, shape (S,)."""
    return 10 ** np.random.default_rng(seed).normal(0, 0.08, steps)


def trends(*parts: tuple[int, float]) -> list[Alarm]:
    """Returns the alarms of a norm of the whole model: so many steps of each norm."""
    norms = np.concatenate([np.full(steps, float(norm)) for steps, norm in parts])
    reports = StepReports(np.arange(len(norms)), ["layer0"])
    TrendDetector().detect(norms, reports)
    return [alarm for _, alarms in reports.alarms() for alarm in alarms]


def usual(kind: str, step: int, norm: str) -> Alarm:
    """Returns the recovery from an alarm of a kind."""
    text = f"the norm is usual again: {norm}"
    return Alarm("recovery", step, text, resolves=kind)


def rise(step: int, text: str) -> Alarm:
    """Returns the alarm of a rise to a norm."""
    return Alarm("rise", step, f"the norm is {text}", persists=True)


def drift(step: int, to: str) -> Alarm:
    """Returns the observation of a drift from a norm of 3."""
    return Alarm("drift", step, f"the norm has drifted from 3 to {to}")


def test_a_rise_holds_until_the_norm_is_usual() -> None:
    """The medians of 32 steps are compared; a norm up to 1.5 times that before is usual.

    The return to the usual is no collapse, and the next rise is an alarm again.
    """
    assert trends((300, 3), (100, 24.3), (200, 4.6), (100, 4.4)) == [
        rise(317, "24.3, 8.1 x that of 128 steps before"),
        usual("rise", 616, "4.4"),
    ]
    assert trends((300, 3), (100, 15_000), (200, 3), (90, 15_000)) == [
        rise(317, "1.5e+04, 5e+03 x that of 128 steps before"),
        drift(317, "1.5e+04"),
        usual("rise", 416, "3"),
        rise(617, "1.5e+04, 5e+03 x that of 128 steps before"),
    ]


def test_a_collapse_holds_until_the_norm_is_usual() -> None:
    """It is the counterpart of a layer that vanishes, and may come before step 200."""
    text = "the norm is 0.00297, 1/1.01e+03 of that 128 steps before"
    early, late = (Alarm("vanishing", step, text, persists=True) for step in (156, 316))

    assert trends((140, 3), (50, 3 / 1010)) == [early]
    assert trends((300, 3), (99, 3 / 1010), (99, 3 / 1.6), (99, 3 / 1.4)) == [
        late,
        drift(316, "0.00297"),
        usual("vanishing", 515, "2.14"),
    ]
    assert not trends((140, 3), (50, 3 / 990), (10, 3))
    assert not trends((140, 1000), (50, 1))


@pytest.mark.parametrize(
    ("parts", "alarms"),
    [
        ([(300, 3), (100, 23.7)], []),  # 7.9 times
        ([(150, 3), (100, 24.3)], [200]),
        ([(183, 3), (100, 24.3)], [200]),
        ([(184, 3), (100, 24.3)], [201]),
        ([(64, 30), (136, 1), (100, 25)], []),
        ([(60, 30), (250, 1), (100, 29)], []),  # no higher than earlier
        ([(60, 30), (250, 1), (100, 30)], []),
        ([(60, 30), (250, 1), (100, 31)], [327]),
        ([(48, 30), (250, 1), (100, 29)], [315]),  # except in the first 64 steps
        ([(49, 30), (250, 1), (100, 29)], []),
    ],
)
def test_a_rise_is_higher_than_earlier_norms(
    parts: list[tuple[int, float]], alarms: list[int]
) -> None:
    """A rise to 8 times the norm is an alarm from step 200 on, as a warm-up ends."""
    assert [a.step for a in trends(*parts) if a.kind == "rise"] == alarms


@pytest.mark.parametrize(("decades", "is_rise"), [(0.5, True), (1.0, False)])
def test_a_rise_is_larger_than_the_scatter(decades: float, is_rise: bool) -> None:
    """Where norms scatter by decades, so do their medians: 16 times is no rise."""
    ramp = 1.2 * np.clip((np.arange(600) - 250) / 120, 0, 1)
    norms = 10 ** (np.resize([-decades, 0, decades], 600) + ramp)

    assert ("rise" in dict(kinds(steps_of(norms[:, None])))) == is_rise


def test_a_rise_among_the_first_norms_is_an_alarm() -> None:
    """The median of three is more than 50 times that of the first six.

    It holds for 32 steps, because the median of these has earlier norms, too.
    """
    early = rise(8, "153, 51 x that of the first steps")

    assert trends((6, 3), (3, 153), (60, 3)) == [early, usual("rise", 39, "3")]
    assert trends((6, 3), (60, 153), (60, 4.4)) == [early, usual("rise", 82, "4.4")]
    assert not trends((6, 3), (3, 147), (60, 3))
    firsts = [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (1, 20), (1, 153), (1, 200)]
    assert trends(*firsts) == [early]


def test_a_rise_among_the_first_norms_ends_with_the_32nd() -> None:
    """A norm that is 0 or not finite is none of them."""
    assert [a.step for a in trends((29, 3), (40, 153))] == [30]
    assert [a.step for a in trends((30, 3), (40, 153))] == [31]
    assert not trends((31, 3), (40, 153))
    gaps = [(2, np.nan), (1, 0), (6, 3), (1, np.inf), (2, 153), (1, np.nan), (1, 153)]
    assert trends(*gaps) == [rise(13, "153, 51 x that of the first steps")]


def test_a_drift_is_told_once_for_each_decade() -> None:
    """From 30 times the norm at step 200 on, or down to a thirtieth.

    It is told after 32 more steps, and again a decade beyond the drift told before.
    """
    assert not [a for a in trends((300, 3), (99, 87), (99, 3 / 29)) if a.kind == "drift"]
    exact = trends((300, 1), (99, 100), (99, 1000))
    assert [a.kind for a in exact] == ["rise", "drift"]
    found = [
        trends((300, 3), (99, 93), (99, 927), (99, 933)),
        trends((300, 3), (99, 3 / 31), (99, 3 / 309), (99, 3 / 311)),
        trends((200, 3), (99, 93)),
        trends((217, 3), (99, 93)),
    ]
    assert [[a for a in alarms if a.kind == "drift"] for alarms in found] == [
        [drift(317, "93"), drift(515, "933")],
        [drift(316, "0.0968"), drift(514, "0.00965")],
        [drift(232, "93")],
        [drift(234, "93")],
    ]


@pytest.mark.parametrize(("scale", "text"), [(1e25, "5e+26"), (1e-3, "0.05")])
def test_the_norm_of_the_model_is_that_of_all_layers(scale: float, text: str) -> None:
    """Layers of 3 and 4 make 5; an absent one is left out, however large the norms are."""
    low = [3 * scale, 4 * scale, None]
    high = [30 * scale, 40 * scale, None]
    found = detect([*make_run([low] * 300 + [high] * 20).steps])

    assert rise(317, f"{text}, 10 x that of 128 steps before") in found


def test_a_rise_in_the_first_200_steps_is_a_warmup() -> None:
    """Twenty times in 20 steps, at step 20, is no rise."""
    norms = noise(400)
    norms[20:] *= np.minimum(20, np.geomspace(1, 2e7, 380))

    assert "rise" not in dict(kinds(steps_of(norms[:, None])))


def test_a_slow_rise_is_a_drift() -> None:
    """The norm grows 300-fold in 1,500 steps: two observations, a decade apart."""
    norms = noise(2000) * np.concatenate([np.ones(300), np.geomspace(1, 400, 1700)])
    alarms = detect(steps_of(norms[:, None]))

    assert [alarm.kind for alarm in alarms] == ["drift", "drift"]
    assert alarms[0].text.startswith("the norm has drifted from ")


def test_the_norm_of_a_whole_model_is_no_layer() -> None:
    """Sixteen zeros after single ones are an alarm of the model, and no dead layer."""
    norms = noise(300)
    norms[np.random.default_rng(1).random(300) < 0.1] = 0
    norms[100:103] = 0
    assert not detect(steps_of(norms[:, None]))

    norms[200:240], norms[240] = 0, 1
    assert detect(steps_of(norms[:, None])) == [
        Alarm("vanishing", 215, "the gradient is 0 for 16 steps", persists=True),
        Alarm("recovery", 240, "the gradient is back", resolves="vanishing"),
    ]


def test_zeros_by_design_are_no_death() -> None:
    """Ten networks have a norm of 0 in four of five steps."""
    rng = np.random.default_rng(0)
    norms = rng.lognormal(0, 0.3, (300, 10))
    norms[rng.random((300, 10)) < 0.8] = 0

    assert not detect(steps_of(norms))
