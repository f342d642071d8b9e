"""Recognizes engines and optimizers of DeepSpeed, without an import of DeepSpeed."""

from __future__ import annotations

import sys
from functools import lru_cache
from itertools import chain
from typing import Any

from torch import nn

from gradsound.measure.live_objects import find_objects

_ENGINE = "DeepSpeedEngine"
# Where DeepSpeed's optimizers keep the model's parameters, one list for each group: ZeRO 1
# and 2, bfloat16, then ZeRO 3 and float16. Their `param_groups` have flat copies.
_PARAMETER_LISTS = ("bit16_groups", "bf16_groups", "fp16_groups")


def is_engine(value: object) -> bool:
    """Returns whether a value is an engine, as `deepspeed.initialize` returns it."""
    return _is_named(type(value), _ENGINE)  # type: ignore[arg-type]


def is_engine_optimizer(value: object) -> bool:
    """Returns whether a value is one of DeepSpeed's optimizers around a torch optimizer.

    With ZeRO 0 and float32, the optimizer of an engine is a plain torch optimizer.
    """
    return _is_named(type(value), "DeepSpeedOptimizer")  # type: ignore[arg-type]


def trained_parameters(optimizer: Any) -> list[nn.Parameter]:
    """Returns the parameters that an optimizer trains.

    Args:
        optimizer: A torch optimizer, or one of DeepSpeed's around it.
    """
    return [*chain.from_iterable(parameter_groups(optimizer))]


def parameter_groups(optimizer: Any) -> list[list[nn.Parameter]]:
    """Returns the parameters of an optimizer as `trained_parameters`, by group."""
    if is_engine_optimizer(optimizer):
        for name in _PARAMETER_LISTS:
            if (groups := getattr(optimizer, name, None)) is not None:
                return groups  # type: ignore[no-any-return]
    return [group["params"] for group in optimizer.param_groups]


def is_partitioned(parameter: object) -> bool:
    """Returns whether ZeRO divides a parameter's gradient among ranks."""
    return hasattr(parameter, "ds_id") or hasattr(parameter, "_hp_mapping")


def unwrap_engine(model: nn.Module, optimizer: Any, scaler: Any) -> tuple[Any, Any, Any]:
    """Returns the model, the optimizer and the scaler inside of an engine, if there is one.

    An engine may be given, or train the given model.

    Args:
        model: As for `gradsound.attach`, maybe an engine.
        optimizer: As for `gradsound.attach`, maybe an engine.
        scaler: As for `gradsound.attach`.

    Raises:
        ValueError: If the engine has stages of a pipeline.
    """
    engine: Any = next((one for one in (model, optimizer) if is_engine(one)), None)
    for one in () if engine else _live_engines():
        if one.module is model and (
            optimizer is None or optimizer is one.__dict__.get("basic_optimizer")
        ):
            engine, optimizer = one, one.optimizer
    if engine is None:
        return model, optimizer, scaler
    if (stages := engine.__dict__.get("num_stages", 1)) > 1:
        raise ValueError(
            f"{type(engine).__name__} has {stages} stages: each rank has other layers, "
            "which gradsound cannot record as one run"
        )
    if optimizer is None or optimizer is engine:
        optimizer = engine.optimizer
    scaler = scaler or engine.__dict__.get("torch_autocast_z0_gradscaler")
    return (engine.module if is_engine(model) else model), optimizer, scaler


def has_trained(parameters: set[int]) -> bool:
    """Returns whether an engine has made steps with some of these parameters.

    Args:
        parameters: The ids of the parameters.
    """
    return any(
        engine.global_steps and not parameters.isdisjoint(map(id, engine.parameters()))
        for engine in _live_engines()
    )


def _live_engines() -> list[Any]:
    """Returns all engines of the process."""
    if "deepspeed" not in sys.modules:
        return []
    return [one for one in find_objects(nn.Module) if is_engine(one)]


@lru_cache(maxsize=32)  # asked at each step. To mypy, classes are not hashable
def _is_named(kind: type, name: str) -> bool:
    """Returns whether a class is one of DeepSpeed's classes, or a subclass of it."""
    return any(
        one.__name__ == name and str(one.__module__).startswith("deepspeed.")
        for one in kind.__mro__
    )
