"""The kernel as machine code, which LLVM compiles for this processor.

Shapes: C channels, N frames, K events.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING

from gradsound.llvm import compile_object, describe_compiler, load_functions
from gradsound.synth.kernels.code_cache import make_key, read_code, write_code
from gradsound.synth.kernels.llvm_module import to_llvm_ir
from gradsound.synth.voices.program import PADDING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gradsound.synth.events import Kernel
    from gradsound.synth.voices.program import Program

_PLACEHOLDER = "kernel_"  # for the name, which is that of the code in the cache
_SIGNATURE = ctypes.CFUNCTYPE(
    None,
    ctypes.c_void_p,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_float,
    ctypes.c_int64,
    ctypes.c_void_p,
)


def make_kernel(program: Program, channels: int, cpu: str | None = None) -> Kernel:
    """Returns the kernel of a program; `gradsound.synth.events` defines kernels.

    Args:
        program: The program to compile.
        channels: 1 or 2.
        cpu: LLVM's name of a processor whose code this one can run; this one if None.

    Raises:
        RuntimeError: If LLVM cannot compile the program.
    """
    call = _SIGNATURE(_load_kernel(to_llvm_ir(program, channels, _PLACEHOLDER), cpu))

    # The last events and their address: numpy takes as long to return an address as the
    # kernel takes to render a small block.
    last: tuple[NDArray[np.void] | None, int] = (None, 0)

    def render(
        out: NDArray[np.float32], start: int, period: float, events: NDArray[np.void]
    ) -> None:
        nonlocal last
        known = last  # another thread may replace it
        if events is not known[0]:
            known = last = (events, events.ctypes.data)
        stride = out.shape[1]
        row = ctypes.addressof(ctypes.c_char.from_buffer(out.data))
        call(row, stride, stride - PADDING, start, period, len(events), known[1])

    return render


@cache  # an engine takes each name once
def _load_kernel(code: str, cpu: str | None) -> int:
    """Returns the address of a kernel, whose object file is in the cache, or is made."""
    key = make_key(describe_compiler(cpu), code)
    name = f"kernel_{key}"
    object_file = read_code(key)
    if object_file is None:
        object_file = compile_object(code.replace(_PLACEHOLDER, name), cpu)
        write_code(key, object_file)
    return load_functions(object_file, [name], cpu)[0]
