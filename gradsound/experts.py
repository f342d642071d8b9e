"""How many experts of a mixture are in use, from how often each of them was chosen.

Shapes: K experts.
"""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from numpy.typing import NDArray

_EXPECTED = "counts must be numbers, one for each expert"


def in_use(counts: Iterable[float] | torch.Tensor) -> float | torch.Tensor:
    """Returns how many experts are in use: the exponential of the entropy of counts.

    That is K if all experts were chosen equally often, and 1 if a single one was. Pass how
    often each expert was chosen, not what the router thinks of it: equal probabilities do
    not say that all are chosen. Log the number as ``experts``, and gradsound tells when the
    mixture has collapsed (docs/recording.md).

    Args:
        counts: How often each expert was chosen, shape (K,), 0 or more: a list, an array, a
            tensor or the values of a dictionary. Counts of several ranks are theirs to sum.

    Returns:
        The number, from 1 to K; NaN if no expert was chosen. For a tensor on an accelerator
        it is a tensor there, shape (), for which nothing waits: `Attachment.log_values`
        takes both. It is NaN if a count is out of range, because a check would wait.

    Raises:
        ValueError: If a count is negative, infinite or NaN, or there is none.

    Example:
        >>> import gradsound
        >>> gradsound.in_use([25, 25, 0, 0])
        2.0
        >>> round(gradsound.in_use([97, 1, 1, 1]), 2)
        1.18
    """
    torch = sys.modules.get("torch")  # a tensor has imported it
    if torch is not None and isinstance(counts, torch.Tensor):
        _check_shape(tuple(counts.shape), is_real=not counts.is_complex())
        if not counts.is_cpu:
            return _count_on_device(counts)
        counts = counts.detach().double().numpy()
    numbers = _read(counts)
    if not numbers.any():
        return np.nan
    shares = numbers / numbers.max()  # the sum of large counts could overflow
    shares = shares[shares > 0] / shares.sum()
    entropy = -np.sum(shares * np.log(shares))
    return float(np.clip(np.exp(entropy), 1, len(shares)))


def _count_on_device(counts: torch.Tensor) -> torch.Tensor:
    """Returns the number as a tensor on the device of the counts, shape ()."""
    numbers = counts.detach().float()
    numbers = numbers.masked_fill(numbers < 0, np.nan)
    shares = numbers / numbers.sum()
    return shares.xlogy(shares).sum().neg().exp()


def _read(counts: Iterable[float]) -> NDArray[np.float64]:
    """Returns counts as an array, shape (K,).

    Raises:
        ValueError: If they are no counts.
    """
    if isinstance(counts, Mapping):
        counts = counts.values()
    if isinstance(counts, Set):
        raise ValueError(f"{_EXPECTED}, got a set, which has equal counts only once")
    try:
        array = np.asarray(counts if isinstance(counts, np.ndarray) else [*counts])
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: tensors with a gradient
        raise ValueError(f"{_EXPECTED}, got {reprlib.repr(counts)}") from None
    _check_shape(array.shape, is_real=not array.size or array.dtype.kind in "biuf")
    numbers = array.astype(np.float64)
    wrong = np.flatnonzero(~(np.isfinite(numbers) & (numbers >= 0)))
    if len(wrong):
        expert = wrong[0]
        raise ValueError(
            f"a count must be finite and not negative, got {numbers[expert]:g} "
            f"of expert {expert}"
        )
    return numbers


def _check_shape(shape: tuple[int, ...], *, is_real: bool) -> None:
    if not is_real:
        raise ValueError(f"{_EXPECTED}, got other things than numbers")
    if len(shape) > 1:
        remedy = (
            "sum those of several layers, or log each layer by a name of its own; "
            "of indices, count each, as torch.bincount does"
        )
        raise ValueError(f"{_EXPECTED}, got the shape {shape}: {remedy}")
    if shape in {(), (0,)}:
        raise ValueError(f"{_EXPECTED}, got {'no count' if shape else 'a single number'}")
