"""The tracer: makes the program of a voice that is a function in torch or numpy."""

from __future__ import annotations

import inspect
import linecache
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from gradsound.errors import VoiceError
from gradsound.synth.voices.functions import FUNCTIONS
from gradsound.synth.voices.program import INPUTS, Program
from gradsound.synth.voices.sample_check import check_samples
from gradsound.synth.voices.traced_value import Tape, TracedValue, to_number

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from gradsound.synth.voices.program import Operation

MAX_OPERATIONS = 1000  # of a voice; LLVM compiles that many in 0.1 s
BRIGHT = "bright"  # a parameter that the program computes from another
_LIBRARIES = ("gradsound", "torch", "numpy", "functools")  # no error is in a line of these


def trace(voice: Callable[..., Any]) -> Program:
    """Returns the program of a voice.

    The voice is called twice, with values that record its operations.

    Args:
        voice: A function or module. Its parameters are ``phase`` and, by name, any of
            ``norm``, ``deviation``, ``bright``, ``depth``, ``time``, ``noise`` and ``dt``;
            docs/voices.md explains them. Other parameters must have defaults.

    Raises:
        TypeError: If the voice cannot be called.
        VoiceError: If the voice cannot be compiled; the message has the operation and its
            line.

    Example:
        >>> import gradsound
        >>> import numpy as np
        >>> def bell(phase, bright):
        ...     tone = 2 * np.pi * phase
        ...     return np.sin(tone + 3 * bright * np.sin(2 * tone))
        >>> program = gradsound.trace(bell)
        >>> program.name, program.inputs
        ('bell', ('phase', 'deviation'))
        >>> len(program.operations)
        36
    """
    if not callable(voice):
        raise TypeError(f"a voice is a name, a function or a module, got {voice!r}")
    voice = getattr(voice, "_orig_mod", voice)  # the module inside a torch.compile wrapper
    name = _name(voice)
    try:
        parameters = _parameters(voice)
        first, second = (_record(voice, parameters) for _ in range(2))
        if first != second:
            raise VoiceError(
                "its operations differ from call to call: remove state and random numbers "
                "(a parameter called noise is white noise)"
            )
        program = _prune(name, *first)
        check_samples(program)
    except VoiceError as error:
        place = _user_line(error.__traceback__)
        raise VoiceError(f"voice {name!r}{place}: {error}") from error.__cause__
    return program


def _name(voice: object) -> str:
    while isinstance(voice, partial):
        voice = voice.func
    return str(getattr(voice, "__name__", type(voice).__name__))


def _parameters(voice: Callable[..., Any]) -> tuple[str, ...]:
    """Returns the names of the parameters that the tracer passes to a voice."""
    if inspect.isclass(voice):
        raise VoiceError(f"it is a class: pass an instance, such as {voice.__name__}()")
    bound: set[str] = set()  # by keyword, in a partial
    forward = voice
    while isinstance(forward, partial):
        bound |= forward.keywords.keys()
        forward = forward.func
    # A module's own signature is (*args, **kwargs). A partial of a function keeps its own
    # signature, which lacks the arguments that it binds by position.
    forward = getattr(forward, "forward", voice)
    try:
        signature = inspect.signature(forward)
    except (TypeError, ValueError) as error:
        raise VoiceError(
            "Python does not know its parameters: wrap it in a function of phase"
        ) from error
    names = []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in bound:
            continue
        if parameter.kind == parameter.POSITIONAL_ONLY:
            raise VoiceError("its parameters must accept keywords: remove the /")
        if parameter.name in (*INPUTS, BRIGHT):
            names.append(parameter.name)
        elif parameter.default is parameter.empty:
            raise VoiceError(
                f"its parameter {parameter.name!r} is unknown and has no default; there "
                f"are {', '.join(INPUTS)}, {BRIGHT}"
            )
    if "phase" not in names:
        raise VoiceError(
            "it needs a parameter called phase (turns, -0.5 to 0.5), but its parameters "
            f"are {signature}"
        )
    return tuple(names)


def _record(
    voice: Callable[..., Any], parameters: tuple[str, ...]
) -> tuple[list[Operation], int]:
    """Calls a voice once; returns its operations and the number of its result."""
    tape = Tape(INPUTS, FUNCTIONS, MAX_OPERATIONS)
    values: dict[str, Any] = dict(tape.values)
    if BRIGHT in parameters:
        values[BRIGHT] = values["deviation"] * 0.5 + 0.5
    try:
        result = voice(**{name: values[name] for name in parameters})
    except VoiceError:
        raise
    except (Exception, SystemExit) as error:
        message = f"it fails when it is traced: {type(error).__name__}: {error}"
        raise VoiceError(message).with_traceback(error.__traceback__) from error
    if isinstance(result, (int, float)):
        raise VoiceError(f"it returns {result} at every phase, which is silence")
    if not isinstance(result, TracedValue):
        raise VoiceError(f"it returns {type(result).__name__}: return one number")
    if result.tape is not tape:
        raise VoiceError("it returns a value of an earlier call: remove its state")
    result = cast("TracedValue", to_number(result))
    return tape.operations, result.index


def _prune(name: str, operations: list[Operation], result: int) -> Program:
    """Returns the program without the operations that the result does not need.

    The result is its last value.
    """
    needed, pending = set(), [result]
    while pending:
        index = pending.pop()
        if index not in needed:
            needed.add(index)
            if index >= len(INPUTS):
                arguments = operations[index - len(INPUTS)][1:]
                pending += [a for a in arguments if type(a) is int]
    kept = {index: k for k, index in enumerate(sorted(needed))}
    inputs = tuple(INPUTS[index] for index in kept if index < len(INPUTS))
    remaining = [operations[i - len(INPUTS)] for i in kept if i >= len(INPUTS)]
    renumbered = tuple(
        (operation, *(kept[a] if type(a) is int else a for a in arguments))
        for operation, *arguments in remaining
    )
    return Program(name, inputs, renumbered)


def _user_line(traceback: TracebackType | None) -> str:
    """Returns the last line of a traceback that is in the user's code."""
    place = ""
    while traceback is not None:
        frame, line = traceback.tb_frame, traceback.tb_lineno
        module = str(frame.f_globals.get("__name__", "")).split(".")[0]
        if module not in _LIBRARIES:
            file = frame.f_code.co_filename
            code = linecache.getline(file, line).strip()
            place = f" ({file}, line {line}: {code})" if code else f" ({file}, line {line})"
        traceback = traceback.tb_next
    return place
