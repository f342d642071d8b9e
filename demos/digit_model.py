"""A small GPT that reads a table of towns, and the first digits of what it would write.

`demos/benford.py` trains it. Shapes: N lines, T characters, V kinds of characters.
"""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from digit_laws import count_digits
from torch import nn

TOWNS = Path(__file__).parent / "towns" / "towns.csv.gz"


def read_lines() -> list[str]:
    """Returns a line about each town, in a fixed random order."""
    with gzip.open(TOWNS, "rt", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    lines = [
        "{name:.12} in {country}, latitude {latitude}, population {population}\n".format(
            **row
        )
        for row in rows
    ]
    return [lines[k] for k in np.random.default_rng(0).permutation(len(lines))]


def read_digits(lines: list[str], word: str) -> np.ndarray:
    """Returns the shares of the first digits after a word in lines, shape (9,)."""
    return count_digits(np.array([int(line.partition(word)[2][0]) for line in lines]))


@dataclass(frozen=True)
class Text:
    """Lines as numbers of characters.

    Attributes:
        characters: The kinds of characters; the first ends a line, and fills the rest.
        longest: Characters of the longest line.
    """

    characters: str
    longest: int

    @classmethod
    def of(cls, lines: list[str]) -> Text:
        """Returns the text of lines."""
        characters = sorted({*"".join(lines)} - {"\n"})
        return cls("".join(["\n", *characters]), max(map(len, lines)))

    def encode(self, lines: list[str]) -> torch.Tensor:
        """Returns the characters of lines, shape (N, T)."""
        number = {character: k for k, character in enumerate(self.characters)}
        return torch.tensor(
            [[number[c] for c in line.ljust(self.longest, "\n")] for line in lines]
        )


class GPT(nn.Module):
    """Two layers of causal attention, 64 wide."""

    def __init__(self, text: Text, width: int = 64) -> None:
        super().__init__()
        self.characters = nn.Embedding(len(text.characters), width)
        self.places = nn.Embedding(text.longest, width)
        layer = nn.TransformerEncoderLayer(
            width,
            4,
            4 * width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, len(text.characters))

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Returns logits of the next characters, shape (N, T, V)."""
        length = text.shape[1]
        state = self.characters(text) + self.places.weight[:length]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        return self.head(self.layers(state, mask, is_causal=True))


@torch.no_grad()
def predict_digits(
    model: GPT, text: Text, lines: list[str], words: list[str]
) -> np.ndarray:
    """Returns how likely the model finds each first digit after words, (words, 9).

    Args:
        model: The model.
        text: How it reads.
        lines: Lines with all words, up to which the model reads them.
        words: The last one is the last in the lines.
    """
    ends = torch.tensor([[line.index(w) + len(w) - 1 for line in lines] for w in words])
    likely = model(text.encode(lines)[:, : int(ends.max()) + 1]).softmax(2)
    digits = [text.characters.index(digit) for digit in "123456789"]
    shares = likely[torch.arange(len(lines)), ends][..., digits].double().mean(1)
    return (shares / shares.sum(1, keepdim=True)).numpy()
