"""Exceptions and warnings of gradsound, and how it prints them."""

from __future__ import annotations

import sys
import threading
import warnings
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")

_quiet = threading.local()  # is_quiet: whether this thread issues no warnings
WARNING_PREFIX = "gradsound: "  # the trainer recognizes a worker's warnings by it


class GradsoundError(Exception):
    """Base class of the exceptions that only gradsound raises.

    Example:
        >>> import gradsound
        >>> issubclass(gradsound.VoiceError, gradsound.GradsoundError)
        True
    """


class RunFormatError(GradsoundError, ValueError):
    """A file is no run, or one of its lines breaks the run format.

    Example:
        >>> import gradsound
        >>> from pathlib import Path
        >>> _ = Path("bad.jsonl").write_text('{"format": "gradsound", "version": 99}')
        >>> gradsound.read_run("bad.jsonl")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        gradsound.errors.RunFormatError: bad.jsonl, line 1: ...
    """


class MissingExtraError(GradsoundError, ImportError):
    """An optional package is not installed; the message has the command to install it.

    Args:
        package: Name of the package, as pip knows it.
        hint: Commands that the package needs before it, if any.

    Example:
        >>> import gradsound
        >>> print(gradsound.MissingExtraError("websockets"))
        websockets is not installed: pip install websockets
    """

    def __init__(self, package: str, hint: str = "") -> None:
        command = f"pip install {package}" + (f" ({hint})" if hint else "")
        super().__init__(f"{package} is not installed: {command}", name=package)


class NoDeviceError(Exception):
    """No sound device can be used; the message has the reason."""


class VoiceError(GradsoundError, ValueError):
    """A voice cannot be compiled; the message has the operation, its line and a remedy.

    Example:
        >>> import gradsound
        >>> try:
        ...     gradsound.trace(lambda phase: 1.0 if phase > 0.5 else -1.0)
        ... except gradsound.VoiceError:
        ...     print("a voice cannot branch on a number")
        a voice cannot branch on a number
    """


class StopTraining(Exception):  # noqa: N818 (no error, as StopIteration)
    """Raised by the ``on_alarm`` of `gradsound.attach` to end the training.

    It leaves ``optimizer.step()`` and reaches the training loop.

    Example:
        >>> import gradsound
        >>> def stop_at_nan(alarm):
        ...     if alarm.kind == "nonfinite":
        ...         raise gradsound.StopTraining(alarm.text)
    """


class GradsoundWarning(RuntimeWarning):
    """gradsound lost or skipped something and works on without it.

    Example:
        >>> import warnings
        >>> import gradsound
        >>> from torch import nn
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always", gradsound.GradsoundWarning)
        ...     gradsound.attach(nn.Linear(3, 1), log="empty.jsonl").close()
        >>> print(str(caught[0].message).partition(", ")[0])
        empty.jsonl: no optimizer step was seen
    """


def refuse_old_keywords(
    **new_names: str,
) -> Callable[[Callable[_Args, _Result]], Callable[_Args, _Result]]:
    """Returns a decorator that refuses keywords of version 0.1 and names the new ones.

    Args:
        **new_names: The new name of each keyword, by its old name.
    """

    def decorate(function: Callable[_Args, _Result]) -> Callable[_Args, _Result]:
        @wraps(function)
        def checked(*args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
            for old, new in new_names.items():
                if old in kwargs:
                    name = function.__qualname__.removesuffix(".__init__")
                    raise TypeError(f"{name}({old}=...) is now {name}({new}=...)")
            return function(*args, **kwargs)

        return checked

    return decorate


def error_text(error: Exception) -> str:
    """Returns the error's text; of an OSError the file and the reason, not the number."""
    if isinstance(error, OSError) and error.strerror:
        has_file = error.filename is not None
        return f"{error.filename}: {error.strerror}" if has_file else error.strerror
    return str(error)


def warn(message: str) -> None:
    """Issues a `GradsoundWarning`; prints it where warnings are errors.

    It never raises, because an exception would end the training.
    """
    if getattr(_quiet, "is_quiet", False):
        return
    try:
        warnings.warn(message, GradsoundWarning, stacklevel=3)
    except GradsoundWarning:
        sys.stderr.write(f"gradsound: {message}\n")


@contextmanager
def without_warnings() -> Iterator[None]:
    """Issues no warning in this thread: a second reading of a run tells the same again."""
    _quiet.is_quiet = True
    try:
        yield
    finally:
        _quiet.is_quiet = False


def print_warnings_plainly() -> None:
    """Makes this process print each warning as one line, without its place in the code."""
    warnings.simplefilter("always", GradsoundWarning)
    warnings.formatwarning = lambda message, *_, **__: f"{WARNING_PREFIX}{message}\n"
