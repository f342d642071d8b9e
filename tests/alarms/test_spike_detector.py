"""The spike detector reports norms that harm a training, and not those that are usual."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.alarms import detect, healthy_norms, kinds, steps_of, with_values

NINE = [15.0, 9.8, 7.6, 92.1, 29.0, 5.2, 7.8, 7.8, 11140.0]


def usual_norms(steps: int = 200, seed: int = 0) -> np.ndarray:
    """Returns norms of a whole model that scatter by 20 %, shape (S, 1)."""
    return 10 ** np.random.default_rng(seed).normal(0, 0.08, (steps, 1))


@pytest.mark.parametrize(("ratio", "steps", "alarms"), [(19, 1, 0), (21, 1, 1), (6, 2, 1)])
def test_a_spike_of_a_single_step_must_be_higher(
    ratio: float, steps: int, alarms: int
) -> None:
    """It is 20 times the median; a spike of two steps is 5 times the median."""
    norms = np.ones((60, 1))
    norms[50 : 50 + steps] = ratio

    assert kinds(steps_of(norms)) == [("spike", 49 + steps)] * alarms


@pytest.mark.parametrize(("loss", "alarms"), [(1.0, []), (3.0, [("spike", 51)])])
def test_a_low_spike_under_a_usual_loss_is_no_alarm(
    loss: float, alarms: list[tuple[str, int]]
) -> None:
    """Eight times the median for five steps harms nothing if the loss stays usual."""
    norms, losses = usual_norms(60), np.ones(60) + np.arange(60) % 2 / 100
    norms[50:55], losses[50:55] = 8, loss
    found = kinds(with_values(steps_of(norms), loss=losses))

    assert [alarm for alarm in found if alarm[0] == "spike"] == alarms


def test_a_lasting_spike_is_an_alarm_whatever_the_loss() -> None:
    """At the tenth step, a low spike is an alarm although the loss stays usual."""
    norms, losses = usual_norms(80), np.ones(80) + np.arange(80) % 2 / 100
    norms[50:62] = 8

    assert ("spike", 59) in kinds(with_values(steps_of(norms), loss=losses))


def test_usual_spikes_are_reported_a_few_times_then_once() -> None:
    """Three spikes of one height are alarms; the fifth is the observation."""
    norms = usual_norms(400)
    norms[50:400:25] = 60
    alarms = detect(steps_of(norms))

    assert [alarm.kind for alarm in alarms] == ["spike"] * 3 + ["often"]
    assert [alarm.step for alarm in alarms] == [50, 75, 100, 175]
    assert alarms[-1].text.startswith("spikes now and then in layer0, up to ")


@pytest.mark.parametrize(("norm", "alarms"), [(150, 0), (250, 1)])
def test_a_height_that_no_spike_has_reached_is_an_alarm(norm: float, alarms: int) -> None:
    """After usual spikes, one of more than three times their height is an alarm."""
    norms = usual_norms(300)
    norms[50:250:25] = 60
    norms[270] = norm

    spikes = [step for kind, step in kinds(steps_of(norms)) if kind == "spike"]
    assert spikes == [50, 75, 100, *[270] * alarms]


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


def test_a_leap_among_the_first_norms_is_a_spike() -> None:
    """The last of nine norms is 1,400 times their median; the others are no spikes."""
    (alarm,) = detect(steps_of(np.array(NINE)[:, None]))

    assert (alarm.kind, alarm.step) == ("spike", 8)
    assert alarm.text == "spike in layer0, 1.43e+03 x its median"


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


@pytest.mark.parametrize(("share", "alarms"), [(0.005, 0), (0.02, 1)])
def test_a_spike_of_a_tiny_layer_is_no_alarm(share: float, alarms: int) -> None:
    """A norm below a hundredth of the largest does not change the update."""
    norms = np.ones((80, 2))
    norms[:, 1] = share / 100
    norms[60:63, 1] = share

    assert len(detect(steps_of(norms))) == alarms


def test_spikes_among_layers_are_remembered_by_layer() -> None:
    """Usual spikes of one layer do not hide the first spike of another."""
    norms = healthy_norms(300)
    norms[50:250:25, 0] = 3000
    norms[270, 1] = 3000

    assert ("spike", 270) in kinds(steps_of(norms))
