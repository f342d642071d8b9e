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
    machine, engine = _machine(cpu)
    engine.add_module(optimised(intermediate.kernel(program, channels, name), machine))
    engine.finalize_object()
    call = _SIGNATURE(engine.get_function_address(name))

    def render(
        out: NDArray[np.float32], start: int, period: float, events: NDArray[np.void]
    ) -> None:
        frames, stride = out.shape[1], out.strides[0] // out.itemsize
        data = out.ctypes.data, events.ctypes.data
        call(data[0], stride, frames, start, period, len(events), data[1])

    return render


def optimised(code: str, machine: Any) -> Any:
    """A module of LLVM's, optimised for a machine."""
    module = llvm.parse_assembly(code)
    module.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(2))
    passes.getModulePassManager().run(module, passes)
    return module


def processor() -> str:
    """LLVM's name of this processor."""
    return str(llvm.get_host_cpu_name())


@lru_cache(maxsize=8)
def _machine(cpu: str | None) -> tuple[Any, Any]:
    """A processor, and what runs code on it.

    The engine is kept for good: it owns the machine, and a second engine that was given the
    same would free it twice.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten() if cpu is None else ""
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu or processor(), features
    )
    return machine, llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
