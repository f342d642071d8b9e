"""What can go wrong, by name."""

from __future__ import annotations

import sys
import warnings
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")

WARNS = "gradsound: "  # how a warning begins that a process of ours prints


class GradsoundError(Exception):
    """Base class of what gradsound raises on its own account."""


class RunFormatError(GradsoundError, ValueError):
    """A file is not a run, or one of its lines is not what the format says."""


class MissingExtraError(GradsoundError, ImportError):
    """An optional package is absent; the message says what to install."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed: pip install 'gradsound[{extra}]'",
            name=package,
        )


class VoiceError(GradsoundError, ValueError):
    """A voice cannot be compiled; the message has the operation, its line, and a remedy."""


class GradsoundWarning(RuntimeWarning):
    """Something was lost or left out; work goes on without it."""


def renamed(**words: str) -> Callable[[Callable[_Args, _Result]], Callable[_Args, _Result]]:
    """A decorator that refuses keywords of earlier versions, with the word of today.

    Args:
        **words: Today's word by the old one.
    """

    def decorate(function: Callable[_Args, _Result]) -> Callable[_Args, _Result]:
        @wraps(function)
        def called(*args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
            for old, new in words.items():
                if old in kwargs:
                    name = function.__qualname__.removesuffix(".__init__")
                    raise TypeError(f"{name}({old}=...) is now {name}({new}=...)")
            return function(*args, **kwargs)

        return called

    return decorate


def warn(message: str) -> None:
    """Warns, and never raises: training goes on even where warnings are errors."""
    try:
        warnings.warn(message, GradsoundWarning, stacklevel=3)
    except GradsoundWarning:
        sys.stderr.write(f"gradsound: {message}\n")


def show_plainly() -> None:
    """Prints warnings of this process as one line each, as a command line should."""
    warnings.simplefilter("always", GradsoundWarning)
    warnings.formatwarning = lambda message, *_, **__: f"{WARNS}{message}\n"
