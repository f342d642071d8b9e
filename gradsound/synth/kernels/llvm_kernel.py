"""The kernel as machine code.

Shapes: C channels, N frames, K events.
"""

from __future__ import annotations

import ctypes
import itertools
from typing import TYPE_CHECKING

from gradsound.llvm import compiled
from gradsound.synth.kernels import llvm_module
from gradsound.synth.voices.program import ROOM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gradsound.synth.events import Kernel
    from gradsound.synth.voices.program import Program

_names = (f"kernel{number}" for number in itertools.count())
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


def kernel(program: Program, channels: int, cpu: str | None = None) -> Kernel:
    """Returns the kernel of a program; `gradsound.synth.events` says what that is.

    Args:
        program: What to compile.
        channels: 1 or 2.
        cpu: LLVM's name of a processor that this one can do the work of; itself if None.

    Raises:
        RuntimeError: If LLVM cannot compile it.
    """
    name = next(_names)
    call = _SIGNATURE(compiled(llvm_module.kernel(program, channels, name), name, cpu))

    # Events and their address: to ask for it takes as long as to render a small block.
    last: tuple[NDArray[np.void] | None, int] = (None, 0)

    def render(
        out: NDArray[np.float32], start: int, period: float, events: NDArray[np.void]
    ) -> None:
        nonlocal last
        known = last  # as others may render in other threads
        if events is not known[0]:
            known = last = (events, events.ctypes.data)
        stride = out.shape[1]
        row = ctypes.addressof(ctypes.c_char.from_buffer(out.data))
        call(row, stride, stride - ROOM, start, period, len(events), known[1])

    return render
