"""Selection of the kernel: LLVM machine code if llvmlite is installed, else numpy."""

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
def select_kernel(program: Program, channels: int) -> Kernel:
    """Returns the fastest kernel of a program that this machine can run.

    Both kernels make the same samples. If LLVM cannot compile the program, a warning says
    why and numpy renders it.
    """
    try:
        from gradsound.synth.kernels import llvm_kernel
    except ImportError:
        return numpy_kernel.make_kernel(program, channels)
    try:
        return llvm_kernel.make_kernel(program, channels)
    except (RuntimeError, OSError) as error:
        reason = str(error).partition("\n")[0]
        warn(f"LLVM cannot compile voice {program.name!r}, so numpy renders it: {reason}")
        return numpy_kernel.make_kernel(program, channels)


def describe_kernel() -> str:
    """Returns a sentence that names the kernel of this machine."""
    if find_spec("llvmlite") is None:
        return "Rendered by numpy; pip install llvmlite compiles voices to machine code."
    from gradsound import llvm

    return f"Rendered by machine code, for {llvm.host_cpu()}."
