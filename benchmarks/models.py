"""The models that the benchmarks train."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

Make = Callable[[], tuple[nn.Module, torch.Tensor, torch.Tensor]]


def cnn(batch: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Returns two convolutions and two linear layers, as PyTorch's MNIST example had."""
    model = nn.Sequential(
        nn.Conv2d(1, 10, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(10, 20, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(320, 50),
        nn.ReLU(),
        nn.Linear(50, 10),
    )
    return model, torch.randn(batch, 1, 28, 28), torch.randint(10, (batch,))


def mlp() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Returns 100 layers of width 64, which are 200 small tensors.

    Kaiming initialization keeps their gradients from vanishing.
    """
    layers = [part for _ in range(99) for part in (nn.Linear(64, 64), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(64, 64))
    for part in model[::2]:
        nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
    return model, torch.randn(64, 64), torch.randint(64, (64,))


class Block(nn.Module):
    """Two convolutions with a residual connection."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(),
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.shortcut = nn.Sequential()
        if stride > 1 or inside != outside:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False),
                nn.BatchNorm2d(outside),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps images of shape (N, C, H, W) to features of shape (N, C, H, W)."""
        return torch.relu(self.main(x) + self.shortcut(x))


def resnet18(batch: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Returns ResNet-18 (He et al., 2015) with a first layer for 32 x 32 images."""
    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    inside = 64
    for outside in (64, 128, 256, 512):
        stride = 1 if outside == inside else 2
        layers += [Block(inside, outside, stride), Block(outside, outside, 1)]
        inside = outside
    model = nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)
    )
    return model, torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))


class Decoder(nn.Module):
    """A transformer that predicts the next token.

    Args:
        depth: Number of layers.
        width: Width of a layer.
        heads: Number of attention heads.
        vocabulary: Number of different tokens.
        context: Longest sequence, in tokens.
    """

    def __init__(
        self, depth: int, width: int, heads: int, vocabulary: int, context: int
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Maps tokens of shape (N, T) to logits of shape (N * T, vocabulary)."""
        length = tokens.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length, tokens.device)
        positions = self.positions(torch.arange(length, device=tokens.device))
        x = self.layers(self.tokens(tokens) + positions, mask, is_causal=True)
        return self.head(self.norm(x)).flatten(0, 1)


def transformer(batch: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Returns six layers of width 384, and a batch of 64 tokens for each element."""
    tokens = torch.randint(1000, (batch, 65))
    model = Decoder(depth=6, width=384, heads=6, vocabulary=1000, context=128)
    return model, tokens[:, :-1], tokens[:, 1:].flatten()


class Tiny(nn.Module):
    """10,000 parameters of four numbers each: the worst case for measuring."""

    def __init__(self) -> None:
        super().__init__()
        self.all = nn.ParameterList(nn.Parameter(torch.randn(4)) for _ in range(10_000))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps inputs of shape (N, 4) to outputs of shape (N, 4)."""
        return x * torch.stack(list(self.all)).sum(0)


def tiny() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Returns 10,000 tiny parameters."""
    return Tiny(), torch.randn(8, 4), torch.randint(4, (8,))


MODELS: dict[str, Make] = {
    "CNN, batch 10": lambda: cnn(10),
    "CNN, batch 64": lambda: cnn(64),
    "MLP, 100 layers": mlp,
    "ResNet-18, batch 4": lambda: resnet18(4),
    "ResNet-18, batch 32": lambda: resnet18(32),
    "transformer, batch 2": lambda: transformer(2),
    "transformer, batch 16": lambda: transformer(16),
    "10,000 tiny": tiny,
}
