"""Machine code of this processor, from LLVM's intermediate representation.

Needs llvmlite, the extra ``jit``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm


def compiled(code: str, name: str, cpu: str | None = None) -> int:
    """Returns the address of a function.

    Args:
        code: A module that has it.
        name: Of the function; no two may be called the same.
        cpu: LLVM's name of a processor that this one can do the work of; itself if None.

    Raises:
        RuntimeError: If LLVM cannot compile it.
    """
    engine = _engine(cpu)
    engine.add_module(parsed(code))
    engine.finalize_object()
    return int(engine.get_function_address(name))


def parsed(code: str) -> Any:
    """A module of LLVM's.

    It is not optimised: ours say what vectors to work on and repeat nothing, so LLVM's
    passes over them take longer than all the rest and make them no faster. Those of the
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
