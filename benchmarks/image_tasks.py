"""Trainings on handwritten digits: two classifiers and an autoencoder."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from models import Block
from torch import nn
from torch.nn import functional
from training_task import STEPS, Batch, TrainingTask

sys.path.append(str(Path(__file__).parents[1] / "demos"))
from digits import DEVIATION, MEAN, load_digits
from five_runs import FIVE, Net, Recipe, draw

if TYPE_CHECKING:
    from collections.abc import Mapping

HELD_OUT = 500  # images for evaluations
LATENTS = 10  # numbers that describe a digit in the autoencoder
FAULTY_RECIPES = (
    Recipe("sgd", 0.01, 10),
    Recipe("sgd", 0.03, 64),
    Recipe("adam", 0.003, 64),
)
# The demo's other three diverge within twelve steps, or lose layers with most seeds.
HEALTHY_RECIPES = (FIVE[0], FIVE[1], FAULTY_RECIPES[2])

load_digits = cache(load_digits)


class Convolutions(TrainingTask):
    """The network of the demo with one of its recipes, without evaluations.

    Args:
        seed: Seed of the weights and the batches.
        half: Whether to train in float16 with a GradScaler.
        recipe: Optimizer, learning rate and batch size.
    """

    layer = "fc1"
    fault_step = 80
    halves = True

    def __init__(self, seed: int, *, half: bool = False, recipe: Recipe) -> None:
        super().__init__(seed, half=half)
        self.images, self.labels = load_digits()
        self.name, self.rate = str(recipe), recipe.lr
        self.model = Net()
        kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
        self.optimizer = kinds[recipe.optimizer](self.model.parameters(), lr=self.rate)
        self.batches = iter(draw(len(self.images), recipe.batch_size, STEPS, seed))

    def draw_batch(self) -> Batch:
        """Returns the next images and their labels."""
        batch = next(self.batches)
        return self.images[batch], self.labels[batch]

    def compute_loss(self) -> torch.Tensor:
        """Returns the mean negative log probability of a batch."""
        images, labels = self.draw_batch()
        return functional.nll_loss(self.model(images), labels)


class ResNet(TrainingTask):
    """A small residual network in bfloat16, by SGD with momentum and a cosine."""

    name = "ResNet, bfloat16"
    layer = "4.main.3"
    warm_up = 50
    cosine = True
    evaluation_steps = 170  # about an epoch

    def __init__(self, seed: int, *, half: bool = False) -> None:
        super().__init__(seed, half=half)
        self.images, self.labels = load_digits()
        first = [nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
        blocks = [Block(8, 8, 1), Block(8, 16, 2), Block(16, 32, 2)]
        last = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)]
        self.model, self.rate = nn.Sequential(*first, *blocks, *last), 0.05
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), self.rate, momentum=0.9, weight_decay=5e-4
        )
        self.batches = iter(draw(len(self.images) - HELD_OUT, 32, STEPS, seed))

    def draw_batch(self) -> Batch:
        """Returns the next images and their labels."""
        batch = next(self.batches)
        return self.images[batch], self.labels[batch]

    def compute_loss(self) -> torch.Tensor:
        """Returns the mean cross-entropy of a batch."""
        return self._cross_entropy(*self.draw_batch())

    def evaluate(self) -> Mapping[str, float]:
        """Returns the loss of the held-out digits."""
        self.model.eval()
        with torch.no_grad():
            loss = self._cross_entropy(self.images[-HELD_OUT:], self.labels[-HELD_OUT:])
        self.model.train()
        return {"val_loss": float(loss)}

    def _cross_entropy(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model(images)
        return functional.cross_entropy(logits.float(), labels)


class Autoencoder(nn.Module):
    """A variational autoencoder (Kingma and Welling, 2013) of linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 200), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(200, LATENTS), nn.Linear(200, LATENTS)
        self.decoder = nn.Sequential(
            nn.Linear(LATENTS, 200), nn.ReLU(), nn.Linear(200, 784)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Maps pixels (N, 784) to logits of pixels (N, 784), means and log variances."""
        hidden = self.encoder(x)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        noise = torch.randn_like(mean)
        return self.decoder(mean + noise * (log_variance / 2).exp()), mean, log_variance


class VariationalAutoencoder(TrainingTask):
    """An autoencoder that learns the digits by Adam."""

    name = "variational autoencoder"
    layer = "decoder.0"
    halves = True

    def __init__(self, seed: int, *, half: bool = False) -> None:
        super().__init__(seed, half=half)
        images, _ = load_digits()
        self.pixels = (images * DEVIATION + MEAN).flatten(1).clamp(0, 1)  # (N, 784)
        self.model, self.rate = Autoencoder(), 1e-3
        self.optimizer = torch.optim.Adam(self.model.parameters(), self.rate)
        self.batches = iter(draw(len(images) - HELD_OUT, 64, STEPS, seed))

    def compute_loss(self) -> torch.Tensor:
        """Returns a batch's negative evidence lower bound, in nats for each image."""
        return self._bound(self.pixels[next(self.batches)])

    def evaluate(self) -> Mapping[str, float]:
        """Returns the loss of the held-out digits."""
        with torch.no_grad():
            return {"val_loss": float(self._bound(self.pixels[-HELD_OUT:]))}

    def _bound(self, pixels: torch.Tensor) -> torch.Tensor:
        logits, mean, log_variance = (part.float() for part in self.model(pixels))
        error = functional.binary_cross_entropy_with_logits(logits, pixels, reduction="sum")
        divergence = (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 2
        return (error + divergence) / len(pixels)
