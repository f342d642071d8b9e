"""A training loop that overhead.py times, and a switch for the hooks of its optimizer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from models import Make

BARE = "bare"  # label of turns that measure nothing
LONG_STEP = 0.03  # seconds
TURN_SECONDS = 0.12  # of short steps
FIRST_STEPS = 6  # of a recording; from then on machine code measures, where it can
Measure = Callable[[int], object]  # called before each step, with its number


class Loop:
    """A training loop with one model, recorded or not.

    Args:
        make: Returns the model, its inputs and its targets.
        momentum: Of the optimizer, which is SGD.

    Attributes:
        loss: The loss of the last step.
    """

    loss: torch.Tensor

    def __init__(self, make: Make, momentum: float = 0.0) -> None:
        torch.manual_seed(0)
        self.model, self._x, self._y = make()
        parameters = self.model.parameters()
        self.optimizer = torch.optim.SGD(parameters, lr=1e-4, momentum=momentum)
        self._loss_function = nn.CrossEntropyLoss()
        self._number, self.warm = 0, 2
        self.turn(lambda _: None, 5)
        self.seconds = self.turn(lambda _: None, 5)
        # Short steps need warm-up steps, so that the caches are as in a loop of the case
        # alone, and long turns: gradsound emits steps together, up to ten times a second.
        # Long steps need neither; for ratios near 1, turns must be close in time.
        self.steps, self.warm = 1, 0
        if self.seconds < LONG_STEP:
            self.steps, self.warm = max(6, round(TURN_SECONDS / self.seconds)), 2

    def first_turn(self) -> None:
        """Trains the first steps of a recording, which load what it needs."""
        self.turn(lambda _: None, max(FIRST_STEPS, self.steps))

    def turn(self, measure: Measure, steps: int) -> float:
        """Trains a turn; returns the seconds that a step takes."""
        for step in range(-self.warm, steps):
            if step == 0:
                begin = time.perf_counter()
            self.optimizer.zero_grad()
            self.loss = self._loss_function(self.model(self._x), self._y)
            self.loss.backward()
            measure(self._number)
            self.optimizer.step()
            self._number += 1
        return (time.perf_counter() - begin) / steps


class Hooks:
    """Switches the hooks of an optimizer on and off, and times them.

    Args:
        optimizer: An optimizer with hooks, which has made the first turn of the recording.

    Attributes:
        seconds: Time spent in timed hooks so far.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.seconds = 0.0
        self._registries = (
            optimizer._optimizer_step_pre_hooks,
            optimizer._optimizer_step_post_hooks,
        )
        self._plain = [dict(registry) for registry in self._registries]
        self._timed = [
            {key: self._time(hook) for key, hook in hooks.items()} for hooks in self._plain
        ]

    def set(self, *, on: bool, timed: bool = False) -> None:
        """Switches the hooks on or off; a timed hook takes a microsecond more."""
        wanted = self._timed if timed else self._plain
        for registry, hooks in zip(self._registries, wanted):
            registry.clear()
            registry.update(hooks if on else {})

    def _time(self, hook: Callable[..., None]) -> Callable[..., None]:
        def call(*args: object) -> None:
            begin = time.perf_counter()
            hook(*args)
            self.seconds += time.perf_counter() - begin

        return call
