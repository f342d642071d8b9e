"""Checks of the arguments of attach() that no other module checks."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from torch.amp import GradScaler

_WHOLE_MAX = 2**53  # the largest whole number that every JSON reader keeps exact


def check_options(
    comment: str,
    budget: float | None,
    ranks: str,
    start_step: int | None,
    stage: int | None = None,
) -> None:
    """Checks options of `gradsound.attach`.

    Raises:
        TypeError: If the comment is no text.
        ValueError: If another option is out of range.
    """
    if not isinstance(comment, str):
        raise TypeError(f"comment must be a text, got {comment!r}")
    if budget is not None and not 0 < budget < 1:
        raise ValueError(
            f"budget must be a share of time between 0 and 1, such as 0.01, got {budget!r}"
        )
    if ranks not in ("first", "each"):
        raise ValueError(f"ranks must be 'first' or 'each', got {ranks!r}")
    _check_whole("stage", stage)
    _check_whole("start_step", start_step)


def _check_whole(name: str, number: int | None) -> None:
    if number is None:
        return
    if type(number) is not int or not 0 <= number <= _WHOLE_MAX:
        raise ValueError(f"{name} must be a whole number of 0 or more, got {number!r}")


def check_on_alarm(on_alarm: object) -> None:
    """Checks that this is a function, or None.

    Raises:
        TypeError: If it is something else.
    """
    if on_alarm is not None and not callable(on_alarm):
        raise TypeError(f"on_alarm={on_alarm!r}: give a function of one alarm")


def check_types(model: nn.Module, scaler: GradScaler | None) -> None:
    """Checks types of a user's arguments, for example two in the wrong order.

    Raises:
        TypeError: If an argument has another type; the message has its name and type.
    """
    from torch import nn  # here, because `gradsound run` leaves this import to the script
    from torch.amp import GradScaler

    _check_type("model", model, nn.Module, "a torch Module")
    _check_type("scaler", scaler, (GradScaler, NoneType), "a torch GradScaler or None")


def _check_type(
    name: str, value: object, types: type | tuple[type, ...], expected: str
) -> None:
    if not isinstance(value, types):
        raise TypeError(f"{name} must be {expected}, got {type(value).__name__}")


def check_ranks(
    budget: float | None, *, each_rank: bool, sharded: bool, pipelined: bool = False
) -> None:
    """Checks options that several ranks, a sharded model or a pipeline exclude.

    Args:
        budget: As for `gradsound.attach`.
        each_rank: Whether each of several ranks measures its own gradients.
        sharded: Whether the parameters of the model are divided among ranks.
        pipelined: Whether the layers of the model are divided among ranks.

    Raises:
        ValueError: If there is a budget and one of the others, or each rank measures
            gradients of a sharded model.
    """
    if each_rank and budget is not None:
        raise ValueError(
            f"budget must be None with ranks='each', got {budget}: a rank measures its own "
            "gradients in the backward pass, before it knows whether the step is left out"
        )
    if (sharded or pipelined) and budget is not None:
        kind = "sharded model" if sharded else "pipeline"
        raise ValueError(
            f"budget must be None for a {kind}, got {budget}: all ranks must "
            "measure the same steps, but each rank has its own clock"
        )
    if sharded and each_rank:
        raise ValueError(
            "ranks must be 'first' for a sharded model, got 'each': no rank has gradients "
            "of its own, only a part of every gradient"
        )
