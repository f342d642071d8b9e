"""Clipping before unscale_(): raw norms without the loss scale, and one warning."""

import numpy as np
import pytest
import torch
from helpers.models import loss_of, sgd, small, true_norm
from helpers.monitors import BOTH, StepCollector, collector_for
from torch import nn

from gradsound.errors import GradsoundWarning

SCALE = 1024.0
EARLY = "clipping came too early: .* call scaler.unscale_.optimizer. before it"


def train_clipped(
    model: nn.Module, optimizer: torch.optim.Optimizer, when: str, *, discard: bool = False
) -> list[list[float]]:
    """Trains four steps under a scaler; returns the true norms from before clipping.

    Args:
        model: The model.
        optimizer: Its optimizer.
        when: Whether unscale_() comes "before" clipping, "after" it, or "never".
        discard: Whether the third iteration throws its gradients away.
    """
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)
    data, raw = torch.Generator().manual_seed(1), []
    for k in range(4):
        optimizer.zero_grad()
        scaler.scale(loss_of(model, data)).backward()
        norms = np.array([true_norm(model[0]), true_norm(model[2])])
        raw.append(norms / SCALE)
        if when == "before":
            scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1 / 13)
        if discard and k == 2:
            continue
        if when == "after":
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    return raw


@BOTH
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("when", ["after", "never"])
def test_clipping_too_early(with_optimizer: bool, fused: bool, when: str) -> None:
    """Raw norms do not contain the loss scale; one warning says how to clip."""
    model = small()
    optimizer = sgd(model, fused=fused)
    collector = collector_for(model, optimizer, with_optimizer)
    with pytest.warns(GradsoundWarning, match=EARLY) as warned:
        raw = train_clipped(model, optimizer, when)

    assert len(warned) == 1
    np.testing.assert_allclose([step.raw for step in collector.steps], raw, rtol=1e-5)


@BOTH
@pytest.mark.parametrize("fused", [True, False])
def test_clipping_in_time(
    with_optimizer: bool, fused: bool, recwarn: pytest.WarningsRecorder
) -> None:
    """If unscale_() comes first, there is no warning, and raw norms are right."""
    model = small()
    optimizer = sgd(model, fused=fused)
    collector = collector_for(model, optimizer, with_optimizer)
    raw = train_clipped(model, optimizer, "before")

    assert not recwarn.list
    np.testing.assert_allclose([step.raw for step in collector.steps], raw, rtol=1e-5)


def test_a_discarded_step_has_no_loss_scale() -> None:
    """The norms of gradients that are thrown away before unscale_() are without it too."""
    model = small()
    optimizer = sgd(model)
    collector = StepCollector(model, optimizer)
    with pytest.warns(GradsoundWarning, match=EARLY):
        raw = train_clipped(model, optimizer, "after", discard=True)

    assert [step.discarded for step in collector.steps] == [False, False, True, False]
    np.testing.assert_allclose(collector.norms[2], raw[2], rtol=1e-5)


def test_another_optimizer_may_unscale_later(recwarn: pytest.WarningsRecorder) -> None:
    """Each optimizer unscales, clips and steps in turn: no clipping is too early."""
    model = small()
    optimizers = sgd(model[0]), sgd(model[2])
    collector = StepCollector(model)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(loss_of(model, torch.Generator())).backward()
    for optimizer, layer in zip(optimizers, (model[0], model[2])):
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(layer.parameters(), 1 / 13)
    for optimizer in optimizers:
        scaler.step(optimizer)

    assert len(collector.steps) == 1
    assert not recwarn.list
    assert not recwarn.list


def test_a_scaler_that_is_off_warns_of_nothing(
    recwarn: pytest.WarningsRecorder,
) -> None:
    """A disabled scaler scales nothing, so clipping may come before unscale_()."""
    model = small()
    optimizer = sgd(model)
    collector = StepCollector(model, optimizer)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    scaler.scale(loss_of(model, torch.Generator())).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1 / 13)
    scaler.unscale_(optimizer)
    scaler.step(optimizer)

    assert len(collector.steps) == 1
    assert not recwarn.list


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_closing_restores_torch(order: tuple[int, int]) -> None:
    """Two monitors may close in any order; the last restores GradScaler.unscale_."""
    original = torch.amp.GradScaler.unscale_
    model = small()
    collectors = [StepCollector(model, sgd(model[0])), StepCollector(model, sgd(model[2]))]
    assert torch.amp.GradScaler.unscale_ is not original
    collectors[order[0]].monitor.close()
    assert torch.amp.GradScaler.unscale_ is not original
    collectors[order[1]].monitor.close()

    assert torch.amp.GradScaler.unscale_ is original
