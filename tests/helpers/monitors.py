"""Monitors of models in tests, and the steps that they emit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
import torch
from helpers.models import sgd, small
from torch import nn

from gradsound.measure.hooks import install
from gradsound.measure.hooks.install import install_monitor
from gradsound.measure.hooks.optimizer_wrappers import unwrap_optimizers
from gradsound.measure.hooks.parts import MonitorParts
from gradsound.measure.layers import find_layers
from gradsound.measure.norms.per_layer import LocalNorms
from gradsound.runs.step import Step

BOTH = pytest.mark.parametrize("with_optimizer", [True, False])


_open_monitors = []


def close_all() -> None:
    """Closes the monitors of a test, because some of their hooks are global."""
    while _open_monitors:
        _open_monitors.pop().close()


def attach_with_parts(monkeypatch: pytest.MonkeyPatch, parts: MonitorParts) -> None:
    """Makes gradsound.attach() install monitors with other parts."""
    monkeypatch.setattr(install, "install_monitor", partial(install_monitor, parts=parts))


class StepCollector:
    """Keeps the steps that a monitor emits.

    Args:
        model: The model to measure.
        optimizer: As for gradsound.attach().
        scaler: As for gradsound.attach().
        emit: Receives the steps instead, if given.
        **options: Options of install_monitor().
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | list[torch.optim.Optimizer] | None = None,
        scaler: torch.amp.GradScaler | None = None,
        emit: Callable[[Sequence[Step]], None] | None = None,
        **options: object,
    ) -> None:
        self.emitted = []
        optimizers = unwrap_optimizers(optimizer)
        self.layers = find_layers(model, optimizers, None)
        emit = self.emitted.extend if emit is None else emit
        self.monitor = install_monitor(
            model, self.layers, optimizers, emit, scaler=scaler, **options
        )
        _open_monitors.append(self.monitor)

    @property
    def steps(self) -> list[Step]:
        """All steps so far; waits for those that the monitor has not emitted."""
        self.monitor.flush()
        return self.emitted

    @property
    def norms(self) -> list[np.ndarray]:
        """Norms of the layers, one row a step."""
        return [step.norms for step in self.steps]

    @property
    def absent(self) -> list[list[bool]]:
        """Which layers had no gradient, one row a step."""
        return [step.absent.tolist() for step in self.steps]


class OtherNorms(LocalNorms):
    """Norms that Python reads at each step, as machine code alone makes LocalNorms."""


class FailingNorms:
    """A constructor of norms that raises an exception once `fails` is set."""

    fails = False

    def __call__(self, *args: object) -> OtherNorms:
        """Makes norms or raises ZeroDivisionError."""
        if self.fails:
            raise ZeroDivisionError
        return OtherNorms(*args)


def collector_for(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    with_optimizer: bool,
    **options: object,
) -> StepCollector:
    """Returns a collector on the optimizer, or on the model alone."""
    return StepCollector(model, optimizer if with_optimizer else None, **options)


def small_collector(
    with_optimizer: bool, **options: object
) -> tuple[nn.Module, torch.optim.Optimizer, StepCollector]:
    """Returns a small model, its optimizer, and a collector of its steps."""
    model = small()
    optimizer = sgd(model)
    return model, optimizer, collector_for(model, optimizer, with_optimizer, **options)
