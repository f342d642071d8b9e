"""Finds the layers of a model: modules with trainable parameters of their own, by name."""

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
    """A module's parameters without those of its submodules.

    Attributes:
        name: Name of the module, unique in the model.
        parameters: At least one of them is trainable.
    """

    name: str
    parameters: tuple[nn.Parameter, ...]

    @property
    def trainable_size(self) -> int:
        """How many numbers the layer trains."""
        return sum(p.numel() for p in self.parameters if p.requires_grad)

    @property
    def sharded(self) -> bool:
        """Whether some parameters may be divided among ranks."""
        return any(is_sharded(p) for p in self.parameters)


def check_types(
    model: nn.Module, optimizer: Optimizer | None, scaler: GradScaler | None
) -> None:
    """Checks the types of a user's arguments, for example two in the wrong order.

    Raises:
        TypeError: If an argument has another type; the message has its name and type.
    """
    for name, value, types in (
        ("model", model, (nn.Module,)),
        ("optimizer", optimizer, (Optimizer, NoneType)),
        ("scaler", scaler, (GradScaler, NoneType)),
    ):
        if not isinstance(value, types):
            expected = f"a torch {types[0].__name__}" + " or None" * (len(types) > 1)
            raise TypeError(f"{name} must be {expected}, got {type(value).__name__}")


def find_layers(
    model: nn.Module,
    optimizer: Optimizer | None,
    patterns: str | Iterable[str] | None,
) -> tuple[Layer, ...]:
    """Returns the layers of a model, in the order of ``model.named_modules()``.

    A layer is a module that owns trainable parameters directly. Its name is the module's
    name without the additions of ``torch.compile`` and of parametrizations. If the model
    itself owns parameters, that layer has the name of its class. A parameter that several
    modules share belongs to the first of them.

    Args:
        model: The model.
        optimizer: If given, only its parameters count.
        patterns: If given, a glob over layer names, or several; other layers are left out.

    Raises:
        ValueError: If no layer is left, or a layer is lazy and has no shape yet.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
        >>> [(layer.name, layer.trainable_size) for layer in find_layers(model, None, None)]
        [('0', 16), ('2', 5)]
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("model has no parameter with requires_grad: nothing to measure")
    if any(type(part).__name__ == "FullyShardedDataParallel" for part in model.modules()):
        raise ValueError(
            "model is wrapped in FullyShardedDataParallel, which hides its layers in flat "
            "parameters: shard it with fully_shard() instead"
        )
    layers = find_trained_layers(model, optimizer)
    if not layers:
        raise ValueError(
            "optimizer holds none of the model's trainable parameters: "
            "give attach() the model of this optimizer"
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


def find_trained_layers(model: nn.Module, optimizer: Optimizer | None) -> list[Layer]:
    """Returns the layers as `find_layers` does, but may return none, or lazy layers."""
    optimizer_ids = parameter_ids(optimizer)
    layers = []
    for name, parameters in parameters_by_module(model).items():
        usable = [p for p in parameters if optimizer_ids is None or id(p) in optimizer_ids]
        if any(p.requires_grad for p in usable):
            layers.append(Layer(name, tuple(usable)))
    return layers


def parameter_ids(optimizer: Optimizer | None) -> set[int] | None:
    """Returns the ids of an optimizer's parameters; None without an optimizer."""
    if optimizer is None:
        return None
    return {id(p) for group in optimizer.param_groups for p in group["params"]}


def is_sharded(tensor: object) -> bool:
    """Returns whether a tensor may be divided among ranks (FSDP2, tensor parallel)."""
    return hasattr(tensor, "device_mesh")  # only a DTensor has one


def parameters_by_module(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Returns the parameters that each module owns directly, by the module's layer name.

    Each parameter occurs once, at its first module.
    """
    by_name: dict[str, list[nn.Parameter]] = {}
    seen = set()
    for name, module in model.named_modules():
        parameters = by_name.setdefault(_layer_name(name), [])
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                parameters.append(parameter)
    root, class_name = by_name.pop(""), type(_uncompiled(model)).__name__
    root_name = class_name if class_name not in by_name else f"({class_name})"
    by_name = {root_name: root, **by_name}
    return {name: parameters for name, parameters in by_name.items() if parameters}


def _layer_name(module_name: str) -> str:
    """Returns a module's name without parts that compiling or parametrizing adds."""
    path = [part for part in module_name.split(".") if part != "_orig_mod"]
    if "parametrizations" in path:
        del path[path.index("parametrizations") :]
    return ".".join(path)


def _uncompiled(model: Any) -> Any:
    return getattr(model, "_orig_mod", model)
