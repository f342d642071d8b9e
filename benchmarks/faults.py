"""Faults of a training that an alarm must follow."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from training_task import Batch, TrainingTask

CATCH_STEPS = 3  # in which an alarm must follow, to catch most faults
UNDERFLOW = 2.0**-16  # a scale of the loss at which most gradients underflow in float16
LEVELS = 7  # of a positive number of 4 bits
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
        steps: In how many steps an alarm must follow.
    """

    name: str
    kinds: tuple[str, ...]
    delay: int = 0
    before: Callable[[TrainingTask, int], None] = nothing
    after: Callable[[TrainingTask, int], None] = nothing
    half: bool = False
    steps: int = CATCH_STEPS


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


def stop_learning(task: TrainingTask, number: int) -> None:
    """Sets the learning rate to 0."""
    if number == task.fault_step:
        task.rate_factor = 0.0


def mix_labels(task: TrainingTask, number: int) -> None:
    """Gives each input the target of another one."""
    if number == task.fault_step:
        draw = task.draw_batch

        def draw_wrong() -> Batch:
            inputs, targets = draw()
            mixed = targets.flatten()[torch.randperm(targets.numel())]
            return inputs, mixed.view_as(targets)

        task.draw_batch = draw_wrong


def keep_gradients(task: TrainingTask, number: int) -> None:
    """Forgets zero_grad."""
    if number == task.fault_step:
        task.keeps_gradients = True


def repeat_batch(task: TrainingTask, number: int) -> None:
    """Gives the same batch again and again."""
    if number == task.fault_step:
        batch = task.draw_batch()
        task.draw_batch = lambda: batch


def underflow(task: TrainingTask, number: int) -> None:
    """Rounds gradients as float16 does with far too small a scale."""
    if number >= task.fault_step:
        for gradient in gradients_of(task):
            gradient.copy_((gradient * UNDERFLOW).half().float() / UNDERFLOW)


def coarsen(task: TrainingTask, number: int) -> None:
    """Rounds gradients to 4 bits."""
    if number >= task.fault_step:
        for gradient in gradients_of(task):
            unit = gradient.abs().max() / LEVELS
            gradient.copy_((gradient / unit).nan_to_num().round() * unit)


def gradients_of(task: TrainingTask) -> list[torch.Tensor]:
    """Returns the gradients of the parameters that have one."""
    return [p.grad for p in task.model.parameters() if p.grad is not None]


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
_WRONG = ("loss", "spike", "leap", "echo")
SIGNAL_FAULTS = (
    Fault("rate 0", ("still",), before=stop_learning, steps=16),
    Fault("wrong labels", _WRONG, before=mix_labels, steps=5),
    Fault("zero_grad forgotten", _WRONG, before=keep_gradients, steps=5),
    Fault("the same batch", ("echo",), before=repeat_batch, steps=16),
    Fault("float16 underflows", ("coarse",), after=underflow, steps=20),
    Fault("gradients of 4 bits", ("coarse",), after=coarsen, steps=20),
)
