"""A training by reinforcement: an actor-critic that balances a pole on a cart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional
from training_task import TrainingTask

if TYPE_CHECKING:
    from collections.abc import Mapping

CARTS = 16  # that the actor drives at the same time
MOVES = 20  # of each cart in one training step
DISCOUNT = 0.99  # of a reward, for each move until it comes
LONGEST = 500  # moves of an episode, as in CartPole-v1
EPISODES = 32  # of the mean length of an episode


class CartPoles:
    """Carts with poles: the equations of Barto, Sutton and Anderson (1983).

    Attributes:
        state: Position (m), its speed, angle (rad) and its speed (s), shape (N, 4).
        moves: Moves of each cart since its episode began, shape (N,).
    """

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self._generator = generator
        self.state, self.moves = self._start(count), torch.zeros(count)

    def push(self, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pushes each cart with 10 N for 0.02 s; carts whose episode ended start anew.

        Args:
            right: Whether to push to the right, bool, shape (N,).

        Returns:
            Which episodes ended by a fall, and lengths of all that ended, in moves.
        """
        _, speed, angle, turn = self.state.unbind(1)
        force = torch.where(right, 10.0, -10.0)
        sine, cosine = angle.sin(), angle.cos()
        # Masses are 1 kg (cart) and 0.1 kg (pole); half of the pole is 0.5 m long.
        thrust = (force + 0.05 * turn**2 * sine) / 1.1
        twist = (9.8 * sine - cosine * thrust) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
        push = thrust - 0.05 * twist * cosine / 1.1
        change = torch.stack((speed, push, turn, twist), 1)
        self.state = self.state + 0.02 * change
        self.moves = self.moves + 1
        fallen = (self.state[:, 0].abs() > 2.4) | (
            self.state[:, 2].abs() > math.radians(12)
        )
        ended = fallen | (self.moves >= LONGEST)
        lengths = self.moves[ended]
        self.state = torch.where(ended[:, None], self._start(len(ended)), self.state)
        self.moves = torch.where(ended, 0.0, self.moves)
        return ended, lengths

    def _start(self, count: int) -> torch.Tensor:
        return torch.rand(count, 4, generator=self._generator) / 10 - 0.05


class Policy(nn.Module):
    """Two networks of one hidden layer: the actor chooses, the critic predicts."""

    def __init__(self) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 1))
        self.critic = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 1))

    def forward(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps states (N, 4) to logits of a push to the right, and to values, both (N,)."""
        return self.actor(state)[:, 0], self.critic(state)[:, 0]


class ActorCritic(TrainingTask):
    """An advantage actor-critic (Mnih et al., 2016) that balances the poles."""

    name = "actor-critic, CartPole"
    layer = "actor.0"
    clip = 0.5

    def __init__(self, seed: int, *, half: bool = False) -> None:
        super().__init__(seed, half=half)
        self.generator = torch.Generator().manual_seed(seed)
        self.carts = CartPoles(CARTS, self.generator)
        self.lengths = torch.zeros(0)  # of the last episodes, moves
        self.model, self.rate = Policy(), 3e-3
        self.optimizer = torch.optim.Adam(self.model.parameters(), self.rate)

    def compute_loss(self) -> torch.Tensor:
        """Returns the loss of a few moves of all carts: actor, critic and entropy."""
        states, pushes, ends = [], [], []  # each (MOVES, CARTS, ...)
        with torch.no_grad():
            for _ in range(MOVES):
                logits, _ = self.model(self.carts.state)
                chance = torch.rand(CARTS, generator=self.generator)
                states.append(self.carts.state)
                pushes.append(chance < logits.sigmoid())
                ended, lengths = self.carts.push(pushes[-1])
                ends.append(ended)
                self.lengths = torch.cat((self.lengths, lengths))[-EPISODES:]
            _, value = self.model(self.carts.state)
            returns = []
            for ended in reversed(ends):
                value = 1 + DISCOUNT * value * ~ended  # each move is worth 1
                returns.append(value)
        goals = torch.cat(returns[::-1]) * (1 - DISCOUNT)  # 0 to 1
        logits, values = self.model(torch.cat(states))
        advantages = goals - values.detach()
        advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-5)
        chances = functional.binary_cross_entropy_with_logits(
            logits, torch.cat(pushes).float(), reduction="none"
        )
        entropy = functional.binary_cross_entropy_with_logits(logits, logits.sigmoid())
        critic = functional.mse_loss(values, goals)
        return (chances * advantages).mean() + critic - 0.01 * entropy

    def measure(self) -> Mapping[str, float]:
        """Returns the mean length of the last episodes, once there are some."""
        if not len(self.lengths):
            return {}
        return {"episode_length": float(self.lengths.mean())}
