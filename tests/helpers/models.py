"""Models and loops that tests train."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def small() -> nn.Module:
    """Two layers around an activation, seeded."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 1))


class Tied(nn.Module):
    """Embedding and head share their weight; one layer is frozen, one has a scale."""

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
    """An ordinary loop on data of its own."""
    data = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model, data).backward()
        before_step()
        optimizer.step()


def loss_of(model: nn.Module, data: torch.Generator) -> torch.Tensor:
    """The loss on the next batch."""
    x = 3 * torch.rand(8, 3, generator=data)
    return model(x).square().mean()


def true_norm(module: nn.Module) -> float:
    """The L2 norm of all gradients of a module as one vector, in float64."""
    grads = [p.grad.flatten().double() for p in module.parameters() if p.grad is not None]
    return torch.cat(grads).norm().item()


def sgd(model: nn.Module, **changes: object) -> torch.optim.Optimizer:
    """Plain gradient descent."""
    return torch.optim.SGD(model.parameters(), lr=0.01, **changes)
