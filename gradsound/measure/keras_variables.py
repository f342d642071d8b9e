"""The variables of Keras layers on torch: their paths name layers, their modules do not.

Keras registers all variables of a model, or of a layer, in one container, in the order of
the alphabet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONTAINER = "_torch_params"  # the child of a Keras layer that owns its parameters


def is_keras_layer(module: nn.Module) -> bool:
    """Returns whether a module is a layer or a model of Keras, built or not."""
    return hasattr(type(module), "torch_params") and hasattr(module, "trainable_variables")


def is_container(module_name: str) -> bool:
    """Returns whether a module inside of a Keras layer owns parameters for Keras."""
    return module_name.rpartition(".")[2] == _CONTAINER


def named_variables(layer: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yields the trainable variables of a Keras layer, each with its layer's name.

    The name is the path of the variable without its last part, with a dot for a slash:
    ``encoder.attention.query``. If two variables have the same path, the second one's layer
    gets a number. The parameters of torch modules inside of the layer are left out.

    Args:
        layer: A module that is a Keras layer.
    """
    own: Any = layer
    of_torch = {
        id(parameter)
        for name, module in layer.named_modules()
        if not is_container(name)
        for parameter in module._parameters.values()
    }
    paths = set()
    for variable in own.trainable_variables:
        parameter = variable.value
        if not isinstance(parameter, nn.Parameter) or id(parameter) in of_torch:
            continue
        name, _, leaf = variable.path.replace(".", "_").replace("/", ".").rpartition(".")
        numbered, number = name or leaf, 1
        while (numbered, leaf) in paths:
            number += 1
            numbered = f"{name or leaf}_{number}"
        paths.add((numbered, leaf))
        yield numbered, parameter
