"""Optimizers inside of wrappers (Accelerate, Lookahead, SAM, Opacus, DeepSpeed)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer

from gradsound.measure.deepspeed_engine import is_engine_optimizer
from gradsound.measure.distributed.ranks import rank_count
from gradsound.measure.layers import parameter_ids
from gradsound.measure.live_objects import find_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

# Attributes by which published wrappers keep the optimizer inside.
_ATTRIBUTES = ("optimizer", "base_optimizer", "original_optimizer", "optim", "opt", "base")


def unwrap_optimizers(
    optimizer: Optimizer | Sequence[Optimizer] | None,
) -> tuple[Optimizer, ...]:
    """Returns the innermost optimizers, which have hooks: none, one or several.

    Raises:
        TypeError: If something is neither an optimizer nor a wrapper of one.
        ValueError: If a wrapper keeps its optimizer under an unknown name, or the list of
            optimizers is empty.
    """
    if optimizer is None:
        return ()
    if not isinstance(optimizer, list | tuple):
        expected = "a torch Optimizer, a list of several, or None"
        return (_find_whole(_unwrap(optimizer, "optimizer", expected)),)
    if not optimizer:
        raise ValueError(
            "optimizer must have at least one optimizer, got an empty list: leave it out "
            "to measure the steps of any optimizer"
        )
    unwrapped = [
        _find_whole(_unwrap(one, f"optimizer[{index}]", "a torch Optimizer"))
        for index, one in enumerate(optimizer)
    ]
    return tuple(dict.fromkeys(unwrapped))


def find_inner_optimizers(optimizer: Optimizer) -> list[Optimizer]:
    """Returns the optimizers inside one that has hooks itself, such as SAM's.

    A training may call the step of either.
    """
    held = parameter_ids([optimizer]) or set()
    return [
        inner
        for inner in _objects_inside(optimizer)
        if _has_hooks(inner) and not held.isdisjoint(parameter_ids([inner]) or ())
    ]


def _find_whole(optimizer: Optimizer) -> Optimizer:
    """Returns the optimizer around one that has only this rank's share of its parameters.

    Such are ``ZeroRedundancyOptimizer`` of torch and ``OSS`` of fairscale. Every rank has
    the gradients of all parameters.
    """
    share = parameter_ids([optimizer]) or set()
    for outer in find_objects(Optimizer) if rank_count() > 1 else ():
        is_inside = any(one is optimizer for one in _objects_inside(outer))
        if is_inside and share < (parameter_ids([outer]) or set()):
            return outer
    return optimizer


def _unwrap(optimizer: Any, name: str, expected: str) -> Optimizer:
    for candidate in (optimizer, *_objects_inside(optimizer)):
        if _has_hooks(candidate) or is_engine_optimizer(candidate):
            return candidate  # type: ignore[no-any-return]
    kind = type(optimizer).__name__
    for attribute, value in getattr(optimizer, "__dict__", {}).items():
        if _has_hooks(value):
            raise ValueError(
                f"{name} is a {kind}, whose steps have no hooks: give the optimizer in it, "
                f"{name}.{attribute}"
            )
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name} must be {expected}, got {kind}")
    raise ValueError(
        f"{name} {kind} does not call Optimizer.__init__, so it has no hooks to measure "
        "its steps: give the optimizer inside it"
    )


def _has_hooks(value: Any) -> bool:
    return isinstance(value, Optimizer) and hasattr(value, "_optimizer_step_pre_hooks")


def _objects_inside(wrapper: Any) -> list[Any]:
    """Returns the values of the known attributes, the outer ones first."""
    found = [wrapper]
    for outer in found:  # which grows
        values = [getattr(outer, attribute, None) for attribute in _ATTRIBUTES]
        found += [
            value
            for value in values
            if hasattr(value, "step") and all(value is not one for one in found)
        ]
    return found[1:]
