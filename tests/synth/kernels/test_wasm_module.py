"""The WebAssembly module: what it imports and exports, and what is no module."""

from __future__ import annotations

import subprocess
from pathlib import Path

import llvmlite.binding as llvm
import pytest
from helpers.native_code import path_of

from gradsound.synth.kernels.native_code import compile_program
from gradsound.synth.kernels.wasm_module import to_wasm_module
from gradsound.synth.voices.builtin import VOICES, trace_builtin

TELL = """
const module = new WebAssembly.Module(require("node:fs").readFileSync(process.argv[1]));
for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
  console.log(`import ${from}.${name} ${kind}`);
}
for (const { name, kind } of WebAssembly.Module.exports(module)) {
  console.log(`export ${name} ${kind}`);
}
"""


def test_a_host_gives_the_memory_alone(tmp_path: Path) -> None:
    """The module imports a memory and exports two functions, and nothing else."""
    (tmp_path / "bell.wasm").write_bytes(
        compile_program(trace_builtin(VOICES["bell"]), "wasm32")
    )
    command = [path_of("node"), "-e", TELL, tmp_path / "bell.wasm"]
    process = subprocess.run(command, capture_output=True, text=True, check=True)

    assert process.stdout.splitlines() == [
        "import env.memory memory",
        "export bell_mono function",
        "export bell_stereo function",
    ]


@pytest.mark.parametrize(
    "code",
    [
        "@table = constant [2 x float] [float 1.0, float 2.0]\n"
        "define ptr @f() {\n  ret ptr @table\n}",
        "declare void @g()\ndefine void @f() {\n  call void @g()\n  ret void\n}",
    ],
    ids=["data", "call"],
)
def test_what_needs_a_linker_is_refused(code: str) -> None:
    """Data and calls of other functions have no place in a module of ours."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple("wasm32-unknown-unknown")
    module = llvm.parse_assembly(code)
    module.triple = target.triple
    with pytest.raises(RuntimeError, match="needs a linker: sections "):
        to_wasm_module(target.create_target_machine().emit_object(module), ["f"])
