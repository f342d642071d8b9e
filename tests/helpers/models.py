"""Small models, and a training loop, for tests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def small() -> nn.Module:
    """Returns two linear layers around a ReLU, with seeded weights."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 1))


class Tied(nn.Module):
    """A model with a shared weight, a frozen layer, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scale = nn.Parameter(torch.tensor(1 / 3))
        self.embed = nn.Embedding(5, 4)
        self.frozen = nn.Linear(4, 4)
        self.frozen.requires_grad_(False)
        self.body = nn.ModuleDict({"a": nn.Linear(4, 4), "norm": nn.LayerNorm(4)})
        self.head = nn.Linear(4, 5)
        self.head.weight = self.embed.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.frozen(self.embed(x.sum(1).long() % 5))
        return self.scale * self.head(self.body["norm"](self.body["a"](x)))


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int = 5,
    *,
    before_step: Callable[[], object] = lambda: None,
) -> None:
    """Trains with an ordinary loop on seeded data.

    Args:
        model: The model.
        optimizer: Its optimizer.
        steps: Number of steps.
        before_step: Called between the backward pass and the step.
    """
    data = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model, data).backward()
        before_step()
        optimizer.step()


def loss_of(model: nn.Module, data: torch.Generator) -> torch.Tensor:
    """Returns the loss on the next random batch."""
    x = 3 * torch.rand(8, 3, generator=data)
    return model(x).square().mean()


def true_norm(module: nn.Module) -> float:
    """Returns the L2 norm of all gradients of a module as one vector, in float64."""
    grads = [p.grad.flatten().double() for p in module.parameters() if p.grad is not None]
    return torch.cat(grads).norm().item()


def sgd(model: nn.Module, **changes: object) -> torch.optim.Optimizer:
    """Returns an SGD optimizer with learning rate 0.01."""
    return torch.optim.SGD(model.parameters(), lr=0.01, **changes)
