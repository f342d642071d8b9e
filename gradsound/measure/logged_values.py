"""Values that are noted, such as a loss, until the step that they belong to."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gradsound.errors import warn
from gradsound.measure.async_copy import AsyncCopy
from gradsound.measure.layers import is_sharded

if TYPE_CHECKING:
    from collections.abc import Mapping


class LoggedValues:
    """Keeps values by name, of which the last counts, until a step takes them."""

    def __init__(self) -> None:
        self._values: dict[str, float | AsyncCopy] = {}
        self._refused: set[str] = set()  # names of values that were told to be none

    def add(self, values: Mapping[str, object]) -> None:
        """Adds values; what is none is left out, with one warning for each name."""
        for name, value in values.items():
            self._add(name, value)

    def take(self) -> dict[str, float | AsyncCopy]:
        """Returns what was added since the last call, some of it still on its way."""
        values, self._values = self._values, {}
        return values

    def _add(self, name: str, value: object) -> None:
        try:
            self._values[name] = _number(value)
        except Exception as error:  # noqa: BLE001 (whatever it is, training must go on)
            if name in self._refused:
                return
            self._refused.add(name)
            told = isinstance(error, TypeError)
            got = error if told else f"{type(value).__name__} ({error})"
            warn(
                f"the value {name!r} is left out: expected a number, or a tensor or array "
                f"of one, got {got}"
            )


def _number(value: object) -> float | AsyncCopy:
    """A value that is noted: what is in the processor's memory now, else on its way.

    Nothing of it is kept, so it may change afterwards, and its graph may go.

    Raises:
        TypeError: If it is not one number; the message says what it is.
    """
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, torch.Tensor):
        tensor = _whole(value) if is_sharded(value) else value
        if tensor.numel() == 1 and not tensor.is_complex():
            return float(tensor.item()) if tensor.is_cpu else AsyncCopy([tensor.detach()])
    if (
        isinstance(value, (np.generic, np.ndarray))
        and value.size == 1
        and value.dtype.kind in "biuf"
    ):
        return float(value.item())
    raise TypeError(_described(value))


def _whole(tensor: Any) -> torch.Tensor:
    """A DTensor as a tensor; to make it whole here, other ranks would have to take part."""
    if not all(placement.is_replicate() for placement in tensor.placements):
        raise TypeError("DTensor that is not whole on this rank")
    return tensor.to_local()  # type: ignore[no-any-return]


def _described(value: object) -> str:
    if value is None or isinstance(value, (str, complex)):
        return reprlib.repr(value)
    kind = type(value).__name__  # and no repr, which might read from an accelerator
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"{kind} of shape {tuple(value.shape)} and {value.dtype}"
    return kind
