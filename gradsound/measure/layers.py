"""Which parameters are a layer, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING

from torch import nn
from torch.amp import GradScaler
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from gradsound.names import choose

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Layer:
    """A module's own trainable parameters, at least one."""

    name: str
    parameters: tuple[nn.Parameter, ...]

    @property
    def size(self) -> int:
        """How many numbers it trains."""
        return sum(parameter.numel() for parameter in self.parameters)


def check_types(
    model: nn.Module, optimizer: Optimizer | None, scaler: GradScaler | None
) -> None:
    """Refuses what is something else, such as two arguments in the wrong order.

    Raises:
        TypeError: The message has the argument's name and what was given.
    """
    for name, value, kinds in (
        ("model", model, (nn.Module,)),
        ("optimizer", optimizer, (Optimizer, NoneType)),
        ("scaler", scaler, (GradScaler, NoneType)),
    ):
        if not isinstance(value, kinds):
            wanted = f"a torch {kinds[0].__name__}" + " or None" * (len(kinds) > 1)
            raise TypeError(f"{name} must be {wanted}, got {type(value).__name__}")


def find_layers(
    model: nn.Module,
    optimizer: Optimizer | None,
    patterns: str | Iterable[str] | None,
) -> tuple[Layer, ...]:
    """Returns the layers of a model, in the order of ``model.named_modules()``.

    A layer is a module that owns trainable parameters directly. It has the module's name,
    compiled or not; the model itself, if it owns some, that of its class. A parameter that
    several modules share belongs to the first.

    Args:
        model: Where to look.
        optimizer: If given, only what it trains counts.
        patterns: If given, a glob over names, or several; others are left out.

    Raises:
        ValueError: If there is no such layer, or one has no shape yet.
    """
    trained = None
    if optimizer is not None:
        trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    layers, seen, trainable = [], set(), False
    modules = {_plain(name): module for name, module in model.named_modules()}
    itself = type(modules[""]).__name__
    for name, module in modules.items():
        own = []
        for parameter in module.parameters(recurse=False):
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            trainable = True
            if trained is None or id(parameter) in trained:
                own.append(parameter)
        if own:
            title = name or (itself if itself not in modules else f"({itself})")
            layers.append(Layer(title, tuple(own)))
    if not trainable:
        raise ValueError("model has no parameter with requires_grad, so nothing to hear")
    if not layers:
        raise ValueError(
            "optimizer holds none of the model's trainable parameters: "
            "give attach() the model that it was made for"
        )
    if patterns is not None:
        layers = [layers[k] for k in choose([layer.name for layer in layers], patterns)]
    for layer in layers:
        if any(is_lazy(p) for p in layer.parameters):
            raise ValueError(
                f"layer {layer.name!r} is lazy and has no shape yet: "
                "run one batch through the model before attach()"
            )
        if any(hasattr(p, "device_mesh") for p in layer.parameters):  # a DTensor
            raise ValueError(
                f"layer {layer.name!r} is sharded (FSDP or tensor parallel): each process "
                "has a part of its gradient, and this version cannot put them together"
            )
    return tuple(layers)


def _plain(name: str) -> str:
    """A module's name without what ``torch.compile`` puts into it."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")
