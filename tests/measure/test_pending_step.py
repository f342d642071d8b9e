"""Steps with norms on an accelerator: emitted in order, once the norms are copied."""

from functools import partial

import numpy as np
import pytest
from helpers.models import sgd, small, train
from helpers.monitors import StepCollector
from torch import nn

from gradsound.measure.hooks.parts import MonitorParts
from gradsound.measure.norms.per_layer import LocalNorms
from gradsound.measure.norms.snapshot import NormSnapshot
from gradsound.measure.pending_step import PendingStep
from gradsound.measure.step_queue import StepQueue
from gradsound.runs.step import Step


class LateNorms(LocalNorms):
    """Norms of a busy accelerator; the test decides when they are ready."""

    arrived = False
    waits = 0

    @property
    def ready(self) -> bool:
        return LateNorms.arrived

    def values(self):
        LateNorms.waits += not LateNorms.arrived
        return super().values()


PARTS = MonitorParts(
    queue=partial(StepQueue, max_delay=0.0),  # emits ready steps at each step
    norms_per_layer=LateNorms,
)


@pytest.fixture
def training() -> tuple[nn.Module, object, StepCollector]:
    LateNorms.arrived, LateNorms.waits = False, 0
    model = small()
    optimizer = sgd(model)
    return model, optimizer, StepCollector(model, optimizer, parts=PARTS)


def test_training_does_not_wait_for_norms(training) -> None:
    """Training goes on without the norms; once ready, all steps are emitted as measured."""
    model, optimizer, collector = training
    clip = lambda: nn.utils.clip_grad_norm_(model.parameters(), 1 / 13)  # noqa: E731
    train(model, optimizer, 4, before_step=clip)
    assert not collector.emitted
    assert not LateNorms.waits
    LateNorms.arrived = True
    train(model, optimizer, 1, before_step=clip)

    twin = small()
    other = StepCollector(twin, twin_optimizer := sgd(twin))
    other_clip = lambda: nn.utils.clip_grad_norm_(twin.parameters(), 1 / 13)  # noqa: E731
    for steps in (4, 1):
        train(twin, twin_optimizer, steps, before_step=other_clip)
    assert [step.number for step in collector.emitted] == list(range(5))
    np.testing.assert_array_equal([s.norms for s in collector.emitted], other.norms)
    np.testing.assert_array_equal(
        [s.raw for s in collector.emitted], [s.raw for s in other.steps]
    )


def test_closing_waits_for_norms(training) -> None:
    """close() waits for the norms of the last steps, and emits them."""
    model, optimizer, collector = training
    train(model, optimizer, 3)
    collector.monitor.close()

    assert [step.number for step in collector.emitted] == [0, 1, 2]
    assert LateNorms.waits == 3


class FailedCopy:
    """A copy from an accelerator that cannot be read."""

    ready = True

    def values(self) -> list[np.ndarray]:
        """Fails as a device does."""
        raise RuntimeError("device lost")


def test_steps_before_one_that_fails_are_emitted() -> None:
    """Also if it fails for a logged value, and all steps are emitted together."""
    emitted: list[Step] = []
    queue = StepQueue(emitted.extend)
    first = np.array([0])
    for number in range(4):
        snapshot = NormSnapshot(np.array([False]), np.array([[2.0]]), 0)
        values = {"loss": FailedCopy() if number == 2 else 0.5}
        norms = LocalNorms(snapshot, first)
        step = PendingStep(number, float(number), norms, (), None, None, values)
        queue.pending.append(step)
    with pytest.raises(RuntimeError, match="device lost"):
        queue.flush()

    assert [(step.number, step.values["loss"]) for step in emitted] == [(0, 0.5), (1, 0.5)]
