"""The names of layers, and the parameters that each module of a model owns directly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradsound.measure.keras_variables import is_container, is_keras_layer, named_variables

if TYPE_CHECKING:
    from torch import nn


def parameters_by_module(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Returns the parameters that each module owns directly, by the module's layer name.

    Each parameter occurs once, at its first module. The variables of Keras layers have
    names from their paths, and only trainable ones occur.
    """
    by_name: dict[str, list[nn.Parameter]] = {}
    seen, inside_keras = set(), set()
    for name, module in model.named_modules():
        named = [(name, p) for p in module.parameters(recurse=False)]
        if id(module) in inside_keras:
            if is_container(name):
                continue
        elif is_keras_layer(module):
            inside_keras |= {id(one) for one in module.modules()}
            prefix = f"{name}." if name else ""
            named = [(prefix + path, p) for path, p in named_variables(module)]
        by_name.setdefault(layer_name(name), [])
        for owner, parameter in named:
            if id(parameter) not in seen:
                seen.add(id(parameter))
                by_name.setdefault(layer_name(owner), []).append(parameter)
    root, class_name = by_name.pop(""), type(_uncompiled(model)).__name__
    root_name = class_name if class_name not in by_name else f"({class_name})"
    by_name = {root_name: root, **by_name}
    return {name: parameters for name, parameters in by_name.items() if parameters}


def layer_name(module_name: str) -> str:
    """Returns a module's name without parts that compiling or parametrizing adds."""
    path = [part for part in module_name.split(".") if part != "_orig_mod"]
    if "parametrizations" in path:
        del path[path.index("parametrizations") :]
    return ".".join(path)


def _uncompiled(model: Any) -> Any:
    return getattr(model, "_orig_mod", model)
