"""LLVM assembly compiled to functions in the machine code of this processor.

It needs llvmlite, the extra ``jit``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm


def compile_function(code: str, name: str, cpu: str | None = None) -> int:
    """Returns the address of a compiled function.

    Args:
        code: LLVM assembly of a module that contains the function.
        name: Name of the function; unique in this process.
        cpu: LLVM's name of a processor to compile for, whose instructions this processor
            has too; this processor if None.

    Raises:
        RuntimeError: If LLVM cannot compile the code.
    """
    engine = _engine(cpu)
    engine.add_module(parse_module(code))
    engine.finalize_object()
    return int(engine.get_function_address(name))


def parse_module(code: str) -> Any:
    """Returns LLVM assembly as a verified module of llvmlite.

    LLVM's optimizer does not run. Our code has explicit vectors and no repetition, so the
    optimizer takes longer than all other work and gains no speed. The passes that select
    instructions and registers run later, when the engine emits machine code.

    Raises:
        RuntimeError: If LLVM cannot parse the code.
    """
    module = llvm.parse_assembly(code)
    module.verify()
    return module


def host_cpu() -> str:
    """Returns LLVM's name of this processor."""
    return str(llvm.get_host_cpu_name())


@lru_cache(maxsize=8)
def _engine(cpu: str | None) -> Any:
    """Returns the engine that compiles for a processor and runs its code.

    The cache keeps each engine for good. An engine owns its target machine; a second engine
    with the same target machine would free it twice.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten() if cpu is None else ""
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu or host_cpu(), features
    )
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
