"""Signals of a training by a straight computation in float64, and steps to compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from gradsound.runs.step import Step

UPDATE_STEPS, ZEROS_STEPS = 4, 10  # from one measuring to the next


class Witness:
    """Keeps the weights and gradients of layers around each step.

    Args:
        layers: Modules whose own parameters are the layers.

    Attributes:
        before: Weights before each step, as one vector for each layer.
        after: Weights after it.
        gradients: Gradients that the optimizer got; None for a layer without one.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self._layers = layers
        self.before: list[list[np.ndarray]] = []
        self.after: list[list[np.ndarray]] = []
        self.gradients: list[list[np.ndarray | None]] = []

    def look_before(self) -> None:
        """Keeps weights and gradients before a step."""
        self.before.append([_vector(_own(m)) for m in self._layers])
        self.gradients.append([_vector([p.grad for p in _own(m)]) for m in self._layers])

    def look_after(self) -> None:
        """Keeps the weights after a step."""
        self.after.append([_vector(_own(m)) for m in self._layers])

    def step(self, step: Callable[[], object]) -> None:
        """Makes a step, and looks before and after."""
        self.look_before()
        step()
        self.look_after()

    @property
    def update_ratios(self) -> np.ndarray:
        """The update ratios of every step, shape (S, L)."""
        return np.array(
            [
                [np.linalg.norm(b - a) / np.linalg.norm(b) for b, a in zip(before, after)]
                for before, after in zip(self.before, self.after)
            ]
        )

    @property
    def zeros(self) -> np.ndarray:
        """The shares of zeros at every step, shape (S, L)."""
        return np.array([[(g == 0).mean() for g in row] for row in self.gradients])

    def ratios(self, weigh: Callable[[int, int], float]) -> np.ndarray:
        """The signal-to-noise ratios after every step, by sums over all steps before.

        Args:
            weigh: Returns the weight of the gradient of a step in the moment at another.
        """
        found = []
        for now in range(len(self.gradients)):
            row = []
            for layer in range(len(self._layers)):
                weights = np.array([weigh(then, now) for then in range(now + 1)])
                past = np.array([g[layer] for g in self.gradients[: now + 1]])
                mean = weights @ past / weights.sum()
                squares = weights @ (past**2).sum(axis=1) / weights.sum()
                row.append((mean**2).sum() / squares)
            found.append(row)
        return np.array(found)


def signal(steps: Sequence[Step], name: str) -> np.ndarray:
    """Returns a signal of all steps, shape (S, L); NaN where there is none."""
    layers = len(steps[0].norms)
    nothing = np.full(layers, np.nan, np.float32)
    return np.array([step.signals.get(name, nothing) for step in steps])


def every(expected: np.ndarray, steps: int) -> np.ndarray:
    """Returns rows of which only those of every so many steps are there, else NaN."""
    rows = np.full_like(expected, np.nan)
    rows[::steps] = expected[::steps]
    return rows


def train_on(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int,
    *,
    witness: Witness | None = None,
    before_step: Callable[[int], object] = lambda _: None,
) -> Witness:
    """Trains on seeded batches; returns what a witness saw.

    Args:
        model: A model of three inputs.
        optimizer: Its optimizer.
        steps: How many steps.
        witness: The witness; by default one of layers "0" and "2".
        before_step: Called with the number of the step before it.
    """
    witness = Witness([model[0], model[2]]) if witness is None else witness
    data = torch.Generator().manual_seed(1)
    for number in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 3, generator=data)).square().mean().backward()
        before_step(number)
        witness.step(optimizer.step)
    return witness


def _own(module: nn.Module) -> list[nn.Parameter]:
    return [*module.parameters(recurse=False)]


def _vector(tensors: Sequence[torch.Tensor | None]) -> np.ndarray | None:
    known = [t for t in tensors if t is not None]
    if not known:
        return None
    dense = [t.detach().to_dense() if t.is_sparse else t.detach() for t in known]
    return np.concatenate([t.double().flatten().numpy().copy() for t in dense])
