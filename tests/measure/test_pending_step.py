"""Steps whose figures are still on an accelerator: emitted when they arrive, in order."""

import numpy as np
import pytest
from helpers.models import sgd, small, train
from helpers.monitors import StepCollector
from torch import nn

from gradsound.measure import step_queue
from gradsound.measure.hooks import base as module
from gradsound.measure.norms.per_layer import LocalNorms


class Late(LocalNorms):
    """Norms that take their time, as those of a busy accelerator do."""

    arrived = False
    waited = 0

    @property
    def ready(self) -> bool:
        return Late.arrived

    def layers(self):
        Late.waited += not Late.arrived
        return super().layers()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> tuple[nn.Module, object, StepCollector]:
    monkeypatch.setattr(module, "LocalNorms", Late)
    monkeypatch.setattr(step_queue, "_LAG", 0.0)  # emit whatever is there at each step
    Late.arrived, Late.waited = False, 0
    model = small()
    optimizer = sgd(model)
    return model, optimizer, StepCollector(model, optimizer)


def test_nothing_waits_for_figures(collector) -> None:
    """Training goes on; once they are there, all steps come, as they were measured."""
    model, optimizer, collector = collector
    clip = lambda: nn.utils.clip_grad_norm_(model.parameters(), 1 / 13)  # noqa: E731
    train(model, optimizer, 4, before_step=clip)
    assert not collector._steps
    assert not Late.waited
    Late.arrived = True
    train(model, optimizer, 1, before_step=clip)

    twin = small()
    other = StepCollector(twin, twin_optimizer := sgd(twin))
    other_clip = lambda: nn.utils.clip_grad_norm_(twin.parameters(), 1 / 13)  # noqa: E731
    for steps in (4, 1):
        train(twin, twin_optimizer, steps, before_step=other_clip)
    assert [step.number for step in collector._steps] == list(range(5))
    np.testing.assert_array_equal([s.norms for s in collector._steps], other.norms)
    np.testing.assert_array_equal(
        [s.raw for s in collector._steps], [s.raw for s in other.steps]
    )


def test_closing_waits_for_them(collector) -> None:
    """The last steps are not lost."""
    model, optimizer, collector = collector
    train(model, optimizer, 3)
    collector.monitor.close()

    assert [step.number for step in collector._steps] == [0, 1, 2]
    assert Late.waited == 3
