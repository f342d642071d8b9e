"""Finds the layers of a model: modules with parameters of their own, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch.nn.parameter import is_lazy

from gradsound.measure.deepspeed_engine import is_partitioned, trained_parameters
from gradsound.measure.frozen_layers import find_frozen_layers, without_adapted
from gradsound.measure.layer_names import parameters_by_module
from gradsound.name_matching import choose

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import nn
    from torch.optim import Optimizer


@dataclass(frozen=True, slots=True)
class Layer:
    """A module's parameters without those of its submodules.

    Attributes:
        name: Name of the module, unique in the model.
        parameters: The parameters, at least one. All of a frozen layer are frozen.
    """

    name: str
    parameters: tuple[nn.Parameter, ...]

    @property
    def trainable_size(self) -> int:
        """How many numbers the layer trains, or would train if it were thawed."""
        trained = [p for p in self.parameters if p.requires_grad]
        # ZeRO 3 leaves a parameter of 0 numbers, and keeps the true size beside it.
        return sum(getattr(p, "ds_numel", p.numel()) for p in trained or self.parameters)

    @property
    def frozen(self) -> bool:
        """Whether all parameters are frozen, and without a gradient from before."""
        return not any(p.requires_grad or p.grad is not None for p in self.parameters)

    @property
    def sharded(self) -> bool:
        """Whether some parameters may be divided among ranks."""
        return any(is_sharded(p) for p in self.parameters)


def find_layers(
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    patterns: str | Iterable[str] | None,
) -> tuple[Layer, ...]:
    """Returns the layers of a model, in the order of ``model.named_modules()``.

    A layer is a module that owns parameters directly. Its name is the module's name without
    the additions of ``torch.compile`` and of parametrizations. If the model itself owns
    parameters, that layer has the name of its class. A parameter that several modules share
    belongs to the first of them.

    A frozen layer is among them too, because the training may thaw it, unless the model
    has adapters or very many frozen layers.

    Args:
        model: The model.
        optimizers: If there are any, only their parameters count; a frozen layer may be
            thawed and given to an optimizer later.
        patterns: If given, a glob over the names of all layers, trained or frozen, or
            several; other layers are left out.

    Raises:
        ValueError: If no layer is left, or a layer is lazy and has no shape yet.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
        >>> [(layer.name, layer.trainable_size) for layer in find_layers(model, (), None)]
        [('0', 16), ('2', 5)]
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("model has no parameter with requires_grad: nothing to measure")
    if any(type(part).__name__ == "FullyShardedDataParallel" for part in model.modules()):
        raise ValueError(
            "model is wrapped in FullyShardedDataParallel, which hides its layers in flat "
            "parameters: shard it with fully_shard() instead"
        )
    trained = find_trained_layers(model, optimizers)
    if not trained:
        raise ValueError(
            "optimizer holds none of the model's trainable parameters: "
            "give attach() the model of this optimizer"
        )
    modules = parameters_by_module(model)
    frozen = find_frozen_layers(modules)
    if patterns is None:
        frozen = without_adapted(model, frozen, [*modules])
    by_name = {layer.name: layer for layer in trained}
    by_name |= {name: Layer(name, tuple(modules[name])) for name in frozen}
    layers = [by_name[name] for name in modules if name in by_name]
    if patterns is not None:
        layers = [layers[k] for k in choose([layer.name for layer in layers], patterns)]
    for layer in layers:
        if any(is_lazy(p) for p in layer.parameters):
            raise ValueError(
                f"layer {layer.name!r} is lazy and has no shape yet: "
                "run one batch through the model before attach()"
            )
    return tuple(layers)


def find_trained_layers(model: nn.Module, optimizers: Sequence[Optimizer]) -> list[Layer]:
    """Returns the layers that are trained now; may return none, or lazy layers."""
    optimizer_ids = parameter_ids(optimizers)
    layers = []
    for name, parameters in parameters_by_module(model).items():
        usable = [p for p in parameters if optimizer_ids is None or id(p) in optimizer_ids]
        if any(p.requires_grad for p in usable):
            layers.append(Layer(name, tuple(usable)))
    return layers


def parameter_ids(optimizers: Sequence[Optimizer]) -> set[int] | None:
    """Returns the ids of the optimizers' parameters; None without an optimizer."""
    if not optimizers:
        return None
    return {id(p) for optimizer in optimizers for p in trained_parameters(optimizer)}


def is_sharded(tensor: object) -> bool:
    """Returns whether ranks may divide a tensor (FSDP2, tensor parallel, ZeRO)."""
    return hasattr(tensor, "device_mesh") or is_partitioned(tensor)  # a DTensor has a mesh
