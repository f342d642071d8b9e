"""Signals on a device that has no streams, events and pinned memory, and computes later."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from helpers.lazy_device import count_graphs, end_step, norms_in_graphs
from helpers.models import small
from helpers.monitors import BOTH, collector_for
from helpers.signals import signal

from gradsound.measure.hooks.parts import MonitorParts
from gradsound.measure.step_queue import StepQueue
from gradsound.runs.step import Step
from gradsound.signal_options import SIGNAL_NAMES

_STEPS = 12
_PARTS = MonitorParts(queue=partial(StepQueue, max_delay=0.0))  # emits as soon as it can


def run(
    device: str, with_optimizer: bool | None
) -> tuple[list[int], list[torch.Tensor], list[Step]]:
    """Trains; returns executed graphs of each step, the weights, and the steps.

    Args:
        device: The device.
        with_optimizer: Whether to give the optimizer; None records nothing.
    """
    model = small().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, foreach=False)
    collector = None
    if with_optimizer is not None:
        collector = collector_for(
            model, optimizer, with_optimizer, parts=_PARTS, signals=SIGNAL_NAMES
        )
    graphs = []
    for seed in range(_STEPS):
        before = count_graphs()[0]
        x = 3 * torch.rand(8, 3, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        model(x.to(device)).square().mean().backward()
        optimizer.step()
        if device == "lazy":
            end_step()
        graphs.append(count_graphs()[0] - before)
    weights = [p.detach().cpu() for p in model.parameters()]
    return graphs, weights, [] if collector is None else collector.steps


@BOTH
def test_a_step_executes_as_many_graphs(with_optimizer: bool) -> None:
    """Signals are results of the graph of the step; they are those of the host."""
    with norms_in_graphs():
        bare, weights, _ = run("lazy", None)
        recorded, same, steps = run("lazy", with_optimizer)
    _, _, expected = run("cpu", with_optimizer)

    assert recorded == bare
    assert all(torch.equal(one, other) for one, other in zip(weights, same))
    for name in SIGNAL_NAMES:
        found = signal(steps, name)
        np.testing.assert_allclose(found, signal(expected, name), rtol=1e-3, atol=1e-7)
