"""Leaps of weights that neither the learning rate nor the gradient explains."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.signal_steps import detect, found, updates

from gradsound.alarms.thresholds import Alarm


def moving(steps: int = 200, layers: int = 2, seed: int = 0) -> np.ndarray:
    """Returns update ratios that scatter by a fifth, shape (S, L)."""
    return 1e-3 * 10 ** np.random.default_rng(seed).normal(0, 0.08, (steps, layers))


def test_weights_that_move_far_more_than_usual_leap() -> None:
    """The alarm names the layer that leaps most, once."""
    ratios = np.full((200, 2), 1e-3)
    ratios[120:] *= [4, 5]

    text = "weights leap in layer1, 5 x as far as usual (and 1 more)"
    steps = updates(ratios, [0.01] * 200)
    assert detect(steps) == [Alarm("leap", 120, text, ("layer1", "layer0"))]


@pytest.mark.parametrize(
    ("ratio", "rated", "is_alarm"),
    [
        (2.5, True, False),
        (3.5, True, True),
        (8.0, False, False),
        (12.0, False, True),
    ],
)
def test_a_leap_is_larger_without_a_known_rate(
    ratio: float, rated: bool, is_alarm: bool
) -> None:
    """A schedule that is not known changes the updates, too."""
    ratios = np.full((200, 1), 1e-3)
    ratios[120:] *= ratio

    steps = updates(ratios, [0.01] * 200 if rated else None)
    assert found(steps) == [("leap", 120, "")] * is_alarm


def test_a_schedule_is_no_leap() -> None:
    """Warm-up, restarts and steps of a known rate explain the updates."""
    rates = np.concatenate(
        [
            np.linspace(0, 1, 60),
            np.full(60, 0.01),
            np.ones(60),
            np.geomspace(1, 1e-4, 60),
            np.ones(60),
        ]
    )

    assert found(updates(moving(300) * rates[:, None], 0.01 * rates)) == []


def test_a_restart_of_an_unknown_schedule_is_no_leap() -> None:
    """It goes back to ratios that the run had; a larger one than ever is a leap."""
    rates = np.concatenate([np.geomspace(1, 1e-3, 200), np.ones(40)])[:, None]
    ratios = moving(240) * rates

    assert found(updates(ratios)) == []
    ratios[200:] *= 10
    assert found(updates(ratios)) == [("leap", 200, "")]


def test_a_larger_gradient_explains_a_larger_update() -> None:
    """Also for the steps after it, as momentum keeps it."""
    ratios, norms = moving(), np.ones((200, 2))
    norms[120] = 100
    ratios[120:132] *= 8

    assert found(updates(ratios, [0.01] * 200, norms)) == []
    assert found(updates(ratios, [0.01] * 200)) == [("leap", 120, "")]


def test_a_rate_of_0_makes_no_leap() -> None:
    """It may be that of another group of parameters."""
    assert found(updates(moving(), [0.01] * 100 + [0.0] * 100)) == []
