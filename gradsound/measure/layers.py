"""Which parameters are a layer, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.amp import GradScaler
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from gradsound.name_matching import choose

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Layer:
    """A module's own parameters, at least one of them trainable."""

    name: str
    parameters: tuple[nn.Parameter, ...]

    @property
    def size(self) -> int:
        """How many numbers it trains."""
        return sum(p.numel() for p in self.parameters if p.requires_grad)

    @property
    def sharded(self) -> bool:
        """Whether some of it may lie in pieces on several ranks."""
        return any(is_sharded(p) for p in self.parameters)


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
    compiled, parametrized or not; the model itself, if it owns some, that of its class. A
    parameter that several modules share belongs to the first.

    Args:
        model: Where to look.
        optimizer: If given, only what it trains counts.
        patterns: If given, a glob over names, or several; others are left out.

    Raises:
        ValueError: If there is no such layer, or one has no shape yet.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("model has no parameter with requires_grad, so nothing to hear")
    if any(type(part).__name__ == "FullyShardedDataParallel" for part in model.modules()):
        raise ValueError(
            "model is wrapped in FullyShardedDataParallel, which hides its layers in flat "
            "parameters: shard it with fully_shard() instead"
        )
    layers = trained_layers(model, optimizer)
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
    return tuple(layers)


def trained_layers(model: nn.Module, optimizer: Optimizer | None) -> list[Layer]:
    """As `find_layers`, but none is an answer too, and lazy ones are not looked for."""
    held = held_by(optimizer)
    layers = []
    for name, parameters in own_parameters(model).items():
        ours = [p for p in parameters if held is None or id(p) in held]
        if any(p.requires_grad for p in ours):
            layers.append(Layer(name, tuple(ours)))
    return layers


def held_by(optimizer: Optimizer | None) -> set[int] | None:
    """The ids of the parameters that an optimizer has; None if there is no optimizer."""
    if optimizer is None:
        return None
    return {id(p) for group in optimizer.param_groups for p in group["params"]}


def is_sharded(tensor: object) -> bool:
    """Whether a tensor may lie in pieces on several ranks (FSDP2, tensor parallel)."""
    return hasattr(tensor, "device_mesh")  # only a DTensor has one


def own_parameters(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Each module's own parameters by its plain name, every parameter once."""
    found: dict[str, list[nn.Parameter]] = {}
    seen = set()
    for name, module in model.named_modules():
        own = found.setdefault(_plain(name), [])
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                own.append(parameter)
    root, kind = found.pop(""), type(_unwrapped(model)).__name__
    title = kind if kind not in found else f"({kind})"
    return {name: own for name, own in {title: root, **found}.items() if own}


def _plain(name: str) -> str:
    """A module's name without what compiling and parametrizing it put there."""
    path = [part for part in name.split(".") if part != "_orig_mod"]
    if "parametrizations" in path:
        del path[path.index("parametrizations") :]
    return ".".join(path)


def _unwrapped(model: Any) -> Any:
    return getattr(model, "_orig_mod", model)
