"""Finds the models of parameters: the root modules in this process that own them."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import TYPE_CHECKING

from torch import nn
from torch.fx import GraphModule

from gradsound.measure.live_objects import find_objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor
    from torch.optim import Optimizer


class FoundModel(nn.Module):
    """Several root modules, and parameters of none, as one model; it keeps none alive.

    Args:
        roots: The modules, in the order of their layers.
        loose: Parameters that belong to no module, by name.

    Attributes:
        label: The parts, in words.
    """

    def __init__(self, roots: Sequence[nn.Module], loose: dict[str, Tensor]) -> None:
        super().__init__()
        names = [type(root).__name__ for root in roots]
        counts = Counter(names)
        self._roots: list[tuple[str, weakref.ref[nn.Module]]] = []
        for index, (name, root) in enumerate(zip(names, roots)):
            number = names[:index].count(name)
            label = name if counts[name] == 1 else f"{name}{number}"
            self._roots.append((label, weakref.ref(root)))
        self.label = " and ".join([*names, *(["loose parameters"] if loose else [])])
        self._loose = {name: weakref.ref(tensor) for name, tensor in loose.items()}

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", *_: object, **__: object
    ) -> Iterator[tuple[str, nn.Module]]:
        """Yields itself, then all modules of the roots, and a module a loose parameter.

        The names are those of the only root, or begin with the class of one of several.
        """
        yield prefix, self
        memo = set() if memo is None else memo
        for label, reference in self._roots:
            root = reference()
            for name, module in () if root is None else root.named_modules(memo):
                if len(self._roots) > 1:
                    yield prefix + (f"{label}.{name}" if name else label), module
                else:
                    yield prefix + (name or label), module
        for name, parameter in self._loose.items():
            if (tensor := parameter()) is not None:
                module = nn.Module()
                module._parameters["parameter"] = tensor  # type: ignore[assignment]
                yield prefix + name, module


def find_model(optimizers: Sequence[Optimizer]) -> tuple[nn.Module, object]:
    """Returns the model whose parameters optimizers train, and what it lives as long as.

    That is the module itself if one root module owns all the parameters.

    Args:
        optimizers: One or several, with at least one parameter.
    """
    named = _named_parameters(optimizers)
    missing = {id(parameter) for parameter in named.values()}
    roots = []
    for module, own in _rank_roots(missing):
        if not missing.isdisjoint(own):
            missing -= own
            roots.append(module)
    loose = {name: tensor for name, tensor in named.items() if id(tensor) in missing}
    if len(roots) == 1 and not loose:
        return roots[0], roots[0]
    order = {id(tensor): index for index, tensor in enumerate(named.values())}
    roots.sort(
        key=lambda root: min(order.get(id(p), len(order)) for p in root.parameters())
    )
    owner: object = roots[0] if roots else next(iter(loose.values()))
    return FoundModel(roots, loose), owner


def _named_parameters(optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """Returns each parameter once, by its place in the optimizers."""
    named: dict[str, Tensor] = {}
    seen: set[int] = set()
    for number, optimizer in enumerate(optimizers):
        prefix = f"optimizer{number}." if len(optimizers) > 1 else ""
        for index, group in enumerate(optimizer.param_groups):
            for place, parameter in enumerate(group["params"]):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    named[f"{prefix}param_groups[{index}].{place}"] = parameter
    return named


def _rank_roots(wanted: set[int]) -> list[tuple[nn.Module, set[int]]]:
    """Returns the root modules that own wanted parameters, with the ids of these.

    The first owns the most. Of several that own the same, a module of the user comes before
    a traced graph of it, and a smaller one first.
    """
    modules = [one for one in find_objects(nn.Module) if _is_module(one)]
    children = {
        id(child) for module in modules for child in vars(module)["_modules"].values()
    }
    ranked = []
    for module in modules:
        if id(module) not in children:
            own = {id(parameter) for parameter in module.parameters()} & wanted
            if own:
                size = sum(1 for _ in module.modules())
                key = (-len(own), isinstance(module, GraphModule), size)
                ranked.append((key, module, own))
    ranked.sort(key=lambda item: item[0])
    return [(module, own) for _, module, own in ranked]


def _is_module(candidate: nn.Module) -> bool:
    """Returns whether a module is complete and of the script; calls no code of it."""
    return (
        not issubclass(type(candidate), FoundModel)
        and isinstance(vars(candidate).get("_modules"), dict)
        and isinstance(vars(candidate).get("_parameters"), dict)
    )
