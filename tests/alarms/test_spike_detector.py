"""The spike detector reports norms that harm a training, and not those that are usual."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.alarms import (
    LIMITS,
    detect,
    header_of,
    healthy_norms,
    kinds,
    steps_of,
    with_values,
)

from gradsound.alarms.run_detector import RunDetector
from gradsound.alarms.thresholds import Alarm, Thresholds
from gradsound.runs.step_block import make_block

NINE = [15.0, 9.8, 7.6, 92.1, 29.0, 5.2, 7.8, 7.8, 11140.0]


def usual_norms(steps: int = 200, seed: int = 0) -> np.ndarray:
    """Returns norms of a whole model that scatter by 20 %, shape (S, 1)."""
    return 10 ** np.random.default_rng(seed).normal(0, 0.08, (steps, 1))


def ones(norms: dict[int, float], steps: int = 100) -> np.ndarray:
    """Returns norms of 1, but for those at some steps, shape (S, 1)."""
    row = np.ones((steps, 1))
    for step, norm in norms.items():
        row[step] = norm
    return row


def spike(step: int, ratio: str, name: str = "layer0") -> Alarm:
    """Returns the alarm of a spike in a layer."""
    return Alarm("spike", step, f"spike in {name}, {ratio} x its median", (name,))


def test_spikes_of_several_layers_are_one_alarm() -> None:
    """The highest is named, and the first in the recovery."""
    norms = np.ones((100, 3))
    norms[60:75] = [1, 300, 3000]

    assert detect(steps_of(norms)) == [
        Alarm(
            "spike",
            60,
            "spike in layer2, 3e+03 x its median (and 1 more)",
            ("layer2", "layer1"),
        ),
        Alarm(
            "recovery",
            75,
            "after 15 steps usual again: layer1 (and 1 more)",
            ("layer1", "layer2"),
            resolves="spike",
        ),
    ]


@pytest.mark.parametrize(
    ("norms", "alarms"),
    [
        ({50: 19.9}, []),
        ({50: 20.1}, [spike(50, "20.1")]),
        ({50: 5, 51: 5}, []),
        ({50: 5.1, 51: 5.2}, [spike(51, "5.2")]),
        ({32: 6}, []),
        ({50: 5.1, 52: 5.2}, []),
    ],
)
def test_a_spike_of_a_single_step_must_be_higher(
    norms: dict[int, float], alarms: list[Alarm]
) -> None:
    """It is 20 times the median; a spike of two steps on end is 5 times the median."""
    assert detect(steps_of(ones(norms))) == alarms


@pytest.mark.parametrize(
    ("ratio", "loss", "is_alarm"),
    [(12.0, 9.0, True), (9.0, 9.0, False), (12.0, 1.0, False), (12.0, 1.15, False)],
)
def test_a_spike_of_a_single_step_may_be_lower_if_its_loss_leaps(
    ratio: float, loss: float, is_alarm: bool
) -> None:
    """It is 10 x the median, and the loss of the same step is far above the usual."""
    losses = 1 + 0.05 * np.random.default_rng(0).standard_normal(100)
    losses[60] = loss
    norms = np.ones((100, 1))
    norms[60] = ratio
    steps = with_values(steps_of(norms), loss=losses)

    assert (("spike", 60) in kinds(steps)) == is_alarm


def test_layers_may_spike_in_turn() -> None:
    """Low spikes of two layers at successive steps are one of two steps."""
    norms = np.ones((100, 2))
    norms[50, 0], norms[51, 1] = 6, 7

    assert detect(steps_of(norms)) == [spike(51, "7", "layer1")]
    norms[[51, 52], 1] = 1, 7
    assert not detect(steps_of(norms))


@pytest.mark.parametrize(
    ("decades", "limits", "norm", "is_spike"),
    [
        (0.1, LIMITS, 7.7, False),
        (0.1, LIMITS, 7.8, True),
        (0, replace(LIMITS, spike_ratio=1.5), 1.99, False),
        (0, replace(LIMITS, spike_ratio=1.5), 2, True),
        (0, replace(LIMITS, spike=20.0), 10, False),
        (0, replace(LIMITS, spike=20.0), 10.1, True),
    ],
)
def test_a_spike_is_six_deviations_above_the_median(
    decades: float, limits: Thresholds, norm: float, is_spike: bool
) -> None:
    """A deviation is 1.4826 times the median distance, and 0.05 decades at least."""
    norms = 10 ** np.resize([0.0, decades, -decades], (60, 1))
    norms[50:52] = norm

    assert detect(steps_of(norms), limits) == [spike(51, f"{norm:g}")] * is_spike


def test_a_leap_within_six_deviations_is_the_first_step_of_a_spike() -> None:
    """Of two steps above five times the median, only one is beyond the deviations."""
    norms = 10 ** np.repeat(np.resize([0, 0.1, -0.1], (60, 1)), 2, axis=1)
    of_one_layer, of_two, single = norms.copy(), norms.copy(), norms.copy()
    of_one_layer[[50, 51], 0] = 6, 7.8
    of_two[50, 1], of_two[51, 0] = 6, 7.8
    single[51, 0] = 7.8

    assert detect(steps_of(of_one_layer)) == [spike(51, "7.8")]
    assert not detect(steps_of(of_two))
    assert not detect(steps_of(single))


def test_the_deviation_is_that_of_the_last_norms() -> None:
    """Leaps among norms that scatter more do not hide a later spike."""
    scatter = np.where(np.arange(120) < 60, 0.3, 0.1) * np.resize([0, 1, -1], 120)
    norms = 10 ** np.repeat(scatter[:, None], 2, axis=1)
    norms[[40, 45, 50, 55], 1] = 30
    norms[[110, 111], 0] = 8.5

    assert detect(steps_of(norms)) == [spike(111, "8.5")]


@pytest.mark.parametrize(("loss", "alarms"), [(1.0, []), (3.0, [("spike", 51)])])
def test_a_low_spike_under_a_usual_loss_is_no_alarm(
    loss: float, alarms: list[tuple[str, int]]
) -> None:
    """Eight times the median for five steps harms nothing if the loss stays usual."""
    norms, losses = usual_norms(60), np.ones(60) + np.arange(60) % 2 / 100
    norms[50:55], losses[50:55] = 8, loss
    found = kinds(with_values(steps_of(norms), loss=losses))

    assert [alarm for alarm in found if alarm[0] == "spike"] == alarms


@pytest.mark.parametrize(("steps", "alarms"), [(9, []), (10, [spike(59, "8")])])
def test_a_lasting_spike_is_an_alarm_whatever_the_loss(
    steps: int, alarms: list[Alarm]
) -> None:
    """At the tenth step, a low spike is an alarm although the loss stays usual."""
    norms = ones(dict.fromkeys(range(50, 50 + steps), 8))
    losses = np.linspace(2, 1, 100)

    assert detect(with_values(steps_of(norms), loss=losses)) == alarms


def test_usual_spikes_are_reported_a_few_times_then_once() -> None:
    """Three spikes of one height are alarms; at the sixth, five make the observation."""
    norms = ones(dict.fromkeys(range(50, 400, 25), 60) | {150: 40}, 400)

    assert detect(steps_of(norms)) == [
        *[spike(step, "60") for step in (50, 75, 100)],
        Alarm(
            "often",
            175,
            "spikes now and then in layer0, up to 60 x its median",
            ("layer0",),
        ),
    ]


@pytest.mark.parametrize(("norm", "steps"), [(9.9, []), (10, []), (10.1, [100])])
def test_the_observation_counts_spikes_of_ten_times_the_median(
    norm: float, steps: list[int]
) -> None:
    """Lower ones are neither counted nor alarms."""
    norms = np.ones((400, 2))
    norms[50:110:10, 1] = norm
    found = detect(steps_of(norms))

    assert [(a.kind, a.step, a.layers) for a in found] == [
        ("often", step, ("layer1",)) for step in steps
    ]


def test_the_observation_is_made_once_for_all_layers() -> None:
    """It names the first of the layers that spike now and then."""
    norms = np.ones((400, 3))
    norms[50:200:10, 1:] = 15

    assert [(a.kind, a.layers) for a in detect(steps_of(norms))] == [("often", ("layer1",))]


@pytest.mark.parametrize(("step", "is_alarm"), [(1050, False), (1051, True)])
def test_spikes_are_usual_for_a_thousand_steps(step: int, is_alarm: bool) -> None:
    """Then a spike of the same height is one of the first again."""
    norms = ones({50: 60, 60: 60, 70: 60, step: 60}, 1100)
    found = [spike(k, "60") for k in (50, 60, 70, step)]

    assert detect(steps_of(norms)) == found[: 3 + is_alarm]


@pytest.mark.parametrize(
    ("base", "norm", "alarms"),
    [
        (1, 179, []),
        (1, 181, [spike(270, "181")]),
        (0.1, 30, []),  # 300 times the median, but no higher than before
        (2, 358, []),  # higher than before, but 179 times the median
        (2, 362, [spike(270, "181")]),
    ],
)
def test_a_height_that_no_spike_has_reached_is_an_alarm(
    base: float, norm: float, alarms: list[Alarm]
) -> None:
    """After usual spikes, it is one of more than three times their height and norm."""
    norms = ones(dict.fromkeys(range(50, 200, 25), 60), 300)
    norms[201:] = base
    norms[270] = norm

    found = [a for a in detect(steps_of(norms)) if a.kind == "spike"]
    assert found == [*[spike(step, "60") for step in (50, 75, 100)], *alarms]


def test_a_usual_spike_with_a_worse_loss_is_an_alarm() -> None:
    """Two losses above the usual make any spike an alarm."""
    norms, losses = usual_norms(300), 1 + np.arange(300) % 2 / 100
    norms[50:250:25] = 60
    norms[270:273], losses[270:274] = 60, 4

    spikes = [
        step
        for kind, step in kinds(with_values(steps_of(norms), loss=losses))
        if kind == "spike"
    ]
    assert spikes == [50, 75, 100, 271]


@pytest.mark.parametrize("seed", range(5))
def test_heavy_tails_are_an_observation(seed: int) -> None:
    """Where one norm in twenty is up to 1,000 times the median, few are alarms."""
    rng = np.random.default_rng(seed)
    norms = 10 ** rng.normal(0, 0.3, (600, 1))
    tail = rng.random(600) < np.where(np.arange(600) < 60, 0.3, 0.05)
    norms[tail] *= 10 ** rng.uniform(1.5, 3, (tail.sum(), 1))
    found = kinds(steps_of(norms))

    assert [kind for kind, _ in found].count("often") == 1
    assert [kind for kind, _ in found].count("spike") <= 4


@pytest.mark.parametrize(
    ("norms", "alarms"),
    [
        (NINE, [spike(8, "1.43e+03")]),  # only the last is one
        ([1, 1, 1, 31], []),  # fewer than four norms before it
        ([1, 1, 1, 1, 29], []),
        ([2, 2, 2, 2, 60], []),
        ([1, 1, 1, 1, 31], [spike(4, "31")]),
        ([1, 1, 1, 1, 20, 59], []),  # three times the highest
        ([1, 1, 1, 1, 20, 61], [spike(5, "61")]),
        ([0.06, 0.06, 0.06, 2, 6], []),
        ([0.06, 0.06, 0.06, 2, 6.01], [spike(4, "100")]),
        ([20, *[1] * 7, 59], []),  # the highest of the last eight norms
        ([20, *[1] * 8, 59], [spike(9, "59")]),
        ([1, 3, 2, 4, 61], [spike(4, "30.5")]),  # the lower median
        ([1, 3, 2, 4, 59], []),
        ([0, np.nan, 0, 1, 31], []),  # without a median
        ([0, np.nan, 1, 1, 1, 31], [spike(5, "31")]),
        ([*[1] * 31, 31, 1, 1], [spike(31, "31")]),  # the last of the first 32 norms
        ([*[1] * 31, 29, 1, 1], []),
        ([*[1] * 32, 29, 1, 1], [spike(32, "29")]),
    ],
)
def test_a_leap_among_the_first_norms_is_a_spike(
    norms: list[float], alarms: list[Alarm]
) -> None:
    """It is 30 times the median of the last eight norms, and 3 times the highest."""
    found = detect(steps_of(np.array(norms)[:, None]))

    assert [alarm for alarm in found if alarm.kind == "spike"] == alarms


def test_a_leap_among_the_first_norms_is_that_of_its_layer() -> None:
    """The higher norms of another layer do not hide it."""
    norms = np.ones((10, 2)) * [1, 100]
    norms[4, 0] = 31

    assert detect(steps_of(norms)) == [spike(4, "31")]


@pytest.mark.parametrize("begin", [24, 40])
@pytest.mark.parametrize(("steps", "recoveries"), [(10, 0), (11, 1), (128, 1), (129, 0)])
def test_only_the_end_of_a_long_spike_is_told(
    steps: int, recoveries: int, begin: int
) -> None:
    """That of up to ten steps is no news; after 128 steps, the height is usual.

    So it is if the spike begins among the first norms, which have another limit.
    """
    norms = ones(dict.fromkeys(range(begin, begin + steps), 100), 190)
    text = f"after {steps} steps usual again: layer0"
    recovery = Alarm("recovery", begin + steps, text, ("layer0",), resolves="spike")

    found = [a for a in detect(steps_of(norms)) if "spike" in (a.kind, a.resolves)]
    assert found == [spike(begin, "100"), *[recovery] * recoveries]


@pytest.mark.parametrize("size", [1, 100])
def test_a_norm_at_the_ratio_is_no_spike(size: int) -> None:
    """A norm of two steps must be above the ratio, however many steps come at a time."""
    steps = steps_of(ones({20: 0.1, 50: 10, 51: 10}))
    blocks = [make_block(steps[k : k + size]) for k in range(0, 100, size)]
    found = []
    for ratio in (10.0, 9.9):
        detector = RunDetector(header_of("layer0"), replace(LIMITS, spike_ratio=ratio))
        found.append([a for block in blocks for row in detector.detect(block) for a in row])

    assert found == [[], [spike(51, "10")]]


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
@pytest.mark.parametrize(("norm", "alarms"), [(2.23, 2), (2.24, 1)])
def test_a_spike_ends_halfway_back(norm: float, alarms: int, scale: float) -> None:
    """Below the square root of the ratio of 5, the next leap is a spike of its own."""
    found = detect(steps_of(scale * ones({40: 100, 41: norm, 42: 100})))

    assert found == [spike(40, "100"), spike(42, "100")][:alarms]


def test_a_spike_is_over_when_the_norm_is_as_before() -> None:
    """The running median follows a spike of 60 steps, which does not end it."""
    norms = usual_norms(300)
    norms[100:160] *= 1000
    spike, recovery = [
        a for a in detect(steps_of(norms)) if "spike" in (a.kind, a.resolves)
    ]

    assert (spike.step, recovery.step) == (100, 160)
    assert recovery.text == "after 60 steps usual again: layer0"


@pytest.mark.parametrize("length", [4, 8, 20])
def test_the_first_norms_of_a_healthy_run_are_no_spikes(length: int) -> None:
    """A warm-up to ten times the first norm, and a fall to a hundredth, are none."""
    warmup = np.geomspace(0.5, 8, length)
    norms = np.concatenate([warmup, np.full(40, 8.0), np.geomspace(8, 0.05, 20)])

    assert not detect(steps_of(norms[:, None]))


@pytest.mark.parametrize(
    ("norm", "is_alarm"), [(0.099, False), (0.1, False), (0.101, True)]
)
def test_a_spike_of_a_tiny_layer_is_no_alarm(norm: float, is_alarm: bool) -> None:
    """A norm up to a hundredth of the largest does not change the update.

    A norm that is not finite is not the largest.
    """
    norms = np.full((80, 3), 10.0)
    norms[:, 1] = 0.001
    norms[60:63, 1], norms[60, 2] = norm, np.inf
    found = [a for a in detect(steps_of(norms)) if a.kind == "spike"]

    assert found == [spike(60, f"{1000 * norm:g}", "layer1")] * is_alarm


def test_spikes_among_layers_are_remembered_by_layer() -> None:
    """Usual spikes of one layer do not hide the first spike of another."""
    norms = healthy_norms(300)
    norms[50:250:25, 0] = 3000
    norms[270, 1] = 3000

    assert ("spike", 270) in kinds(steps_of(norms))
