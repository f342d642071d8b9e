"""What can go wrong, by name."""

from __future__ import annotations

import sys
import warnings

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
