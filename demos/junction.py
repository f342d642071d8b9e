"""A junction: what a driver sees, the network that predicts paths, and two planners.

`demos/experts.py` trains the network. Shapes: N scenes.
"""

from __future__ import annotations

import torch
from torch import nn

EXPERTS, POINTS = 6, 12  # paths of a scene, points of a path


def draw_scenes(count: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Returns what is seen (N, 4), the own and the other car's path (N, POINTS, 2)."""
    time = torch.arange(1, POINTS + 1) / POINTS
    turn = (
        torch.multinomial(torch.tensor([0.2, 0.6, 0.2]), count, True, generator=generator)
        - 1
    )
    speed = 0.8 + 0.4 * torch.rand(count, 1, generator=generator)
    angle = turn[:, None] * (1.2 * time).clamp(max=1.2)
    moves = torch.stack([angle.sin(), angle.cos()], -1) * (4 * speed / POINTS)[..., None]
    own = moves.cumsum(1) + 0.02 * torch.randn(count, POINTS, 2, generator=generator)
    crosses = (torch.rand(count, 1, generator=generator) < 0.5).float()
    begin = 2.5 + torch.rand(count, 1, generator=generator)
    distance = 2.4 + 0.3 * torch.randn(count, 1, generator=generator)
    other = torch.stack([begin - 4 * crosses * time, distance.expand(-1, POINTS)], -1)
    intent = crosses + 0.3 * torch.randn(count, 1, generator=generator)
    return torch.cat([speed, begin, distance, intent], 1), own, other


class Net(nn.Module):
    """Predicts the own paths of all experts, their logits, and the other car's path."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
        self.own = nn.Linear(64, EXPERTS * POINTS * 2)
        self.other, self.gate = nn.Linear(64, POINTS * 2), nn.Linear(64, EXPERTS)

    def forward(self, seen: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Returns (N, EXPERTS, POINTS, 2), (N, POINTS, 2) and (N, EXPERTS)."""
        state = self.body(seen)
        own, other = self.own(state), self.other(state)
        paths = own.unflatten(1, (EXPERTS, POINTS, 2)), other.unflatten(1, (POINTS, 2))
        return *paths, self.gate(state)


@torch.no_grad()
def judge(net: Net) -> list[float]:
    """Returns errors and collisions in 2,000 unseen scenes, in the order of the table."""
    seen, own, other = draw_scenes(2000, torch.Generator().manual_seed(999))
    paths, predicted, logits = net(seen)
    errors = (paths - own[:, None]).norm(dim=-1).mean(2)
    hits = ((paths - other[:, None]).norm(dim=-1).amin(2) < 0.5).float()
    likeliest, cheapest = logits.argmax(1), find_cheapest(paths, predicted, logits)
    rows = torch.arange(len(own))
    chosen = (errors[rows, likeliest], errors[rows, cheapest])
    collisions = (100 * hits[rows, likeliest], 100 * hits[rows, cheapest])
    return [float(one.mean()) for one in (errors.amin(1), *chosen, *collisions)]


def find_cheapest(
    paths: torch.Tensor, predicted: torch.Tensor, logits: torch.Tensor
) -> torch.Tensor:
    """Returns the path of each scene with the least predicted danger, shape (N,)."""
    nearest = (paths - predicted[:, None]).norm(dim=-1).amin(2)
    return (torch.sigmoid(8 * (0.7 - nearest)) - 0.1 * logits.log_softmax(1)).argmin(1)
