"""A monitor with torch.compile, checkpointing and torch.func."""

import numpy as np
import pytest
import torch
from helpers.models import sgd, small, train, true_norm
from helpers.monitors import BOTH, StepCollector, collector_for
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.utils.checkpoint import checkpoint

COMPILED = pytest.mark.parametrize("attached", ["before", "after", "without an optimizer"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in torch's own code
@COMPILED
def test_compiling_makes_as_many_graphs(attached: str) -> None:
    """A compiled model and step have no more graphs with a monitor, and equal norms."""
    torch._dynamo.reset()
    model = small()
    optimizer = sgd(model)
    forward, step = CompileCounter(), CompileCounter()
    fast = torch.compile(model, backend=forward, fullgraph=True)
    if attached == "before":
        collector = StepCollector(model, optimizer)
    elif attached == "after":
        collector = StepCollector(fast, optimizer)
    else:
        collector = StepCollector(fast)
    optimizer.step = torch.compile(optimizer.step, backend=step)
    train(fast, optimizer, 4)
    plain = small()
    other = StepCollector(plain, plain_optimizer := sgd(plain))
    train(plain, plain_optimizer, 4)

    assert (forward.frame_count, step.frame_count) == (1, 1)  # as many as without a monitor
    assert [layer.name for layer in collector.layers] == ["0", "2"]
    np.testing.assert_allclose(collector.norms, other.norms, rtol=1e-5)


@BOTH
@pytest.mark.parametrize("reentrant", [True, False])
def test_activation_checkpointing(with_optimizer: bool, reentrant: bool) -> None:
    """A layer that checkpointing computes twice has the right norm, once."""

    class Checkpointed(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x.requires_grad_()
            return checkpoint(super().forward, x, use_reentrant=reentrant)

    torch.manual_seed(0)
    model = Checkpointed(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = sgd(model)
    collector = collector_for(model, optimizer, with_optimizer)
    train(model, optimizer, 1)

    assert len(collector.norms) == 1
    expected = [true_norm(model[0]), true_norm(model[2])]
    np.testing.assert_allclose(collector.norms[0], expected, rtol=1e-6)


def test_functional_calls_pass() -> None:
    """torch.func works on an attached model, and is no step."""
    model = small().requires_grad_()
    model[1] = nn.ReLU()
    collector = StepCollector(model, sgd(model)), StepCollector(model)
    parameters = dict(model.named_parameters())
    loss = lambda p, x: torch.func.functional_call(model, p, (x,)).square().mean()  # noqa: E731
    gradients = torch.func.grad(loss)(parameters, torch.rand(8, 3))

    assert set(gradients) == set(parameters)
    assert not collector[0].norms
    assert not collector[1].norms
