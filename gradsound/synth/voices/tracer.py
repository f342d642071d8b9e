"""From a function of a phase, written in torch or numpy, to its program."""

from __future__ import annotations

import inspect
import linecache
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gradsound.errors import VoiceError
from gradsound.synth.voices.functions import FUNCTIONS
from gradsound.synth.voices.program import INPUTS, Program, evaluate
from gradsound.synth.voices.traced_value import Tape, TracedValue, number

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from gradsound.synth.voices.program import Operation

BRIGHT = "bright"  # a control made of another
_OURS = ("gradsound", "torch", "numpy", "functools")  # in whose lines no user looks
_PHASES, _NOISES = 64, (-0.9, 0.1, 0.8)
_GOLDEN = (5**0.5 - 1) / 2  # of a turn: phases that no partial has as its zeros
_LONGEST = 5.0  # seconds; no preset has longer notes
_PROBES = (0.0, 0.5, 1.0)  # of the controls; deviation is 2 x that - 1


def trace(voice: Callable[..., Any]) -> Program:
    """Returns the program of a voice.

    Args:
        voice: A function or module of ``phase`` and, by their names, any of ``norm``,
            ``deviation``, ``bright``, ``depth``, ``time``, ``noise`` and ``dt``; see
            docs/voices.md. Other parameters must have defaults.

    Raises:
        TypeError: If it cannot be called.
        VoiceError: If it cannot be compiled; the message has the operation and its line.
    """
    if not callable(voice):
        raise TypeError(f"a voice is a name, a function or a module, got {voice!r}")
    voice = getattr(voice, "_orig_mod", voice)  # of a module that torch has compiled
    name = _name(voice)
    try:
        wanted = _wanted(voice)
        first, second = (_operations(voice, wanted) for _ in range(2))
        if first != second:
            raise VoiceError(
                "it does something else each time it is called: it must have no state and "
                "no random numbers (a parameter called noise is white noise)"
            )
        program = _used(name, *first)
        _check(program)
    except VoiceError as error:
        place = _place(error.__traceback__)
        raise VoiceError(f"voice {name!r}{place}: {error}") from error.__cause__
    return program


def _name(voice: object) -> str:
    while isinstance(voice, partial):
        voice = voice.func
    return str(getattr(voice, "__name__", type(voice).__name__))


def _wanted(voice: Callable[..., Any]) -> tuple[str, ...]:
    """The parameters of a voice that are to be given."""
    if inspect.isclass(voice):
        raise VoiceError(f"it is a class: give what it makes, such as {voice.__name__}()")
    bound: set[str] = set()  # what a partial has given already
    forward = voice
    while isinstance(forward, partial):
        bound |= forward.keywords.keys()
        forward = forward.func
    # A module's own signature says nothing; a partial's lacks what was given by place.
    forward = getattr(forward, "forward", voice)
    try:
        signature = inspect.signature(forward)
    except (TypeError, ValueError) as error:
        raise VoiceError(
            "what its parameters are cannot be found out: wrap it in a function of phase"
        ) from error
    names = []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in bound:
            continue
        if parameter.kind == parameter.POSITIONAL_ONLY:
            raise VoiceError("its parameters are given by name: take the / out of them")
        if parameter.name in (*INPUTS, BRIGHT):
            names.append(parameter.name)
        elif parameter.default is parameter.empty:
            raise VoiceError(
                f"its parameter {parameter.name!r} is unknown and has no default; there "
                f"are {', '.join(INPUTS)}, {BRIGHT}"
            )
    if "phase" not in names:
        raise VoiceError(
            f"it needs a parameter called phase (turns, -0.5 to 0.5), and has {signature}"
        )
    return tuple(names)


def _operations(
    voice: Callable[..., Any], wanted: tuple[str, ...]
) -> tuple[list[Operation], int]:
    """What a voice does, and which value is its result."""
    tape = Tape(INPUTS, FUNCTIONS)
    values: dict[str, Any] = dict(tape.values)
    if BRIGHT in wanted:
        values[BRIGHT] = values["deviation"] * 0.5 + 0.5
    try:
        result = voice(**{name: values[name] for name in wanted})
    except VoiceError:
        raise
    except (Exception, SystemExit) as error:
        message = f"it fails when it is traced: {type(error).__name__}: {error}"
        raise VoiceError(message).with_traceback(error.__traceback__) from error
    if isinstance(result, (int, float)):
        raise VoiceError(f"it returns {result}, whatever the phase: that is silence")
    if not isinstance(result, TracedValue):
        raise VoiceError(f"it returns {type(result).__name__}: return one number")
    if result.tape is not tape:
        raise VoiceError("it returns a value of an earlier call: it must not have state")
    result = cast("TracedValue", number(result))
    return tape.operations, result.index


def _used(name: str, operations: list[Operation], result: int) -> Program:
    """The program of what the result needs; so the result comes last."""
    needed, pending = set(), [result]
    while pending:
        index = pending.pop()
        if index not in needed:
            needed.add(index)
            if index >= len(INPUTS):
                arguments = operations[index - len(INPUTS)][1:]
                pending += [a for a in arguments if type(a) is int]
    kept = {index: k for k, index in enumerate(sorted(needed))}
    return Program(
        name,
        tuple(INPUTS[index] for index in kept if index < len(INPUTS)),
        tuple(
            (made[0], *(kept[a] if type(a) is int else a for a in made[1:]))
            for made in (operations[i - len(INPUTS)] for i in kept if i >= len(INPUTS))
        ),
    )


def _check(program: Program) -> None:
    """Refuses a voice that is silent, or makes what is not a number."""
    grids = {
        "phase": np.arange(1, _PHASES + 1) * _GOLDEN % 1 - 0.5,
        "dt": np.array([1e-3, 0.05, 0.45]),
        "time": np.array([0.0, 0.01, _LONGEST]),
        "noise": np.array(_NOISES),
        "norm": np.array(_PROBES),
        "deviation": np.array(_PROBES) * 2 - 1,
        "depth": np.array(_PROBES),
    }
    axes = np.meshgrid(*(grids[name] for name in program.inputs), indexing="ij")
    inputs = {name: axis.astype(np.float32) for name, axis in zip(program.inputs, axes)}
    with np.errstate(all="ignore"):
        result = np.asarray(evaluate(program, inputs))
    wrong = np.argwhere(~np.isfinite(result))
    if len(wrong):
        where = ", ".join(f"{n} {axis[tuple(wrong[0])]:g}" for n, axis in inputs.items())
        raise VoiceError(f"it gives {result[tuple(wrong[0])]} at {where}")
    if not {"phase", "noise"} & {*program.inputs}:
        raise VoiceError("it does not depend on its phase: that is silence")
    if np.ptp(result) == 0:
        raise VoiceError(f"it is {result.flat[0]:g} whatever the phase: that is silence")


def _place(traceback: TracebackType | None) -> str:
    """The last line of the user's own that a traceback went through."""
    place = ""
    while traceback is not None:
        frame, line = traceback.tb_frame, traceback.tb_lineno
        module = str(frame.f_globals.get("__name__", "")).split(".")[0]
        if module not in _OURS:
            file = frame.f_code.co_filename
            code = linecache.getline(file, line).strip()
            place = f" ({file}, line {line}: {code})" if code else f" ({file}, line {line})"
        traceback = traceback.tb_next
    return place
