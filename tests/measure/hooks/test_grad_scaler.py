"""Mixed precision: norms without the loss scale, and skipped steps."""

import numpy as np
import pytest
import torch
from helpers.models import loss_of, sgd, small
from helpers.monitors import BOTH, StepCollector, collector_for
from torch import nn


def train_scaled(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    *,
    bad: tuple[int, ...] = (),
    unscale: bool = False,
) -> list[list[float]]:
    """Trains six steps under a scaler; returns the true norms.

    Args:
        model: The model.
        optimizer: Its optimizer.
        scaler: Scales the loss.
        bad: Numbers of steps with an infinite loss.
        unscale: Whether to unscale the gradients before the step.
    """
    data = torch.Generator().manual_seed(1)
    expected = []
    for number in range(6):
        optimizer.zero_grad()
        loss = loss_of(model, data)
        plain = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
        pairs = plain[:2], plain[2:]
        expected.append(
            [torch.cat([g.flatten() for g in pair]).norm().item() for pair in pairs]
        )
        scaler.scale(loss * (float("inf") if number in bad else 1.0)).backward()
        if unscale:
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    return expected


SCALED = pytest.mark.parametrize("fused", [True, False])


@BOTH
@SCALED
@pytest.mark.parametrize("unscale", [True, False])
def test_loss_scale_is_not_in_the_norms(with_optimizer, fused: bool, unscale: bool) -> None:
    """The norms do not contain the loss scale, with a fused optimizer or another."""
    model = small()
    optimizer = sgd(model, fused=fused)
    collector = collector_for(model, optimizer, with_optimizer)
    expected = train_scaled(model, optimizer, torch.amp.GradScaler("cpu"), unscale=unscale)

    np.testing.assert_allclose(collector.norms, expected, rtol=1e-5)
    assert not any(step.skipped for step in collector.steps)
    if fused and not unscale:
        assert {step.loss_scale for step in collector.steps} == {65536.0}


@BOTH
@SCALED
@pytest.mark.parametrize("unscale", [True, False])
def test_skipped_steps_are_steps(with_optimizer, fused: bool, unscale: bool) -> None:
    """A step that the scaler skips is in the run, flagged, with nonfinite norms."""
    model = small()
    optimizer = sgd(model, fused=fused)
    scaler = torch.amp.GradScaler("cpu")
    collector = StepCollector(model, optimizer if with_optimizer else None, scaler)
    expected = train_scaled(model, optimizer, scaler, bad=(1, 4), unscale=unscale)
    good = [0, 2, 3, 5]

    assert [step.skipped for step in collector.steps] == [k not in good for k in range(6)]
    assert [step.number for step in collector.steps] == list(range(6))
    assert collector.steps[1].nonfinite.all()
    np.testing.assert_allclose(
        [collector.norms[k] for k in good], np.array(expected)[good], rtol=1e-5
    )
    if not (fused and unscale):  # then the loss scale is unknown
        assert [collector.steps[k].loss_scale for k in (1, 4)] == [65536.0, 32768.0]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_closing_restores_the_scaler(order: tuple[int, int]) -> None:
    """Two monitors may close in any order: one measures on, then the scaler is restored."""
    model = small()
    optimizers = sgd(model[0]), sgd(model[2])
    scaler = torch.amp.GradScaler("cpu")
    collectors = [StepCollector(model, optimizer, scaler) for optimizer in optimizers]

    def skip() -> None:
        scaler.scale(loss_of(model, torch.Generator()) * float("inf")).backward()
        for optimizer in optimizers:
            scaler.step(optimizer)
        scaler.update()

    first, last = order
    collectors[first].monitor.close()
    skip()
    collectors[last].monitor.close()
    assert "step" not in vars(scaler)
    skip()

    assert len(collectors[first].steps) == 0
    assert [step.skipped for step in collectors[last].steps] == [True]


def test_two_optimizers_of_one_scaler() -> None:
    """Each monitor measures the skipped steps of its own optimizer alone."""
    model = small()
    first, second = sgd(model[0]), sgd(model[2])
    scaler = torch.amp.GradScaler("cpu")
    collectors = StepCollector(model, first, scaler), StepCollector(model, second, scaler)
    scaler.scale(loss_of(model, torch.Generator()) * float("inf")).backward()
    scaler.step(first)
    assert [len(collector.steps) for collector in collectors] == [1, 0]
    scaler.step(second)
    assert [len(collector.steps) for collector in collectors] == [1, 1]
    assert all(collector.steps[0].skipped for collector in collectors)
