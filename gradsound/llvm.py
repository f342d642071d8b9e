"""LLVM assembly compiled to functions in the machine code of this processor.

It needs llvmlite, the extra ``jit``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import llvmlite
import llvmlite.binding as llvm

if TYPE_CHECKING:
    from collections.abc import Sequence


def compile_object(code: str, cpu: str | None = None) -> bytes:
    """Returns the object file of a module.

    Args:
        code: LLVM assembly of the module.
        cpu: LLVM's name of a processor to compile for, whose instructions this processor
            has too; this processor if None.

    Raises:
        RuntimeError: If LLVM cannot compile the code.
    """
    _, machine = _compiler(cpu)
    return bytes(machine.emit_object(parse_module(code)))


def load_functions(
    object_file: bytes, names: Sequence[str], cpu: str | None = None
) -> list[int]:
    """Returns the addresses of functions in an object file from `compile_object`.

    LLVM may end the process if it loads anything else.

    Args:
        object_file: The object file.
        names: Names of the functions; unique in this process.
        cpu: As for `compile_object`.
    """
    engine, _ = _compiler(cpu)
    engine.add_object_file(llvm.ObjectFileRef.from_data(object_file))
    engine.finalize_object()
    return [int(engine.get_function_address(name)) for name in names]


def describe_compiler(cpu: str | None = None) -> str:
    """Returns what machine code depends on beside its module: processor and versions."""
    _, machine = _compiler(cpu)
    versions = llvmlite.__version__, llvm.llvm_version_info
    return f"{versions} {machine.triple} {cpu or host_cpu()} {_features(cpu)}"


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


def _features(cpu: str | None) -> str:
    return str(llvm.get_host_cpu_features().flatten()) if cpu is None else ""


@lru_cache(maxsize=8)
def _compiler(cpu: str | None) -> tuple[Any, Any]:
    """Returns the engine that runs the code of a processor, and its target machine.

    The cache keeps each engine for good. An engine owns its target machine; a second engine
    with the same target machine would free it twice.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu or host_cpu(), _features(cpu)
    )
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine), machine
