"""First digits of numbers, and how far they are from Benford's law."""

from __future__ import annotations

import numpy as np

BENFORD = np.log10(1 + 1 / np.arange(1, 10))  # shares of the digits 1 to 9


def first_digits(numbers: np.ndarray) -> np.ndarray:
    """Returns the first digits of numbers that are not 0, 1 to 9."""
    sizes = np.abs(numbers[numbers != 0]).astype(np.float64)
    mantissas = sizes / 10 ** np.floor(np.log10(sizes))
    return np.clip(np.floor(mantissas + 1e-9), 1, 9).astype(int)  # of 0.3 it is 2.9999...


def count_digits(digits: np.ndarray) -> np.ndarray:
    """Returns the shares of digits, shape (9,); one more of each, so that none is 0."""
    counts = 1 + np.bincount(digits, minlength=10)[1:]
    return counts / counts.sum()


def divergence(shares: np.ndarray, law: np.ndarray = BENFORD) -> float:
    """Returns the Kullback-Leibler divergence of shares above 0 from a law, in nats."""
    return float(np.sum(shares * np.log(shares / law)))


def correlation(shares: np.ndarray) -> float:
    """Returns MLH: Pearson's correlation of nine shares with Benford's."""
    return float(np.corrcoef(shares, BENFORD)[0, 1])
