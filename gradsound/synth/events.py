"""What the kernels render: notes as figures of frames, phases and gains.

A kernel is a function ``kernel(out, start, period, events)``: it adds events to ``out``,
float32 of shape (C, N + ROOM), which holds the N frames from ``start`` on; ``period`` is a
frame in seconds. Each sample of an event is a function of its frame alone, so a block may
begin and end anywhere, and a live block and a whole run have the same samples.

Shapes: C channels, N frames, K events.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gradsound.errors import warn
from gradsound.synth.kernels import numpy_kernel
from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gradsound.synth.voices.program import Program

TURN = 2.0**32  # a turn of phase: it wraps by itself, and exactly

# Pairs are the values at the event's beginning and end; between, they are on a line.
EVENT = np.dtype(
    [
        ("first", "i8"),  # frame
        ("count", "i4"),  # frames, 1 to 2**24
        ("slot", "u4"),  # seed of its noise
        ("phase", "u4"),  # 2**-32 turns, at the first frame
        ("step", "u4"),  # 2**-32 turns a frame, at the beginning
        ("glide", "i4"),  # half of what a frame adds to the step
        ("fade", "i4"),  # frames of raised cosine at each end
        ("gain", "f4", 2),  # linear
        ("pan", "f4", 2),  # gains of the left and right channel; of one, the left's
        ("controls", "f4", (len(CONTROLS), 2)),
    ],
    align=True,
)
Kernel: TypeAlias = "Callable[[NDArray[np.float32], int, float, NDArray[np.void]], None]"


@lru_cache(maxsize=64)
def kernel(program: Program, channels: int) -> Kernel:
    """Returns the fastest kernel of a program that there is here.

    That is machine code where llvmlite is installed, else numpy; the samples are the same.
    """
    try:
        from gradsound.synth.kernels import llvm_kernel
    except ImportError:
        return numpy_kernel.kernel(program, channels)
    try:
        return llvm_kernel.kernel(program, channels)
    except (RuntimeError, OSError) as error:
        why = str(error).partition("\n")[0]
        warn(f"voice {program.name!r} cannot be compiled, numpy plays it instead: {why}")
        return numpy_kernel.kernel(program, channels)


def renderer() -> str:
    """A sentence that says what renders."""
    if find_spec("llvmlite") is None:
        return "Rendered by numpy; pip install 'gradsound[jit]' makes them machine code."
    from gradsound import llvm

    return f"Rendered by machine code, for {llvm.processor()}."
