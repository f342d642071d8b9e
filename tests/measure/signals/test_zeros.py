"""The share of zeros is that of the gradient that the optimizer gets, every 10th step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.models import small
from helpers.monitors import BOTH, StepCollector, collector_for
from helpers.signals import ZEROS_STEPS, Witness, every, signal, train_on
from torch import nn

from gradsound.measure.norms.compute import LARGE
from gradsound.measure.signals.zero_shares import ZeroShares

ZEROS = {"signals": ("zeros",)}


@BOTH
def test_the_share_is_counted_every_10th_step(with_optimizer: bool) -> None:
    """After whatever the training did to the gradients, such as a mask or an underflow."""
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    collector = collector_for(model, optimizer, with_optimizer, **ZEROS)

    def mask(number: int) -> None:
        model[0].weight.grad[number % 4] = 0.0
        model[2].bias.grad.zero_()

    witness = train_on(model, optimizer, 21, before_step=mask)
    found = signal(collector.steps, "zeros")

    expected = every(witness.zeros, ZEROS_STEPS)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (expected[[0, 10, 20]] > 0).all()
    assert [step.number for step in collector.steps if step.signals] == [0, 10, 20]


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_a_compressed_sparse_gradient() -> None:
    """A number that it leaves out is 0, and so may be one that it has."""
    rows = torch.sparse_csr_tensor(
        [0, 2, 3], [0, 1, 1], [3.0, 0.0, 4.0], (2, 4), check_invariants=True
    )

    shares = ZeroShares([rows], np.array([0])).values()
    np.testing.assert_allclose(shares, [0.75])


def test_gradients_of_any_kind_are_counted() -> None:
    """Small and large, empty, sparse, in half precision, complex, and not contiguous."""
    some = torch.tensor([0.0, 1.0, -0.0, 2.0])
    large = torch.zeros(LARGE + 4)
    large[:3] = torch.tensor([1.0, torch.nan, torch.inf])
    places, numbers = [[0, 0, 2]], [1.0, -1.0, 3.0]  # that is, 0, 0, 3, 0
    sparse = torch.sparse_coo_tensor(places, numbers, (4,), check_invariants=True)
    gradients = [
        some,
        some.bfloat16(),
        some.to(torch.complex64),
        torch.zeros(0),
        large,
        sparse,
        some.reshape(2, 2).T,
        torch.tensor(0.0),
        None,
        torch.tensor(1e-45),
    ]
    each = ZeroShares(gradients, np.arange(10)).values()
    together = ZeroShares(gradients, np.array([0, 3, 8])).values()

    expected = [0.5, 0.5, 0.5, np.nan, 1 - 3 / len(large), 0.75, 0.5, 1.0, np.nan, 0.0]
    np.testing.assert_allclose(each, expected)
    zeros, size = len(large) - 3 + 3 + 2 + 1, len(large) + 4 + 4 + 1
    np.testing.assert_allclose(together, [0.5, zeros / size, 0.0])


def test_an_embedding_with_sparse_gradients() -> None:
    """Rows that no input names are zeros."""
    model = nn.Sequential(nn.Embedding(10, 3, sparse=True), nn.Flatten(), nn.Linear(6, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    collector = StepCollector(model, optimizer, **ZEROS)
    model(torch.tensor([[1, 1], [4, 1]])).sum().backward()
    optimizer.step()

    np.testing.assert_allclose(signal(collector.steps, "zeros"), [[0.8, 0.0]])


def test_a_layer_without_a_gradient_has_no_share() -> None:
    """Nor has a frozen one."""
    model = small()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    collector = StepCollector(model, optimizer, **ZEROS)
    model(torch.ones(4, 3)).sum().backward()
    optimizer.step()

    assert np.isnan(signal(collector.steps, "zeros")).tolist() == [[True, False]]


@pytest.mark.parametrize("fused", [False, True])
def test_what_underflows_in_half_precision_is_0(fused: bool) -> None:
    """A loss scale does not change the share."""
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)
    collector = StepCollector(model, optimizer, scaler, **ZEROS)
    scaler.scale(model(torch.rand(4, 3)).square().mean()).backward()
    for parameter in model.parameters():
        parameter.grad.copy_((parameter.grad * 2.0**-20).half().float())
    expected = Witness([model[0], model[2]])
    expected.look_before()
    scaler.step(optimizer)

    found = signal(collector.steps, "zeros")
    np.testing.assert_allclose(found, expected.zeros, rtol=1e-6)
    assert 0 < found[0, 0] < 1
