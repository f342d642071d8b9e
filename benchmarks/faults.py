"""Faults of a training that an alarm must follow."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from training_task import TrainingTask

RATE_STEPS = 5  # steps with too high a learning rate


def nothing(_: TrainingTask, __: int) -> None:
    """Does nothing; most faults use it for one of their two calls."""


@dataclass(frozen=True)
class Fault:
    """A fault of a training.

    Attributes:
        name: The fault, for the table.
        kinds: Kinds of alarms that fit the fault.
        delay: Steps between the fault and the first gradients that it touches.
        before: Called before each forward pass, with the training and the step's number.
        after: Called after each backward pass, with the same.
        half: Whether the fault needs float16.
    """

    name: str
    kinds: tuple[str, ...]
    delay: int = 0
    before: Callable[[TrainingTask, int], None] = nothing
    after: Callable[[TrainingTask, int], None] = nothing
    half: bool = False


def make_nan(task: TrainingTask, number: int) -> None:
    """Puts NaN into the gradient of one layer."""
    if number == task.fault_step:
        task.model.get_parameter(f"{task.layer}.weight").grad[0, 0] = torch.nan


def raise_rate(task: TrainingTask, number: int) -> None:
    """Trains with 30 times the learning rate for five steps."""
    high = task.fault_step <= number < task.fault_step + RATE_STEPS
    task.rate_factor = 30.0 if high else 1.0


def freeze(task: TrainingTask, number: int) -> None:
    """Freezes one layer."""
    if number == task.fault_step:
        task.model.get_submodule(task.layer).requires_grad_(False)


def stall(task: TrainingTask, number: int) -> None:
    """Stalls as a data loader does."""
    if number == task.fault_step:
        time.sleep(3)


def overflow(task: TrainingTask, number: int) -> None:
    """Sets a loss scale at which gradients overflow in float16."""
    if number == task.fault_step:
        task.scaler.update(2.0**40)


FAULTS = (
    Fault("NaN in one layer", ("nonfinite",), after=make_nan),
    Fault(
        "rate x 30 for 5 steps",
        ("spike", "nonfinite", "dead", "loss"),
        delay=1,
        before=raise_rate,
    ),
    Fault("one layer frozen", ("dead",), before=freeze),
    Fault("loader stalls 3 s", ("stall",), before=stall),
    Fault("float16 overflows", ("skipped",), before=overflow, half=True),
)
