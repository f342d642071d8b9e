"""A posterior of weights from the second moments that Adam keeps, and samples of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.func import functional_call, vmap

if TYPE_CHECKING:
    from collections.abc import Mapping

BATCH, EPOCHS = 64, 12
LAST = ("6.weight", "6.bias")  # the layer that makes logits
SAMPLES = {True: 200, False: 20}  # of the last layer alone, or of all


class Posterior:
    """A trained network, and how sure Adam's second moments are of its weights.

    The precision of a weight is N k v + prior. v is the second moment of the gradient of a
    batch's mean, so it is a batch size too small: k is the batch size, or 1 as in a plain
    reading.

    Args:
        images: Training images, shape (N, 1, 28, 28).
        labels: Their digits, shape (N,).
        seed: Of the weights and the batches.
        normalized: Whether a LayerNorm makes all inputs of the last layer equally long.
    """

    def __init__(
        self, images: torch.Tensor, labels: torch.Tensor, seed: int, *, normalized: bool
    ) -> None:
        torch.manual_seed(seed)
        self.model = nn.Sequential(
            *(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU()),
            nn.LayerNorm(100) if normalized else nn.Identity(),
            nn.Linear(100, 10),
        )
        optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(images)).split(BATCH):
                optimizer.zero_grad()
                logits = self.model(images[rows])
                nn.functional.cross_entropy(logits, labels[rows]).backward()
                optimizer.step()
        self.seed, self.examples = seed, len(images)
        self.second_moments = read_second_moments(self.model, optimizer)

    def widths(
        self, prior: float, *, factor: float = BATCH, last: bool = True
    ) -> dict[str, torch.Tensor]:
        """Returns standard deviations of weights by name.

        Args:
            prior: Precision of a weight about which gradients say nothing.
            factor: k; at 0, all weights are equally uncertain.
            last: Whether only the last layer is uncertain.
        """
        return {
            name: (self.examples * factor * v + prior).rsqrt()
            for name, v in self.second_moments.items()
            if name in LAST or not last
        }

    @torch.no_grad()
    def predict(
        self,
        images: torch.Tensor,
        widths: Mapping[str, torch.Tensor] | None = None,
        temperature: float = 1.0,
    ) -> torch.Tensor:
        """Returns the mean of sampled networks, or what the trained one says (N, 10)."""
        if widths is None:
            return (self.model(images) / temperature).softmax(dim=1)
        return self.sample(images, widths, SAMPLES[len(widths) == len(LAST)]).mean(dim=0)

    @torch.no_grad()
    def sample(
        self, images: torch.Tensor, widths: Mapping[str, torch.Tensor], samples: int
    ) -> torch.Tensor:
        """Returns what sampled networks say, shape (samples, N, 10), softmax.

        They are the same networks for all images.
        """
        generator = torch.Generator().manual_seed(self.seed)
        weights, dims = dict(self.model.named_parameters()), {}
        for name, weight in weights.items():
            dims[name] = 0 if name in widths else None
            if name in widths:
                noise = torch.randn(samples, *weight.shape, generator=generator)
                weights[name] = weight + widths[name] * noise
        call = vmap(lambda one, x: functional_call(self.model, one, (x,)), (dims, None))
        return call(weights, images).softmax(dim=2)


def read_second_moments(
    model: nn.Module, optimizer: torch.optim.Adam
) -> dict[str, torch.Tensor]:
    """Returns Adam's second moments by the name of the parameter, without their bias.

    They begin at 0, and are too small by 1 - beta2 ** step.
    """
    _, beta = optimizer.param_groups[0]["betas"]
    moments = {}
    for name, parameter in model.named_parameters():
        state = optimizer.state[parameter]
        moments[name] = state["exp_avg_sq"] / (1 - beta ** float(state["step"]))
    return moments
