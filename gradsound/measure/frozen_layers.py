"""Finds the frozen layers of a model that a training may thaw later."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.parameter import is_lazy

from gradsound.measure.layer_names import layer_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Frozen layers in a header. The largest models that people thaw whole have fewer
# (EfficientNet-B7: about 440 of them); more are nearly always frozen for good.
_FROZEN_MAX = 500
_ADAPTED_BLOCKS_MIN = 2  # blocks with trained and frozen layers; one may be chance


def find_frozen_layers(modules: Mapping[str, Sequence[nn.Parameter]]) -> list[str]:
    """Returns the names of the layers without a trained parameter, in their order.

    Quantized layers do not count, because torch cannot train whole numbers.

    Args:
        modules: The parameters of all layers, by name.

    Example:
        >>> frozen, trained = nn.Linear(3, 4).requires_grad_(False), nn.Linear(4, 1)
        >>> find_frozen_layers({"0": [*frozen.parameters()], "1": [*trained.parameters()]})
        ['0']
    """
    return [
        name
        for name, parameters in modules.items()
        if not any(p.requires_grad or is_lazy(p) for p in parameters)
        and all(p.is_floating_point() or p.is_complex() for p in parameters)
    ]


def without_adapted(
    model: nn.Module, frozen: Sequence[str], names: Sequence[str]
) -> list[str]:
    """Returns the frozen layers, or few if the model keeps the others frozen for good.

    It does so if most of them share a block with trained layers, in two blocks or more:
    then the trained layers are adapters (LoRA). And it does so if there are more than 500.
    The few are adapters that the training may switch to: each is in a dictionary of modules
    with a trained one.

    Args:
        model: The model.
        frozen: Names of its frozen layers.
        names: Names of all its layers.
    """
    elements = _list_elements(model)
    blocks_of = {name: _blocks_of(name, elements) for name in names}
    sizes = Counter(block for blocks in blocks_of.values() for block in blocks)
    trained = {block for name in {*names} - {*frozen} for block in blocks_of[name]}
    shared = []  # the block of each frozen layer that shares one with trained layers
    for name in frozen:
        blocks = [block for block in blocks_of[name] if sizes[block] > 1]
        if blocks and blocks[-1] in trained:
            shared.append(blocks[-1])
    has_adapters = 2 * len(shared) > len(frozen) and len({*shared}) >= _ADAPTED_BLOCKS_MIN
    if not has_adapters and len(frozen) <= _FROZEN_MAX:
        return [*frozen]
    switchable = _alternatives(model, frozen, {*names} - {*frozen})
    return switchable if len(switchable) <= _FROZEN_MAX else []


def _alternatives(
    model: nn.Module, frozen: Sequence[str], trained: Iterable[str]
) -> list[str]:
    """Returns the frozen layers that are in a dictionary of modules with a trained one."""
    dictionaries = {
        layer_name(name)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleDict)
    }
    in_use = dictionaries & {name.rpartition(".")[0] for name in trained}
    return [name for name in frozen if name.rpartition(".")[0] in in_use]


def _list_elements(model: nn.Module) -> set[str]:
    """Returns the names of the modules in lists and sequences, such as "encoder.3"."""
    return {
        layer_name(f"{name}.{child}" if name else child)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList | nn.Sequential)
        for child, _ in module.named_children()
    }


def _blocks_of(name: str, elements: set[str]) -> list[str]:
    """Returns the elements of lists that contain a layer, from the outermost to itself."""
    prefixes = accumulate(name.split("."), lambda outer, part: f"{outer}.{part}")
    return [prefix for prefix in prefixes if prefix in elements]
