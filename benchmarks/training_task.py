"""A training of the alarm benchmark: a model, its loss and its recipe."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

import gradsound

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from faults import Fault

Batch = tuple[torch.Tensor, torch.Tensor]  # inputs and targets
STEPS = 1000  # of a whole training; a schedule ends there


class TrainingTask(ABC):
    """A training that can have a fault; a subclass makes the model and the optimizer.

    Args:
        seed: Seed of the weights and the batches.
        half: Whether to train in float16 with a GradScaler.

    Attributes:
        name: The training, for a table.
        layer: Name of the layer that a fault touches.
        fault_step: Number of the step at which a fault begins.
        halves: Whether people train such a model in float16.
        rate: The highest learning rate.
        warm_up: Steps in which the learning rate rises from 0.
        cosine: Whether the learning rate then falls to a tenth, along a cosine.
        clip: Norm to which all gradients together are clipped; None clips nothing.
        evaluation_steps: Steps from one evaluation to the next.
        rate_factor: Multiplies the learning rate; a fault sets it.
        keeps_gradients: Whether gradients pile up from step to step; a fault sets it.
    """

    name: ClassVar[str]
    layer: ClassVar[str]
    fault_step: ClassVar[int] = 200
    halves: ClassVar[bool] = False
    rate: float
    warm_up: ClassVar[int] = 0
    cosine: ClassVar[bool] = False
    clip: ClassVar[float | None] = None
    evaluation_steps: ClassVar[int] = 100
    model: nn.Module
    optimizer: torch.optim.Optimizer

    def __init__(self, seed: int, *, half: bool = False) -> None:
        torch.manual_seed(seed)
        self.seed, self.half, self.rate_factor = seed, half, 1.0
        self.keeps_gradients = False
        self.scaler = torch.amp.GradScaler("cpu", enabled=half, init_scale=2.0**10)

    def draw_batch(self) -> Batch:
        """Returns the next batch, of a task that is supervised."""
        raise NotImplementedError

    @abstractmethod
    def compute_loss(self) -> torch.Tensor:
        """Returns the loss of the next batch, a scalar."""

    def measure(self) -> Mapping[str, float]:
        """Returns values that a user would log besides the loss at every step."""
        return {}

    def evaluate(self) -> Mapping[str, float]:
        """Returns values that a user would log at every evaluation."""
        return {}

    def train(
        self,
        log: Path,
        steps: int,
        fault: Fault | None = None,
        signals: Collection[str] = (),
    ) -> None:
        """Trains with gradsound attached.

        Args:
            log: The run file.
            steps: Number of steps, at most `STEPS`.
            fault: A fault; None for a healthy training.
            signals: What to measure besides the norms, as for `gradsound.attach`.
        """
        scaler = self.scaler if self.half else None
        with gradsound.attach(
            self.model,
            self.optimizer,
            log=log,
            scaler=scaler,
            comment=self.name,
            signals=signals,
        ) as attachment:
            for number in range(steps):
                if fault is not None:
                    fault.before(self, number)
                rate = self._rate_at(number)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                if not self.keeps_gradients:
                    self.optimizer.zero_grad()
                with torch.autocast("cpu", torch.float16, enabled=self.half):
                    loss = self.compute_loss()
                self.scaler.scale(loss).backward()
                if fault is not None:
                    fault.after(self, number)
                if self.clip is not None:
                    self.scaler.unscale_(self.optimizer)
                    nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
                attachment.log_values(loss=loss, lr=rate, **self.measure())
                if number % self.evaluation_steps == self.evaluation_steps - 1:
                    attachment.log_values(**self.evaluate())
                self.scaler.step(self.optimizer)
                self.scaler.update()

    def _rate_at(self, number: int) -> float:
        rate = self.rate * self.rate_factor
        if number < self.warm_up:
            return rate * (number + 1) / self.warm_up
        if not self.cosine:
            return rate
        share = (number - self.warm_up) / (STEPS - self.warm_up)
        return rate * (0.55 + 0.45 * math.cos(math.pi * share))
