"""Guards of hooks: no exception reaches training, and torch.compile leaves them alone."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

import torch
from torch.compiler import disable

if TYPE_CHECKING:
    from collections.abc import Callable


class _GivesUp(Protocol):
    def give_up(self) -> None: ...


_Monitor = TypeVar("_Monitor", bound=_GivesUp)
_Args = ParamSpec("_Args")


def never_raises(
    method: Callable[Concatenate[_Monitor, _Args], None],
) -> Callable[Concatenate[_Monitor, _Args], None]:
    """The method, for a hook to call: an exception ends the measuring, not training.

    Gradients are not tracked meanwhile.
    """

    @wraps(method)
    def guarded(monitor: _Monitor, /, *args: _Args.args, **kwargs: _Args.kwargs) -> None:
        differentiating = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)  # as no_grad(), for a third of its time
        try:
            method(monitor, *args, **kwargs)
        except Exception:  # noqa: BLE001 (whatever it is, training must go on)
            monitor.give_up()
        finally:
            torch._C._set_grad_enabled(differentiating)

    return guarded


def has_closure(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the arguments of ``step(self, closure)`` have a closure."""
    return (args[1] if len(args) > 1 else kwargs.get("closure")) is not None


def uncompiled(hook: Callable[..., None]) -> Callable[..., None]:
    """The hook, left alone by torch.compile.

    A compiled step calls it, but has as many graphs as without it.
    """
    return disable(hook)  # type: ignore[no-untyped-call, no-any-return]
