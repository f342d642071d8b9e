"""A pipeline of four linear layers, and its training in a single process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from helpers.oracle import true_norms
from torch import nn

STEPS, MICROBATCHES = 4, 4


def whole_model() -> nn.Sequential:
    """Returns four linear layers with seeded weights."""
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(6, 6) for _ in range(4)))


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the inputs and targets of the only batch."""
    random = torch.Generator().manual_seed(1)
    return torch.randn(16, 6, generator=random), torch.randn(16, 6, generator=random)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    """Returns an optimizer whose steps change the gradients visibly."""
    return torch.optim.SGD(model.parameters(), lr=0.25)


def train(
    compute: Callable[[], None],
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    observe: Callable[[], object] = lambda: None,
) -> None:
    """Trains; clips the gradients of this model in the last step.

    Args:
        compute: Makes the gradients of a step.
        model: The model.
        optimizer: Its optimizer.
        observe: Called just before each update.
    """
    for step in range(STEPS):
        optimizer.zero_grad()
        compute()
        if step == STEPS - 1:
            nn.utils.clip_grad_norm_(model.parameters(), 1 / 3)
        observe()
        optimizer.step()


def train_in_one_process(parts: Sequence[Sequence[int]]) -> list[dict[str, float]]:
    """Returns the true norms of all layers at each update.

    Args:
        parts: The layers of each part that is clipped for itself.
    """
    model, (x, y), truth = whole_model(), data(), list[dict[str, float]]()
    optimizer = sgd(model)
    for step in range(STEPS):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        for part in parts if step == STEPS - 1 else ():
            own = [p for index in part for p in model[index].parameters()]
            nn.utils.clip_grad_norm_(own, 1 / 3)
        truth.append(true_norms(model))
        optimizer.step()
    return truth


def train_twice(
    make: Callable[[], tuple[nn.Module, Callable[[], None]]],
    attach: Callable[[nn.Module, torch.optim.Optimizer], AbstractContextManager[object]],
) -> bool:
    """Trains without and with gradsound; returns whether the weights are equal to the bit.

    Args:
        make: Makes a model, and the function that computes its gradients.
        attach: Attaches to the second.
    """
    bare, compute = make()
    train(compute, bare, sgd(bare))
    model, compute = make()
    optimizer = sgd(model)
    with attach(model, optimizer):
        train(compute, model, optimizer)
    pairs = zip(bare.parameters(), model.parameters(), strict=True)
    return all(torch.equal(local(one), local(other)) for one, other in pairs)


def local(parameter: nn.Parameter) -> torch.Tensor:
    """Returns this rank's part of a parameter."""
    return parameter.to_local() if hasattr(parameter, "to_local") else parameter
