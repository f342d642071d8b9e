"""The true norms of a training, computed by other means than those of gradsound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from gradsound.runs.step import Step


def true_norms(model: nn.Module) -> dict[str, float]:
    """Returns the norm of each module's own gradients in float64; NaN without any.

    Call it at the moment of the update: the gradients are complete, and the optimizer has
    not changed them. Modules without parameters are left out, frozen ones too.
    """
    norms = {}
    for name, module in model.named_modules():
        own = [p for p in module.parameters(recurse=False) if p.requires_grad]
        grads = [p.grad for p in own if p.grad is not None]
        if own:
            squares = [(grad.to_dense().double() ** 2).sum() for grad in grads]
            norms[name] = torch.stack(squares).sum().sqrt().item() if grads else np.nan
    return norms


def assert_steps(
    steps: Sequence[Step], layers: Sequence[str], truth: Sequence[dict[str, float]]
) -> None:
    """Asserts that a run has exactly the true steps, within a part in 10,000.

    Args:
        steps: The recorded steps.
        layers: Names of the recorded layers.
        truth: What `true_norms` returned at the update of each step.
    """
    expected = [[norms[name] for name in layers] for norms in truth]
    assert [step.number for step in steps] == [*range(len(truth))]
    np.testing.assert_allclose([step.norms for step in steps], expected, rtol=1e-4)
