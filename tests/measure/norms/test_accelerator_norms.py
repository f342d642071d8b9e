"""Norms on accelerators: one vector for each, which are added up on the host."""

import numpy as np
import torch

from gradsound.measure.norms.compute import compute_norms_on_device
from gradsound.measure.norms.per_layer import LocalNorms
from gradsound.measure.norms.snapshot import NormCollector, NormSnapshot


def test_the_norms_of_a_device_are_one_vector() -> None:
    """It has a norm for each parameter, 0 for those elsewhere, in float64."""
    sparse = torch.sparse_coo_tensor(
        [[0, 0, 2]], [1.0, 2.0, 4.0], (5,), check_invariants=True
    )
    gradients = [
        *(torch.full((3, 3), 1e30), None, torch.ones(4), torch.full((4,), 3j), sparse),
        *(torch.zeros(0), torch.full((4,), 0.5, dtype=torch.float16)),
    ]
    norms = compute_norms_on_device([0, 3, 4, 5, 6], gradients, torch.device("cpu"))

    assert norms.dtype == torch.float64
    np.testing.assert_allclose(norms, [3e30, 0, 0, 6, 5, 0, 1], rtol=1e-6)


def test_parameters_of_a_layer_may_be_on_several_devices() -> None:
    """Their norms add up as one vector; a layer without any gradient is absent."""
    snapshot = NormSnapshot(
        np.array([False, False, False, True]),
        rows=np.array([[0.0, 0.0, 8.0, 0.0]]),
        row=0,
        order=np.array([0]),
        values=[2.0],
        vectors=[torch.tensor([0.0, 3.0, 0.0, 0.0]), torch.tensor([0.0, 6.0, 0.0, 0.0])],
    )
    layers = LocalNorms(snapshot, np.array([0, 2, 3]))
    norms, absent = layers.values()

    assert layers.ready
    np.testing.assert_allclose(norms, [7, 8, 0])
    assert absent.tolist() == [False, False, True]


def test_norms_of_the_host_alone_are_ready() -> None:
    """There is nothing to copy."""
    snapshot = NormSnapshot(np.array([False]), None, 0, np.array([0]), [0.5], [])
    layers = LocalNorms(snapshot, np.array([0]))

    assert layers.ready is True
    assert layers.values()[0].tolist() == [0.5]


def test_a_collector_leaves_norms_of_a_device_there() -> None:
    """Its snapshot has them as a vector of that device, beside those of the host."""
    collector = NormCollector()
    collector.add(0, torch.full((4,), 1.5))
    collector.norms |= {2: torch.tensor(4.0), 3: torch.tensor(5.0)}
    snapshot = collector.snapshot(5)
    (vector,) = snapshot.vectors

    assert snapshot.host_norms().tolist() == [3, 0, 0, 0, 0]
    assert vector.tolist() == [0, 0, 4, 5, 0]
    assert snapshot.without_gradient.tolist() == [False, True, False, False, True]
