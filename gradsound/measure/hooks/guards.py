"""Guards of hooks: no exception reaches the training, and torch.compile skips the hooks."""

from __future__ import annotations

import traceback
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from torch import is_grad_enabled
from torch._C import _set_grad_enabled
from torch.compiler import disable

from gradsound.errors import StopTraining, warn

if TYPE_CHECKING:
    from collections.abc import Callable


class _Stoppable(Protocol):
    def stop_after_error(self) -> None: ...


_Monitor = TypeVar("_Monitor", bound=_Stoppable)
_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")


def never_raises(
    method: Callable[Concatenate[_Monitor, _Args], None],
) -> Callable[Concatenate[_Monitor, _Args], None]:
    """Returns a monitor's method that stops the monitor where it would raise an exception.

    A user's `StopTraining` passes. Autograd does not track the method's operations.
    """

    @wraps(method)
    def guarded(monitor: _Monitor, /, *args: _Args.args, **kwargs: _Args.kwargs) -> None:
        grad_enabled = is_grad_enabled()
        _set_grad_enabled(False)  # takes a third of the time of no_grad()
        try:
            method(monitor, *args, **kwargs)
        except StopTraining:  # from the hooks of another monitor, inside of this method
            raise
        except Exception:  # noqa: BLE001 (training must go on after any error)
            monitor.stop_after_error()
        finally:
            _set_grad_enabled(grad_enabled)

    return guarded


def warn_of_error() -> None:
    """Warns that the exception in progress ended the measuring."""
    warn(
        "an error ended the measuring; training goes on, what was recorded so far "
        f"is kept:\n{traceback.format_exc()}"
    )


def uncompiled(hook: Callable[_Args, _Result]) -> Callable[_Args, _Result]:
    """Returns a hook that torch.compile does not trace.

    A compiled step that calls it has as many graphs as without the hook.
    """
    return disable(hook)  # type: ignore[no-untyped-call, no-any-return]
