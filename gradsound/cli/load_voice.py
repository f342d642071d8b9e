"""Loads the voice that ``--voice`` names: a built-in name or ``module:function``."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

from gradsound.errors import VoiceError

if TYPE_CHECKING:
    from gradsound.synth.voices.builtin import Voice


def load_voice(voice: str) -> Voice:
    """Returns the voice of ``module:function``; any other name is returned unchanged.

    Python looks for the module in the working directory first. A class, such as a
    ``torch.nn.Module``, is instantiated without arguments.

    Raises:
        VoiceError: If the module cannot be imported, or has no such function.
    """
    module, colon, name = voice.partition(":")
    if not colon:
        return voice
    if not module or module.endswith(".py"):
        raise VoiceError(f"voice {voice!r}: write module:function, without .py")
    if os.getcwd() not in sys.path:  # noqa: PTH109 (an entry of sys.path is a string)
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        target: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        fault = f"{module} cannot be imported: {_first_line(error)}"
        raise VoiceError(f"voice {voice!r}: {fault}") from error
    try:
        target = attrgetter(name)(target)
    except AttributeError:
        raise VoiceError(f"voice {voice!r}: {module} has no {name!r}") from None
    if inspect.isclass(target):
        try:
            target = target()
        except (Exception, SystemExit) as error:
            fault = f"{name} cannot be instantiated: {_first_line(error)}"
            raise VoiceError(f"voice {voice!r}: {fault}") from error
    if not callable(target):
        raise VoiceError(f"voice {voice!r}: {name} is not callable, got {target!r}")
    return cast("Voice", target)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
