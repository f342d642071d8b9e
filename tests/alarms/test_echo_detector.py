"""Gradients that repeat those before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.signal_steps import detect, found, gradients

from gradsound.alarms.moment_cosines import MomentCosines


def test_a_repeated_gradient_is_told_within_8_steps_and_ends() -> None:
    """Most layers are affected; the text says what to look at."""
    first, second = detect(gradients(repeat=range(120, 150)))

    assert first.kind == "echo"
    assert 120 < first.step < 128
    assert first.text.startswith("gradients repeat in layer")
    assert first.text.endswith(": check batches and zero_grad (and 5 more)")
    assert len(first.layers) == 6
    assert first.persists
    assert (second.kind, second.resolves) == ("recovery", "echo")
    assert 150 <= second.step < 166


@pytest.mark.parametrize("seed", range(5))
def test_random_gradients_do_not_repeat(seed: int) -> None:
    """For 2,000 steps."""
    assert found(gradients(2000, seed=seed)) == []


@pytest.mark.parametrize("decay", [0.8, 0.95])
def test_another_decay_of_the_moment_is_heard_too(decay: float) -> None:
    """The cosines are then wrong, but they are compared with the usual ones."""
    assert found(gradients(1000, decay=decay)) == []
    kind, step, _ = found(gradients(repeat=range(120, 200), decay=decay))[0]
    assert kind == "echo"
    assert 120 < step < 136


def test_slow_weights_make_no_echo() -> None:
    """Their gradients resemble each other: the rate fell to a tenth, or to 0."""
    steps = gradients(repeat=range(120, 200))
    falls = [
        replace(step, values={"lr": 1e-3 if step.number < 119 else 1e-4}) for step in steps
    ]

    assert found(falls) == []


def test_weights_at_the_end_of_a_schedule_make_no_echo() -> None:
    """The rate is then 4 % of the highest, and the gradients resemble each other."""
    rates = np.geomspace(1, 0.01, 300)
    steps = gradients(300, repeat=range(220, 300))
    slow = [replace(step, values={"lr": rates[step.number]}) for step in steps]

    assert found(slow) == []
    assert found([replace(step, values={"lr": 1.0}) for step in steps]) != []


def test_a_set_learned_by_heart_makes_no_echo() -> None:
    """A few hard samples make nearly all of the moment, and come again."""
    scales = 10 ** np.random.default_rng(0).normal(0, 0.8, 400)

    assert found(gradients(400, repeat=range(200, 240), scales=scales)) == []
    assert found(gradients(400, repeat=range(200, 240), scales=scales**0.1)) != []


def test_a_moment_with_a_far_other_decay_makes_no_echo() -> None:
    """Its cosines are beyond 1, so they are none."""
    assert found(gradients(repeat=range(120, 200), decay=0.5)) == []


def test_of_few_layers_all_must_echo() -> None:
    """A network with one logit has gradients of few directions in its last layers."""
    usual, echo = gradients(layers=3), gradients(layers=3, repeat=range(120, 200))
    first = np.array([True, False, False])
    mixed = [
        replace(
            ours,
            norms=np.where(first, ours.norms, theirs.norms),
            signals={"snr": np.where(first, ours.signals["snr"], theirs.signals["snr"])},
        )
        for ours, theirs in zip(usual, echo)
    ]

    assert found(mixed) == []
    assert found(echo)[0][0] == "echo"


def test_missing_ratios_make_no_echo() -> None:
    """A budget leaves steps out: then nothing is known of two successive ones."""
    assert found(gradients(300, repeat=range(120, 300))[::2]) == []


def test_cosines_follow_from_norms_and_ratios() -> None:
    """They are those of the gradient and of the moment before it, computed directly."""
    random = np.random.default_rng(0)
    moment, square, weight = np.zeros(9), 0.0, 0.0
    norms, ratios, expected = [], [], []
    for _ in range(60):
        gradient = random.normal(0.3, 1, 9)
        norm = np.linalg.norm(gradient)
        if moment.any():
            expected.append(gradient @ moment / norm / np.linalg.norm(moment))
        moment = 0.9 * moment + 0.1 * gradient
        square, weight = 0.9 * square + 0.1 * norm**2, 0.9 * weight + 0.1
        norms.append([norm])
        ratios.append([moment @ moment / (square / weight)])
    found = MomentCosines(1).find(
        np.arange(60), np.array(norms), np.array(ratios, np.float32)
    )

    assert np.isnan(found[0, 0])
    np.testing.assert_allclose(found[1:, 0], expected, atol=1e-5)
