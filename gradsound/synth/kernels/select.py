"""The choice of the kernel: machine code where llvmlite is installed, else numpy."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gradsound.errors import warn
from gradsound.synth.kernels import numpy_kernel

if TYPE_CHECKING:
    from gradsound.synth.events import Kernel
    from gradsound.synth.voices.program import Program


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
