"""Gradients of which far more numbers are 0 than usual."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.signal_steps import detect, found, zeros

from gradsound.alarms.thresholds import Alarm


def usual(steps: int = 300, seed: int = 0) -> np.ndarray:
    """Returns shares of zeros around 0, 0.3 and 0.8, shape (S, 3)."""
    scatter = np.random.default_rng(seed).normal(0, 0.02, (steps, 3))
    return np.clip([0, 0.3, 0.8] + scatter * [0, 1, 1], 0, 1)


@pytest.mark.parametrize("onset", [200, 201, 209])
def test_more_zeros_twice_in_a_row_are_an_alarm(onset: int) -> None:
    """Within 20 steps, whatever the step; it ends when they are usual again."""
    shares = np.tile([0.0, 0.3, 0.8], (300, 1))
    shares[onset:260] = [0.5, 0.6, 0.8]
    first, second = detect(zeros(shares))

    text = "coarse gradient in layer0, 50% zeros, before 0% at most (and 1 more)"
    layers = "layer0", "layer1"
    step = 210 if onset == 200 else 220
    assert step - onset < 20
    assert first == Alarm("coarse", step, text, layers, persists=True)
    text = "no longer coarse: layer0 (and 1 more)"
    assert second == Alarm("recovery", 260, text, layers, resolves="coarse")


@pytest.mark.parametrize("seed", range(3))
def test_usual_shares_are_no_alarm(seed: int) -> None:
    """They scatter, and grow as units die one by one."""
    shares = usual(3000, seed)
    assert found(zeros(shares)) == []
    growing = np.clip(shares + np.linspace(0, 0.6, 3000)[:, None], 0, 1)
    assert found(zeros(growing)) == []


def test_one_batch_with_more_zeros_is_no_alarm() -> None:
    """The last batch of an epoch may be small; after it, such a share is usual."""
    shares = usual()
    shares[[200, 250, 260]] = 0.9

    assert found(zeros(shares)) == []


def test_few_counts_are_no_usual_share() -> None:
    """An alarm needs six counts before it."""
    shares = np.zeros((100, 1))
    shares[50:] = 0.9
    assert found(zeros(shares)) == []
    shares = np.zeros((100, 1))
    shares[60:] = 0.9
    assert found(zeros(shares)) == [("coarse", 70, "")]


def test_a_gradient_that_is_nearly_gone_is_not_coarse() -> None:
    """It underflows in any format, as that of an expert without hard samples."""
    shares, norms = np.tile([0.0, 0.3, 0.8], (300, 1)), np.ones((300, 3))
    shares[200:260] = [0.5, 0.6, 0.8]
    assert found(zeros(shares, norms)) != []
    norms[200:260] = 1e-3
    assert found(zeros(shares, norms)) == []
