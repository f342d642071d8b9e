"""Optimizers that join a run later, and gradients that were there before it."""

import gc

import numpy as np
import pytest
import torch
from helpers.models import loss_of, sgd, small, true_norm
from helpers.monitors import StepCollector, collector_for, small_collector
from torch import nn

from gradsound.measure.hooks.install import join_optimizer


def skip(
    model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
) -> None:
    """Makes a step that the scaler skips."""
    scaler.scale(loss_of(model, torch.Generator()) * float("inf")).backward()
    scaler.step(optimizer)
    scaler.update()


@pytest.mark.parametrize(("count", "absent"), [(1, [[True, False]]), (2, [[False, False]])])
def test_steps_of_a_joined_optimizer_count(count: int, absent: list[list[bool]]) -> None:
    """Such a step has its own parameters alone; among several optimizers, all new ones."""
    model = small()
    given = [sgd(model)] if count == 1 else [sgd(model[0]), sgd(model[2])]
    second, collector = sgd(model[2]), StepCollector(model, given)
    join_optimizer(collector.monitor, second, None)
    loss_of(model, torch.Generator()).backward()
    expected = true_norm(model[2])
    second.step()

    assert collector.absent == absent
    np.testing.assert_allclose(collector.norms[0][1], expected, rtol=1e-6)


def test_skipped_steps_of_a_joined_optimizer_count() -> None:
    """They do if it has a scaler, and once each."""
    model, optimizer, collector = small_collector(with_optimizer=True)
    second, scaler = sgd(model), torch.amp.GradScaler("cpu")
    join_optimizer(collector.monitor, second, scaler)
    skip(model, second, scaler)
    skip(model, optimizer, scaler)  # the scaler of the one that joined is not its own

    assert [step.skipped for step in collector.steps] == [True]


def test_optimizers_may_join_again_and_again() -> None:
    """A training may make a new one each epoch; the list of the old ones does not grow.

    One that is gone stays in it, by which the tracker knows that there was one.
    """
    model, optimizer, collector = small_collector(with_optimizer=True)
    for _ in range(3):
        del optimizer
        gc.collect()
        optimizer = sgd(model)
        join_optimizer(collector.monitor, optimizer, None)
        loss_of(model, torch.Generator()).backward()
        optimizer.step()
    alive = [reference() for reference in collector.monitor.tracker.optimizers]

    assert alive == [None, optimizer]
    assert len(collector.steps) == 3


def test_gradients_from_before_the_monitor_are_fresh() -> None:
    """Once marked, they are those of the next step, and of no later one."""
    model = small()
    loss_of(model, torch.Generator()).backward()
    model[0].zero_grad()
    expected = true_norm(model[2])
    optimizer = sgd(model)
    collector = collector_for(model, optimizer, with_optimizer=False)
    collector.monitor.mark_present()
    optimizer.step()
    optimizer.step()

    assert collector.absent == [[True, False]]
    np.testing.assert_allclose(collector.norms[0][1], expected, rtol=1e-6)
