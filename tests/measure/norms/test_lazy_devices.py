"""Norms on a device that has no streams, events and pinned memory, and computes later."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch
from helpers.lazy_device import count_graphs, end_step, norms_in_graphs
from helpers.models import sgd, small
from helpers.monitors import BOTH, StepCollector, collector_for
from helpers.oracle import assert_steps, true_norms
from torch import nn

from gradsound.measure.async_copy import AsyncCopy
from gradsound.measure.device_streams import find_streams
from gradsound.measure.hooks.parts import MonitorParts
from gradsound.measure.step_queue import StepQueue

_STEPS, _CLIP = 6, 1 / 97
_PARTS = MonitorParts(queue=partial(StepQueue, max_delay=0.0))  # emits as soon as it can


@pytest.fixture(autouse=True)
def _norms_in_graphs() -> Iterator[None]:
    with norms_in_graphs():
        yield


class LazyTraining:
    """A clipped training on a device.

    Attributes:
        graphs: How many graphs each step executed and compiled.
        losses: The losses, on the device.
        raw: The true norms from before clipping, if the device is the host.
        applied: The true norms that each step applied, if the device is the host.
    """

    def __init__(self, device: str) -> None:
        self.model = small().to(device)
        self.optimizer = sgd(self.model, foreach=False)
        self.graphs: list[tuple[int, int]] = []
        self.losses: list[torch.Tensor] = []
        self.raw: list[dict[str, float]] = []
        self.applied: list[dict[str, float]] = []
        self._device = device

    def run(self, collector: StepCollector | None = None) -> None:
        """Trains; logs the loss of each step, which the loop overwrites."""
        for seed in range(_STEPS):
            before = count_graphs()
            self.step(seed, collector)
            if self._device == "lazy":
                end_step()
            executed, compiled = np.subtract(count_graphs(), before).tolist()
            self.graphs.append((executed, compiled))

    def step(self, seed: int, collector: StepCollector | None) -> None:
        """Trains for one step, and does not end it on the device."""
        x = 3 * torch.rand(8, 3, generator=torch.Generator().manual_seed(seed))
        self.optimizer.zero_grad()
        loss = self.model(x.to(self._device)).square().mean()
        loss.backward()
        loss = loss.detach()
        if collector is not None:
            collector.monitor.log_values({"loss": loss})
        self.losses.append(loss.clone())
        loss.zero_()
        if self._device == "cpu":
            self.raw.append(true_norms(self.model))
        nn.utils.clip_grad_norm_(self.model.parameters(), _CLIP, foreach=False)
        if self._device == "cpu":
            self.applied.append(true_norms(self.model))
        self.optimizer.step()


@BOTH
def test_a_step_executes_and_compiles_the_same_graphs(with_optimizer: bool) -> None:
    """Recording adds norms, raw norms and the loss to them; all are those of the host."""
    bare, recorded, host = (LazyTraining(device) for device in ("lazy", "lazy", "cpu"))
    bare.run()
    collector = collector_for(
        recorded.model, recorded.optimizer, with_optimizer, parts=_PARTS
    )
    recorded.run(collector)
    host.run()

    assert bare.graphs == recorded.graphs
    assert bare.graphs[2:] == [(1, 0)] * (_STEPS - 2)
    for p, q in zip(bare.model.parameters(), recorded.model.parameters()):
        assert torch.equal(p.cpu(), q.cpu())
    names = [layer.name for layer in collector.layers]
    assert_steps(collector.steps, names, host.applied)
    raw = [[norms[name] for name in names] for norms in host.raw]
    np.testing.assert_allclose([step.raw for step in collector.steps], raw, rtol=1e-4)
    np.testing.assert_allclose(
        [step.values["loss"] for step in collector.steps], host.losses, rtol=1e-4
    )


def test_a_step_is_emitted_two_steps_later() -> None:
    """Then the device has computed it, and has the next one to compute meanwhile."""
    training = LazyTraining("lazy")
    collector = StepCollector(training.model, training.optimizer, parts=_PARTS)
    training.run(collector)

    assert [step.number for step in collector.emitted] == [*range(_STEPS - 2)]
    assert [step.number for step in collector.steps] == [*range(_STEPS)]


def test_a_copy_on_a_device_is_of_the_moment_when_it_was_made() -> None:
    """The training may overwrite the tensor before the host reads the copy."""
    tensor = torch.full((2,), 1 / 3, device="lazy")
    copy = AsyncCopy([tensor])
    tensor.zero_()
    end_step()

    np.testing.assert_allclose(copy.values()[0], [1 / 3, 1 / 3], rtol=1e-6)
    assert not copy.exact
    assert AsyncCopy([torch.ones(2)]).exact


def test_only_a_device_with_all_that_a_copy_needs_has_a_queue() -> None:
    """A kind without a module has none, nor one whose host memory cannot be pinned."""
    assert [find_streams(kind) for kind in ("cpu", "lazy", "xla", "mps")] == [None] * 4
    assert find_streams("cuda") is (torch.cuda if torch.cuda.is_available() else None)
