"""Values that a user logs, such as the loss, kept until the step that they belong to."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from gradsound.errors import warn
from gradsound.measure.async_copy import AsyncCopy
from gradsound.measure.layers import is_sharded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gradsound.measure.distributed.reduction_wait import WaitSeconds

    LoggedNumber: TypeAlias = float | AsyncCopy | WaitSeconds


class LoggedValues:
    """Values by name since the last step; of one name the last value counts.

    Args:
        copy: Starts the copy of tensors from an accelerator to the host.

    Example:
        >>> values = LoggedValues()
        >>> values.add({"loss": torch.tensor(0.5), "epoch": 3})
        >>> values.pop()
        {'loss': 0.5, 'epoch': 3.0}
    """

    def __init__(
        self, copy: Callable[[Sequence[torch.Tensor]], AsyncCopy] = AsyncCopy
    ) -> None:
        self._copy = copy
        self._values: dict[str, LoggedNumber] = {}
        self._refused: set[str] = set()  # names with a warning

    def __bool__(self) -> bool:
        """Whether there are values since the last `pop`."""
        return bool(self._values)

    def add(self, values: Mapping[str, object]) -> None:
        """Adds values; leaves out what is no number, with one warning for each name."""
        for name, value in values.items():
            self._add(name, value)

    def pop(self) -> dict[str, LoggedNumber]:
        """Returns the values since the last call and forgets them."""
        values, self._values = self._values, {}
        return values

    def restore(self, values: Mapping[str, LoggedNumber]) -> None:
        """Takes popped values back; values added since then replace those of their name."""
        self._values = {**values, **self._values}

    def _add(self, name: str, value: object) -> None:
        try:
            self._values[name] = self._to_number(value)
        except Exception as error:  # noqa: BLE001 (training must go on after any error)
            if name in self._refused:
                return
            self._refused.add(name)
            if isinstance(error, TypeError):
                description = str(error)
            else:
                description = f"{type(value).__name__} ({error})"
            warn(
                f"the value {name!r} is left out: expected a number, or a tensor or array "
                f"of one, got {description}"
            )

    def _to_number(self, value: object) -> float | AsyncCopy:
        """Returns a value in host memory as a float, one on an accelerator as a copy.

        Neither refers to the value. So its owner may change it, and its autograd graph is
        freed.

        Raises:
            TypeError: If it is not one number; the message describes it.
        """
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, torch.Tensor):
            tensor = _replicated(value) if is_sharded(value) else value
            if tensor.numel() == 1 and not tensor.is_complex():
                if tensor.is_cpu:
                    return float(tensor.item())
                return self._copy([tensor.detach()])
        if (
            isinstance(value, (np.generic, np.ndarray))
            and value.size == 1
            and value.dtype.kind in "biuf"
        ):
            return float(value.item())
        raise TypeError(_describe(value))


def _replicated(tensor: Any) -> torch.Tensor:
    """Returns the local tensor of a DTensor that every rank has in full.

    Raises:
        TypeError: If this rank has only a part. To fetch the rest, all ranks would have to
            take part.
    """
    if not all(placement.is_replicate() for placement in tensor.placements):
        raise TypeError("DTensor that is not whole on this rank")
    return tensor.to_local()  # type: ignore[no-any-return]


def _describe(value: object) -> str:
    if value is None or isinstance(value, (str, complex)):
        return reprlib.repr(value)
    kind = type(value).__name__  # no repr, which may wait for an accelerator
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"{kind} of shape {tuple(value.shape)} and {value.dtype}"
    return kind
