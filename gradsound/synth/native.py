"""The kernel as machine code of this processor, through llvmlite.

Shapes: C channels, N frames, K events.
"""

from __future__ import annotations

import ctypes
import itertools
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import llvmlite.binding as llvm

from gradsound.synth import intermediate
from gradsound.synth.program import ROOM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gradsound.synth.events import Kernel
    from gradsound.synth.program import Program

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
    engine = _engine(cpu)
    engine.add_module(parsed(intermediate.kernel(program, channels, name)))
    engine.finalize_object()
    call = _SIGNATURE(engine.get_function_address(name))

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


def parsed(code: str) -> Any:
    """A module of LLVM's.

    It is not optimised: it says what vectors to work on and repeats nothing, so LLVM's
    passes over it take longer than all the rest and make it no faster. Those of the
    processor, which choose instructions and registers, come when it becomes machine code.
    """
    module = llvm.parse_assembly(code)
    module.verify()
    return module


def processor() -> str:
    """LLVM's name of this processor."""
    return str(llvm.get_host_cpu_name())


@lru_cache(maxsize=8)
def _engine(cpu: str | None) -> Any:
    """What runs code on a processor.

    It is kept for good: it owns the machine that it is given, and a second engine with the
    same would free it twice.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten() if cpu is None else ""
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu or processor(), features
    )
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
