"""What a command line calls a voice: one of ours, or module:function of a user's own."""

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


def named(voice: str) -> Voice:
    """The voice of a name, which is passed on, or of ``module:function``.

    Modules are looked for in the working directory first. A class of torch modules is made
    one.

    Raises:
        VoiceError: If there is no such module, or nothing in it that can be a voice.
    """
    module, colon, name = voice.partition(":")
    if not colon:
        return voice
    if not module or module.endswith(".py"):
        raise VoiceError(f"voice {voice!r}: write module:function, without .py")
    if os.getcwd() not in sys.path:  # noqa: PTH109 (an entry of sys.path is a string)
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        found: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        what = f"{module} cannot be imported: {_told(error)}"
        raise VoiceError(f"voice {voice!r}: {what}") from error
    try:
        found = attrgetter(name)(found)
    except AttributeError:
        raise VoiceError(f"voice {voice!r}: {module} has no {name!r}") from None
    if inspect.isclass(found):
        try:
            found = found()
        except (Exception, SystemExit) as error:
            what = f"{name} cannot be made: {_told(error)}"
            raise VoiceError(f"voice {voice!r}: {what}") from error
    if not callable(found):
        raise VoiceError(f"voice {voice!r}: {name} is no function or module, but {found!r}")
    return cast("Voice", found)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
