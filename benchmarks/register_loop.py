"""The operations of a program in a loop on registers alone: a bound for gradsound's kernel.

The loop has no events and no memory. It works on four independent vectors at a time, so the
processor waits for none.
"""

import ctypes
from collections.abc import Callable

import numpy as np

from gradsound.llvm import compile_object, load_functions
from gradsound.synth.kernels import llvm_ops
from gradsound.synth.voices.program import Program

VECTORS = 4  # at a time
PASS_SAMPLES = VECTORS * llvm_ops.LANES  # of one pass of the loop


def render_in_registers(program: Program, samples: int) -> Callable[[], np.ndarray]:
    """Prepares the loop for a number of samples; a call returns the sums of its vectors."""
    (address,) = load_functions(compile_object(to_llvm_ir(program)), ["bound"])
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(address)
    out = np.zeros(PASS_SAMPLES, np.float32)

    def run() -> np.ndarray:
        call(out.ctypes.data, samples // PASS_SAMPLES)
        return out

    return run


def to_llvm_ir(program: Program) -> str:
    """Returns the function ``bound`` in LLVM's language."""
    vector, whole = f"<{llvm_ops.LANES} x float>", f"<{llvm_ops.LANES} x i32>"
    body, carried, updates = llvm_ops.BasicBlock("b"), [], []

    def carry(kind: str, start: str, addend: str) -> str:
        name = f"%c{len(carried)}"
        carried.append(f"  {name} = phi {kind} [{start}, %entry], [{name}.n, %loop]")
        add = "fadd" if "float" in kind else "add"
        updates.append(f"  {name}.n = {add} {kind} {name}, {addend}")
        return name

    count = carry("i64", "0", "1")
    sums = []
    for lane in range(VECTORS):
        growth = carry(whole, f"splat (i32 {lane * 97 + 12345})", f"splat (i32 {lane})")
        phase = carry(whole, f"splat (i32 {lane * 1234567})", growth)
        position = carry(vector, "zeroinitializer", llvm_ops.splat_constant(llvm_ops.LANES))
        turns = body(f"sitofp {whole} {phase} to {vector}")
        scale = llvm_ops.splat_constant(2.0**-32)
        values = [body(f"fmul {vector} {turns}, {scale}")]
        for name, *arguments in program.operations:
            operands = [
                values[a] if type(a) is int else llvm_ops.splat_constant(a)
                for a in arguments
            ]
            values.append(body(llvm_ops.OPERATIONS[name], *operands))
        slope = body(f"fmul {vector} {position}, {llvm_ops.splat_constant(1e-9)}")
        gain = body(f"fadd {vector} {slope}, {llvm_ops.splat_constant(0.001)}")
        sample = body(f"fmul {vector} {values[-1]}, {gain}")
        name = f"%sum{lane}"
        carried.append(
            f"  {name} = phi {vector} [zeroinitializer, %entry], [{name}.n, %loop]"
        )
        updates.append(f"  {name}.n = fadd {vector} {name}, {sample}")
        sums.append(f"{name}.n")
    stores = [
        f"  %p{k} = getelementptr {vector}, ptr %out, i64 {k}\n"
        f"  store {vector} {value}, ptr %p{k}, align 4"
        for k, value in enumerate(sums)
    ]
    used = sorted(
        {llvm_ops.INTRINSICS[n] for n, *_ in program.operations if n in llvm_ops.INTRINSICS}
    )
    lines = [
        *(f"declare {vector} @llvm.{n}.v{llvm_ops.LANES}f32({vector})" for n in used),
        "define void @bound(ptr %out, i64 %times) #0 {",
        *("entry:", "  br label %loop", "loop:"),
        *carried,
        *body.instructions,
        *updates,
        f"  %more = icmp slt i64 {count}.n, %times",
        "  br i1 %more, label %loop, label %done",
        "done:",
        *stores,
        *("  ret void", "}", 'attributes #0 = { nounwind "prefer-vector-width"="512" }'),
    ]
    return "\n".join(lines)
