"""The kernel as native code of another processor: an object file, or a WebAssembly module.

The machine that compiles it need not have that processor.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from gradsound.errors import MissingExtraError
from gradsound.synth.kernels.code_cache import make_key, read_code, write_code
from gradsound.synth.kernels.llvm_module import to_llvm_ir
from gradsound.synth.kernels.wasm_module import to_wasm_module

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradsound.synth.voices.program import Program


class Target(NamedTuple):
    """A processor to compile for, by LLVM's names.

    Attributes:
        triple: Processor, vendor and operating system.
        cpu: The least processor that runs the code.
        features: Instructions that the processor has beside those of ``cpu``.
        abi: How functions take their arguments; the triple's own way if empty.
    """

    triple: str
    cpu: str = "generic"
    features: str = ""
    abi: str = ""


# A fixed list: where LLVM cannot serve a target, it may end the process.
TARGETS: Mapping[str, Target] = {
    "aarch64": Target("aarch64-unknown-linux-gnu"),
    # rv64gc, as Linux needs it. Without +f, code would call functions to add floats; only
    # with +d do programs for rv64gc link it.
    "riscv64": Target(
        "riscv64-unknown-linux-gnu", "generic-rv64", "+m,+a,+f,+d,+c", "lp64d"
    ),
    "wasm32": Target("wasm32-unknown-unknown", features="+simd128"),
    # The first x86-64 cannot round to whole numbers: its code would call floorf of libm.
    "x86_64": Target("x86_64-unknown-linux-gnu", "x86-64-v2"),
}
_WASM = "wasm32"
CODE_SUFFIXES = (".o", ".wasm")


def code_suffix(target: str) -> str:
    """Returns the suffix of files with code for a target."""
    return CODE_SUFFIXES[target == _WASM]


def function_names(program: Program) -> tuple[str, str]:
    """Returns the names of a program's functions for one channel and for two.

    They are names in C, whatever the name of the program.
    """
    words = re.sub(r"[^0-9A-Za-z]+", "_", program.name).strip("_")
    if not words or words[0].isdigit():
        words = f"voice_{words}".rstrip("_")
    return f"{words}_mono", f"{words}_stereo"


def compile_program(program: Program, target: str) -> bytes:
    """Returns the kernels of a program for one channel and for two as native code.

    The code is independent of its position, calls no function, and neither fuses nor
    reorders operations: its samples are equal to numpy's to the last bit, except for the
    sign and the payload of NaN.

    Args:
        program: The program to compile.
        target: One of `TARGETS`.

    Returns:
        An ELF object; of wasm32 a module, as `to_wasm_module` describes it.

    Raises:
        MissingExtraError: If llvmlite is not installed.
        ValueError: If this build of LLVM lacks the target.
        RuntimeError: If LLVM cannot compile the program.
    """
    mono, stereo = function_names(program)
    return compile_kernels({mono: (program, 1), stereo: (program, 2)}, target)


def compile_kernels(
    kernels: Mapping[str, tuple[Program, int]], target: str, *, keep: bool = False
) -> bytes:
    """Returns kernels as `compile_program` does, and raises the same errors.

    Args:
        kernels: Program and number of channels of each function, by its name in C.
        target: One of `TARGETS`.
        keep: Whether the cache of machine code keeps what LLVM makes.
    """
    codes = [to_llvm_ir(*kernel, name) for name, kernel in kernels.items()]
    code = (_compile_once if keep else _compile)(codes, target)
    return to_wasm_module(code, [*kernels]) if target == _WASM else code


def _compile_once(codes: Sequence[str], target: str) -> bytes:
    try:
        import llvmlite  # alone, it does not load LLVM
    except ImportError as error:
        raise MissingExtraError("llvmlite") from error
    key = make_key(llvmlite.__version__, TARGETS[target], *codes)
    code = read_code(key)
    if code is None:
        code = _compile(codes, target)
        write_code(key, code)
    return code


def _compile(codes: Sequence[str], target: str) -> bytes:
    """Returns modules of LLVM assembly, linked, as the object file of a target."""
    try:
        import llvmlite.binding as llvm

        from gradsound.llvm import parse_module
    except ImportError as error:
        raise MissingExtraError("llvmlite") from error
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    triple, cpu, features, abi = TARGETS[target]
    try:
        processor = llvm.Target.from_triple(triple)
    except RuntimeError as error:
        version = ".".join(map(str, llvm.llvm_version_info))
        raise ValueError(
            f"LLVM {version} was built without target {target!r}: "
            "the llvmlite of pip has it"
        ) from error
    machine = processor.create_target_machine(
        cpu, features, reloc="pic", codemodel="small", abiname=abi
    )
    module, *others = map(parse_module, codes)
    for other in others:
        module.link_in(other)
    module.triple, module.data_layout = triple, str(machine.target_data)
    return bytes(machine.emit_object(module))
