"""The first moments that optimizers keep: sums of the gradients so far, each with a weight.

At each step, the weights so far are multiplied by a factor, the decay, and the new gradient
gets a weight of its own.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch.optim import Optimizer


class Weights(NamedTuple):
    """How a moment weighs gradients; NaN if it is not kept.

    Attributes:
        decay: The factor of the weights so far.
        share: The weight of a new gradient.
        first: The weight of the gradient that begins the moment.
    """

    decay: float
    share: float
    first: float


_NONE = Weights(nan, nan, nan)


@dataclass(frozen=True, slots=True)
class FirstMoment:
    """Where an optimizer keeps the first moment.

    Attributes:
        key: Its key in the state of a parameter.
        weights_of: Returns the weights of a parameter group.
    """

    key: str
    weights_of: Callable[[Mapping[str, Any]], Weights]


def find_moment(optimizer: Optimizer) -> FirstMoment | None:
    """Returns where an optimizer keeps the first moment; None if it is not known to.

    Other optimizers give the same keys another meaning: Lion's ``exp_avg`` decays by its
    second beta. So only optimizers that step as those of torch do count.
    """
    step = inspect.unwrap(type(optimizer).step)
    for kind, moment in _MOMENTS.items():
        if step is inspect.unwrap(kind.step):
            return moment
    return None


def why_no_moment(optimizers: Iterable[Optimizer]) -> str:
    """Returns why none of the optimizers keeps a first moment; empty if one does."""
    reasons = []
    for optimizer in optimizers:
        moment, name = find_moment(optimizer), type(optimizer).__name__
        if moment is None:
            reasons.append(f"{name} keeps no plain first moment")
        elif all(isnan(moment.weights_of(g).decay) for g in optimizer.param_groups):
            reasons.append(f"{name} without momentum keeps no first moment")
        else:
            return ""
    return ", ".join(dict.fromkeys(reasons))


def _betas(group: Mapping[str, Any]) -> Weights:
    beta = group["betas"][0]
    if isinstance(beta, torch.Tensor) and not beta.is_cpu:
        return _NONE  # to read it would wait for the device
    decay = float(beta)
    return Weights(decay, 1 - decay, 1 - decay)


def _sgd(group: Mapping[str, Any]) -> Weights:
    if not group["momentum"]:
        return _NONE
    return Weights(float(group["momentum"]), 1 - float(group["dampening"]), 1.0)


def _muon(group: Mapping[str, Any]) -> Weights:
    decay = float(group["momentum"])
    return Weights(decay, 1 - decay, 1 - decay)


_MOMENTS: dict[type[Optimizer], FirstMoment] = {
    **dict.fromkeys(
        (
            torch.optim.Adam,
            torch.optim.AdamW,
            torch.optim.NAdam,
            torch.optim.RAdam,
            torch.optim.Adamax,
        ),
        FirstMoment("exp_avg", _betas),
    ),
    torch.optim.SGD: FirstMoment("momentum_buffer", _sgd),
}
if hasattr(torch.optim, "Muon"):  # since torch 2.9
    _MOMENTS[torch.optim.Muon] = FirstMoment("momentum_buffer", _muon)
