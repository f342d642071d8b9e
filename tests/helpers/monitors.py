"""What hears models in tests."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.models import sgd, small
from torch import nn

from gradsound.measure.hooks.install import monitor
from gradsound.measure.layers import find_layers
from gradsound.runs.model import Step

BOTH = pytest.mark.parametrize("with_optimizer", [True, False])


_open = []


def close_all() -> None:
    """Closes what a test left open: the hooks of some are global."""
    while _open:
        _open.pop().close()


class StepCollector:
    """Keeps what a tap emits."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None = None,
        scaler: torch.amp.GradScaler | None = None,
        **options: object,
    ) -> None:
        self._steps = []
        self.layers = find_layers(model, optimizer, None)
        self.monitor = monitor(
            model, self.layers, optimizer, self._steps.extend, scaler=scaler, **options
        )
        _open.append(self.monitor)

    @property
    def steps(self) -> list[Step]:
        """What was emitted until now."""
        self.monitor.flush()
        return self._steps

    @property
    def norms(self) -> list[np.ndarray]:
        """Of the layers, a row a step."""
        return [step.norms for step in self.steps]

    @property
    def absent(self) -> list[list[bool]]:
        """Which layers had no gradient, a row a step."""
        return [step.absent.tolist() for step in self.steps]


def collector_for(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    with_optimizer: bool,
    **options: object,
) -> StepCollector:
    """An ear for the optimizer, or for whatever trains the model."""
    return StepCollector(model, optimizer if with_optimizer else None, **options)


def small_collector(
    with_optimizer: bool,
) -> tuple[nn.Module, torch.optim.Optimizer, StepCollector]:
    """A small model, its optimizer, and an ear for them."""
    model = small()
    optimizer = sgd(model)
    return model, optimizer, collector_for(model, optimizer, with_optimizer)
