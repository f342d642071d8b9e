"""A training of a few seconds, for a first sound: a small network learns drawn digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from gradsound.api import attach

if TYPE_CHECKING:
    from pathlib import Path

_STEPS = 60
_BATCH = 64
_SIDE = 14  # pixels of an image in each direction
_SHIFTS = 3  # places of a digit in each direction
_NOISE = 0.1  # standard deviation; ink is 1
# The rows of each digit from the top, five pixels wide.
_GLYPHS = (
    "01110 10001 10011 10101 11001 10001 01110",
    "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00110 01000 10000 11111",
    "11110 00001 00001 01110 00001 00001 11110",
    "00010 00110 01010 10010 11111 00010 00010",
    "11111 10000 11110 00001 00001 10001 01110",
    "01110 10000 11110 10001 10001 10001 01110",
    "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110",
    "01110 10001 10001 01111 00001 00001 01110",
)


class DigitNet(nn.Module):
    """Two convolutions and two linear layers, as PyTorch's MNIST example had."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1)
        self.fc1 = nn.Linear(16 * (_SIDE // 4) ** 2, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps images, shape (N, 1, 14, 14), to logits, shape (N, 10)."""
        x = torch.relu(nn.functional.max_pool2d(self.conv1(x), 2))
        x = torch.relu(nn.functional.max_pool2d(self.conv2(x), 2))
        logits: torch.Tensor = self.fc2(torch.relu(self.fc1(x.flatten(1))))
        return logits


def draw_digits(
    count: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns digits at random places with noise, shape (N, 1, 14, 14), and their labels.

    Args:
        count: How many, N.
        generator: The source of chance.
    """
    labels = torch.randint(10, (count,), generator=generator)
    images = _NOISE * torch.randn(count, 1, _SIDE, _SIDE, generator=generator)
    for image, label in zip(images, labels.tolist()):
        rows = [[float(pixel) for pixel in row] for row in _GLYPHS[label].split()]
        glyph = torch.tensor(rows)
        height, width = glyph.shape
        top, left = torch.randint(_SHIFTS, (2,), generator=generator).tolist()
        top, left = top + (_SIDE - height) // 2 - 1, left + (_SIDE - width) // 2 - 1
        image[0, top : top + height, left : left + width] += glyph
    return images, labels


def train_on_digits(log: Path) -> tuple[float, float]:
    """Trains a network and records its run; returns the first and the last loss.

    Args:
        log: The run file.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = DigitNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    losses: list[float] = []
    with attach(model, optimizer, log=log, comment="gradsound demo") as attachment:
        for _ in range(_STEPS):
            images, labels = draw_digits(_BATCH, generator)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.item())
            attachment.log_values(loss=loss)
            optimizer.step()
    tenth = _STEPS // 10
    return sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
