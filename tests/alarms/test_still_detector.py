"""Layers that the optimizer does not move, and those that are still by design."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.signal_steps import detect, found, updates

from gradsound.alarms.thresholds import Alarm


def moving(steps: int = 200, layers: int = 2, seed: int = 0) -> np.ndarray:
    """Returns update ratios that scatter by a fifth, shape (S, L)."""
    return 1e-3 * 10 ** np.random.default_rng(seed).normal(0, 0.08, (steps, layers))


@pytest.mark.parametrize("onset", range(100, 104))
@pytest.mark.parametrize("ratio", [0.0, 1e-8])
def test_a_rate_of_0_is_told_within_16_steps(onset: int, ratio: float) -> None:
    """Ratios come every 4th step; the alarm names the rate, and ends with the next move."""
    ratios = moving()
    ratios[onset:140] = ratio
    rates = [0.0 if onset <= k < 140 else 0.01 for k in range(200)]
    first, second = detect(updates(ratios, rates))

    assert first.kind == "still"
    assert onset + 8 <= first.step < onset + 16
    text = "the optimizer no longer moves layer0, learning rate 0 (and 1 more)"
    assert (first.text, first.layers, first.persists) == (text, ("layer0", "layer1"), True)
    text = "the optimizer moves again: layer0 (and 1 more)"
    assert second == Alarm("recovery", 140, text, first.layers, resolves="still")


def test_one_layer_that_no_longer_moves_is_named() -> None:
    """Others move; without a known rate, the text has none."""
    ratios = moving()
    ratios[100:, 1] = 0

    text = "the optimizer no longer moves layer1"
    assert detect(updates(ratios)) == [
        Alarm("still", 108, text, ("layer1",), persists=True)
    ]


@pytest.mark.parametrize("knows_rate", [False, True])
@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_the_end_of_a_schedule_is_no_alarm(shape: str, knows_rate: bool) -> None:
    """The rate falls smoothly to 0 and stays there."""
    left = np.clip(1 - np.arange(400) / 360, 0, 1)
    factor = left if shape == "linear" else (1 - np.cos(np.pi * left)) / 2
    rates = 0.01 * factor

    steps = updates(moving(400) * factor[:, None], rates if knows_rate else None)
    assert found(steps) == []


@pytest.mark.parametrize("warm_up", [1, 50, 1000])
def test_a_warm_up_that_begins_with_0_is_no_alarm(warm_up: int) -> None:
    """At step 0, no weight changes."""
    factor = np.clip(np.arange(200) / warm_up, 0, 1)

    assert found(updates(moving() * factor[:, None], 0.01 * factor)) == []


def test_a_layer_that_never_moved_is_told_after_64_steps() -> None:
    """It may have no ratio at all, if no optimizer has its parameters."""
    ratios = moving(layers=3)
    ratios[:, 1], ratios[:, 2] = 0, np.nan

    text = "the optimizer does not move layer1 (and 1 more)"
    layers = "layer1", "layer2"
    assert detect(updates(ratios)) == [Alarm("still", 64, text, layers, persists=True)]


def test_a_layer_without_a_number_for_a_while_is_no_alarm() -> None:
    """Another optimizer may have stepped, or the weights are all 0 at first."""
    ratios = moving()
    ratios[:20, 0] = ratios[100:160, 1] = np.nan

    assert found(updates(ratios)) == []


@pytest.mark.parametrize("norm", [np.nan, 0.0, 1e-4])
def test_a_layer_without_a_gradient_may_be_still(norm: float) -> None:
    """The alarm is for layers whose norms are usual."""
    ratios, norms = moving(), np.ones((200, 2))
    ratios[100:, 0], norms[100:, 0] = 0, norm

    assert found(updates(ratios, norms=norms)) == []


def test_a_rate_of_a_twentieth_ends_no_schedule_at_once() -> None:
    """If the last rate was a tenth of the highest, the rest did not fall by design."""
    rates = [0.01] * 100 + [0.001] * 60 + [0.0] * 40
    ratios = moving() * np.array(rates)[:, None] / 0.01

    assert found(updates(ratios, rates)) == [("still", 168, "")]
    rates = [0.01] * 100 + [0.0004] * 60 + [0.0] * 40
    ratios = moving() * np.array(rates)[:, None] / 0.01
    assert found(updates(ratios, rates)) == []


def test_two_optimizers_in_turns_are_told_apart() -> None:
    """Each moves one layer; then the rate of the first becomes 0."""
    ratios, norms = moving(400), np.ones((400, 2))
    turns = np.arange(400) // 4 % 2
    for layer in (0, 1):
        ratios[turns == layer, layer] = norms[turns == layer, layer] = np.nan
    assert found(updates(ratios, norms=norms)) == []
    ratios[200:, 0] *= 0

    assert found(updates(ratios, norms=norms)) == [("still", 212, "")]
