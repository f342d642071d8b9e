"""How good probabilities are: likelihood, calibration, and whether they tell strangers.

Shapes: N images, probabilities of ten classes (N, 10).
"""

from __future__ import annotations

import torch

BINS = 15


def find_nll(probabilities: torch.Tensor, labels: torch.Tensor) -> float:
    """Returns the mean negative log likelihood of labels, shape (N,)."""
    return float(-probabilities.gather(1, labels[:, None]).clamp(min=1e-12).log().mean())


def find_accuracy(probabilities: torch.Tensor, labels: torch.Tensor) -> float:
    """Returns the share of labels that are the likeliest class."""
    return float((probabilities.argmax(dim=1) == labels).double().mean())


def find_ece(probabilities: torch.Tensor, labels: torch.Tensor) -> float:
    """Returns the expected calibration error over 15 bins (Guo and others, 2017)."""
    confidences, guesses = probabilities.double().max(dim=1)
    bins = (confidences * BINS).long().clamp(max=BINS - 1)
    excess = torch.zeros(BINS, dtype=torch.float64)
    excess.index_add_(0, bins, confidences - (guesses == labels).double())
    return float(excess.abs().sum() / len(labels))


def find_entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Returns the entropy of each prediction in nats, shape (N,)."""
    return torch.special.entr(probabilities).sum(dim=1)


def find_auroc(known: torch.Tensor, strange: torch.Tensor) -> float:
    """Returns the chance that a strange image has the higher score; a tie is a half."""
    differences = strange[:, None] - known
    return float(((differences > 0).double() + 0.5 * (differences == 0)).mean())
