"""SIGTERM ends a command as an exception, so that the command removes unfinished files.

Ctrl-C and SIGTERM may also wait for the end of a few lines.
"""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STATUS = 128 + signal.SIGTERM  # of a shell, for a process that SIGTERM ended
_REPEAT_SECONDS = 0.5


class _Termination:
    """Raises one SystemExit at SIGTERM, again and again until somebody handles it.

    The exception may come at any line. Some code drops every exception: destructors,
    callbacks of C, and the import of modules by Cython, such as `numpy.random`.
    """

    def __init__(self) -> None:
        self._exit: SystemExit | None = None

    def __call__(self, *_: object) -> None:
        """Handles SIGTERM, and the timer that repeats it."""
        if self._exit is None:
            self._exit = SystemExit(_STATUS)
            if hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_REAL, _REPEAT_SECONDS, _REPEAT_SECONDS)
        handled = sys.exc_info()[1]
        while handled is not None and handled is not self._exit:
            handled = handled.__context__
        if handled is None:
            raise self._exit


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Raises SystemExit(143) in the block at SIGTERM.

    Outside of the main thread it does nothing.

    Raises:
        SystemExit: At SIGTERM.
    """
    termination, before = _Termination(), {}
    for name in ("SIGTERM", "SIGALRM"):  # Windows has no alarm
        number = getattr(signal, name, None)
        with suppress(ValueError):  # only the main thread may set a handler
            if number is not None:
                before[number] = signal.signal(number, termination) or signal.SIG_DFL
    try:
        yield
    finally:
        if before and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def defer_interruptions() -> Iterator[None]:
    """Lets Ctrl-C and SIGTERM interrupt the block at its end alone.

    Outside of the main thread it does nothing.
    """
    before: dict[int, Callable[..., object]] = {}
    came: list[int] = []
    for name in ("SIGINT", "SIGTERM", "SIGALRM"):  # the last one repeats the second
        number = getattr(signal, name, None)
        handler = None if number is None else signal.getsignal(number)
        if number is not None and callable(handler):  # an ignored one stays so
            with suppress(ValueError):
                signal.signal(number, lambda number, _: came.append(number))
                before[number] = handler
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            before[number](number, None)
