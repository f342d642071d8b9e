"""The closure of a step, which makes the gradients while the step is in progress."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradsound.measure.hooks.guards import uncompiled

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from typing import TypeAlias

    from gradsound.measure.gradient_reader import GradientReader
    from gradsound.measure.norms.per_layer import NormsPerLayer
    from gradsound.measure.overhead_budget import OverheadBudget

    Arguments: TypeAlias = tuple[tuple[Any, ...], dict[str, Any]]  # of a step


@dataclass(frozen=True, slots=True)
class Evaluations:
    """The evaluations of a closure in one step.

    Attributes:
        time: When the first one ended, in seconds of ``time.perf_counter()``.
        norms: Norms of the layers after the last one.
    """

    time: float
    norms: NormsPerLayer | None


class ClosureNorms:
    """Reads the gradients that a closure made: the step may change or remove them.

    Args:
        reader: Reads the gradients.
        budget: The limit of the time for that; None for no limit.
    """

    def __init__(self, reader: GradientReader, budget: OverheadBudget | None) -> None:
        self._reader, self._budget = reader, budget
        self._made: Evaluations | None = None

    def read(self, step: int, fresh: Container[int] | None) -> None:
        """Reads the gradients after an evaluation; they replace those of the one before.

        Args:
            step: As for `GradientReader.read`.
            fresh: As for `GradientReader.read`.
        """
        begin = time.perf_counter()
        first = begin if self._made is None else self._made.time
        if self._budget is not None and not self._budget.allows(first):
            self._made = Evaluations(first, None)
            return
        if self._made is None:
            norms = self._reader.read(step, fresh)
        else:
            norms = self._reader.read_again(fresh)
        self._made = Evaluations(first, norms)
        if self._budget is not None:
            self._budget.add(time.perf_counter() - begin)

    def pop(self) -> Evaluations | None:
        """Returns the evaluations of the step, if there were any; forgets them."""
        made, self._made = self._made, None
        return made


class ObservedClosure:
    """Stands in for a closure, and tells when an evaluation has ended.

    Its values, exceptions and attributes are those of the closure.

    Args:
        closure: The closure, which takes the arguments that the optimizer gives.
        after: Called after each evaluation; it may not raise.
    """

    def __init__(self, closure: Callable[..., Any], after: Callable[[], None]) -> None:
        self._closure, self._after = closure, uncompiled(after)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluates the closure."""
        result = self._closure(*args, **kwargs)
        self._after()
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._closure, name)


def observe_closure(
    args: tuple[Any, ...], kwargs: dict[str, Any], after: Callable[[], None]
) -> Arguments:
    """Returns the arguments of ``step(self, closure)`` with an observed closure.

    Args:
        args: The positional arguments, ``self`` first; one of both has a closure.
        kwargs: The keyword arguments.
        after: As for `ObservedClosure`.
    """
    if len(args) > 1:
        optimizer, closure, *others = args
        return (optimizer, ObservedClosure(closure, after), *others), kwargs
    return args, {**kwargs, "closure": ObservedClosure(kwargs["closure"], after)}


def has_closure(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Returns whether a call ``step(self, closure)`` with these arguments has a closure."""
    return (args[1] if len(args) > 1 else kwargs.get("closure")) is not None
