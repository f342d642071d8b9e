"""Car following: scenes, an expert, policies that clone him, and drives in closed loop.

A car follows another for 8 s. In some scenes, the car ahead brakes hard.

Shapes: N seeds, S scenes of each, T moments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

SECONDS, MOMENTS = 0.1, 80  # of a moment, and T
_BRAKE = 6.0  # m/s^2 of the car ahead
_BATCH, _RATE = 256, 3e-3  # of the training of a policy


@dataclass(frozen=True)
class Scenes:
    """What a follower meets.

    Attributes:
        lead: Speed of the car ahead in m/s, shape (N, S, T).
        gap: Gap at the beginning in m, shape (N, S).
        speed: Speed of the follower at the beginning in m/s, shape (N, S).
        hard: Whether the car ahead brakes hard, shape (N, S).
        noise: What the radar adds to gap and speed, the same for all policies that drive
            the scenes, shape (N, S, T, 2).
    """

    lead: Tensor
    gap: Tensor
    speed: Tensor
    hard: Tensor
    noise: Tensor


def make_scenes(seeds: Iterable[int], count: int, hard: float) -> Scenes:
    """Returns scenes, of which a share brakes hard; each seed has its own."""
    scenes = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        chance = torch.rand(6, count, 1, generator=generator)
        times = torch.arange(MOMENTS) * SECONDS
        wave = torch.sin(times * (0.3 + chance[0]) + 6.3 * chance[1])
        brakes = chance[2] < hard
        drop = _BRAKE * (times - 2 - 2 * chance[3]).clamp(min=0) * brakes
        lead = (8 + 6 * chance[4] + wave - drop).clamp(min=0)
        speed = lead[:, 0] + 0.5 * torch.randn(count, generator=generator)
        noise = torch.randn(count, MOMENTS, 2, generator=generator)
        scenes.append((lead, 12 + 10 * chance[5, :, 0], speed, brakes[:, 0], noise))
    return Scenes(*map(torch.stack, zip(*scenes)))


def follow(gap: Tensor, speed: Tensor, lead: Tensor) -> Tensor:
    """Returns the expert's action in m/s^2: the intelligent driver model (Treiber 2000)."""
    desired = 2 + 1.2 * speed + speed * (speed - lead) / (2 * 6**0.5)
    ratio = desired.clamp(min=0) / gap.clamp(min=0.5)
    return (2 - 2 * (speed / 20) ** 4 - 2 * ratio**2).clamp(-8, 2)


@torch.no_grad()
def drive(
    scenes: Scenes, policy: Callable[[Tensor], Tensor] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Drives the scenes in closed loop, as the expert if there is no policy.

    Args:
        scenes: The scenes.
        policy: From views to actions. A view has the noisy gap and speed difference, the
            follower's speed and its last action, which tells much in the expert's log.

    Returns:
        Gaps in m, (N, S, T); views, (N, S, T, 4); actions in m/s^2, (N, S, T).
    """
    gap, speed, action = scenes.gap, scenes.speed, torch.zeros_like(scenes.gap)
    moments = []
    for lead, noise in zip(scenes.lead.unbind(-1), scenes.noise.unbind(-2)):
        radar = gap / 20 + 0.05 * noise[..., 0], (lead - speed + noise[..., 1]) / 5
        view = torch.stack([*radar, speed / 10, action / 4], -1)
        action = follow(gap, speed, lead) if policy is None else policy(view).clamp(-8, 2)
        speed = (speed + action * SECONDS).clamp(min=0)
        gap = gap + (lead - speed) * SECONDS
        moments.append((gap, view, action))
    gaps, views, actions = (torch.stack(series, 2) for series in zip(*moments))
    return gaps, views, actions


def collided(gaps: Tensor) -> Tensor:
    """Returns in which drives the follower hit the car ahead, (N, S)."""
    return gaps.amin(-1) <= 0


class Policies(nn.Module):
    """The policies of all seeds: one network each, computed side by side."""

    def __init__(self, seeds: range) -> None:
        super().__init__()
        weights = []
        for seed in seeds:
            torch.manual_seed(seed)
            first, last = nn.Linear(4, 16), nn.Linear(16, 1)
            weights.append(
                (first.weight.T, first.bias[None], last.weight.T, last.bias[None])
            )
        self.weights = nn.ParameterList(
            [torch.stack(one).detach() for one in zip(*weights)]
        )

    def forward(self, views: Tensor) -> Tensor:
        """Returns actions, (N, ...), of views, (N, ..., 4)."""
        first, bias, last, last_bias = self.weights
        hidden = torch.baddbmm(bias, views.flatten(1, -2), first).tanh()
        return torch.baddbmm(last_bias, hidden, last).reshape(views.shape[:-1])


def clone(
    seeds: range, views: Tensor, actions: Tensor, weights: Tensor, steps: int
) -> Policies:
    """Returns policies trained in open loop, each from the drives of its own seed.

    Args:
        seeds: The first weights and all random numbers depend on them alone.
        views: What the expert saw, (N, S, T, 4).
        actions: What he did, (N, S, T).
        weights: How often a scene is drawn, relative to the others, (N, S).
        steps: Of the optimizer.
    """
    policies = Policies(seeds)
    optimizer = torch.optim.Adam(policies.parameters(), lr=_RATE)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    ends = weights.cumsum(1) / weights.sum(1, keepdim=True)
    rows = torch.arange(len(seeds))[:, None]
    for _ in range(steps):
        drawn = torch.stack([torch.rand(2, _BATCH, generator=one) for one in generators], 1)
        at = rows, torch.searchsorted(ends, drawn[0]), (drawn[1] * MOMENTS).long()
        loss = (policies(views[at]) - actions[at]).square().mean(1).sum()  # of each its own
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return policies
