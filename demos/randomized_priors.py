"""Ensembles with randomized priors, which fit a curve to points in two clumps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

MEMBERS, WIDTH, STEPS = 50, 20, 400
CLUMPS = ((-0.7, -0.4), (0.4, 0.7))  # where the data are
X = torch.linspace(-1.5, 1.5, 121)  # where an ensemble is judged


@dataclass(frozen=True)
class Settings:
    """What distinguishes two ensembles.

    Attributes:
        prior: The fixed part of each member: "none"; "networks" or "sines", a random one
            each; "network" or "sine", one for all.
        scale: Factor of the prior.
        decay: L2 penalty of what is trained.
        gain: Factor by which networks see x. At 1, a random network is nearly straight.
        bootstrap: Whether each member has points of its own, drawn with replacement.
    """

    prior: str
    scale: float = 3.0
    decay: float = 0.003
    gain: float = 3.0
    bootstrap: bool = True


def truth(x: torch.Tensor) -> torch.Tensor:
    """Returns the curve that the data sample."""
    return x + 0.3 * torch.sin(2 * math.pi * x) + 0.3 * torch.sin(4 * math.pi * x)


def draw_data(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns x and noisy y, both of shape (20, 1): ten points in each clump."""
    generator = torch.Generator().manual_seed(seed)
    low, high = torch.tensor(CLUMPS).repeat_interleave(10, dim=0)[..., None].unbind(1)
    x = low + (high - low) * torch.rand(20, 1, generator=generator)
    return x, truth(x) + 0.05 * torch.randn(x.shape, generator=generator)


def make_networks(generator: torch.Generator) -> list[torch.Tensor]:
    """Returns weights and biases of 1-20-20-1 networks, each of shape (MEMBERS, ..., ...).

    The weights are Glorot's, the biases are torch's.
    """
    tensors = []
    for inputs, outputs in ((1, WIDTH), (WIDTH, WIDTH), (WIDTH, 1)):
        for rows, bound in ((inputs, (6 / (inputs + outputs)) ** 0.5), (1, inputs**-0.5)):
            drawn = torch.rand(MEMBERS, rows, outputs, generator=generator)
            tensors.append((2 * drawn - 1) * bound)
    return tensors


def call_networks(tensors: list[torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
    """Returns what each member says to its own inputs, both of shape (MEMBERS, N, 1)."""
    selu = torch.nn.functional.selu
    first, first_bias, second, second_bias, last, last_bias = tensors
    hidden = selu(torch.baddbmm(first_bias, inputs, first))
    hidden = selu(torch.baddbmm(second_bias, hidden, second))
    return torch.baddbmm(last_bias, hidden, last)


def make_prior(settings: Settings, generator: torch.Generator) -> Callable:
    """Returns the fixed part of all members, a function of x of shape (MEMBERS, N, 1)."""
    networks = make_networks(generator)
    first = [tensor[:1].expand(MEMBERS, -1, -1) for tensor in networks]
    phases = torch.rand(MEMBERS, 1, 1, generator=generator) * 2 * math.pi
    kinds = {
        "none": torch.zeros_like,
        "networks": lambda x: call_networks(networks, settings.gain * x),
        "network": lambda x: call_networks(first, settings.gain * x),
        "sine": lambda x: torch.sin(3 * x),
        "sines": lambda x: torch.sin(3 * x + phases),
    }
    kind = kinds[settings.prior]
    return lambda x: settings.scale * kind(x)


def fit(seed: int, settings: Settings) -> torch.Tensor:
    """Trains an ensemble and returns what its members say at X, shape (MEMBERS, 121).

    With the same seed, all settings have the same data, starts and resampled points.
    """
    x, y = draw_data(seed)
    generator = torch.Generator().manual_seed(1000 + seed)
    trained = [tensor.requires_grad_() for tensor in make_networks(generator)]
    rows = torch.arange(len(x)).repeat(MEMBERS, 1)
    if settings.bootstrap:
        rows = torch.randint(len(x), rows.shape, generator=generator)
    generator.manual_seed(2000 + seed)
    prior = make_prior(settings, generator)
    inputs, targets = settings.gain * x[rows], y[rows] - prior(x[rows])
    optimizer = torch.optim.Adam(trained, lr=0.05)  # of the prior, it knows nothing
    for _ in range(STEPS):
        optimizer.zero_grad()
        errors = (call_networks(trained, inputs) - targets).square().mean(dim=(1, 2))
        penalties = sum(tensor.square().sum(dim=(1, 2)) for tensor in trained)
        # The gradients of a sum over members are those of each alone; of a mean, a 50th.
        (errors + settings.decay * penalties).sum().backward()
        optimizer.step()
    line = X.expand(MEMBERS, -1)[..., None]
    with torch.no_grad():
        return (call_networks(trained, settings.gain * line) + prior(line))[..., 0]
