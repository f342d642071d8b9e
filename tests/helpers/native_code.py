"""Native code of voices, run on this machine: by the processor, by QEMU or by Node.js.

A program of ours reads an image of its memory, makes the calls that the image lists, and
writes the image. It needs no C compiler and no C library for the other processor.
"""

from __future__ import annotations

import platform
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import llvmlite.binding as llvm
import numpy as np
import pytest

from gradsound.llvm import parse_module
from gradsound.synth.kernels.native_code import (
    TARGETS,
    code_suffix,
    compile_program,
    function_names,
)
from gradsound.synth.voices.program import PADDING, Program

_HOST = Path(__file__).with_name("wasm_host.js")
_MEMORY = 1 << 26  # bytes
# The instructions of sys(number, a, b, c), a call of Linux, and the numbers of read, write
# and exit. LLVM's assembler knows only this machine's processor.
_LINUX = {
    "aarch64": ("e80300aae00301aae10302aae20303aa010000d4c0035fd6", (63, 64, 93)),
    "riscv64": ("930805001385050093050600138606007300000067800000", (63, 64, 93)),
    "x86_64": ("4889f84889f74889d64889ca0f05c3", (0, 1, 60)),
}
_RUNNER = """
@memory = internal global [{memory} x i8] zeroinitializer, align 16
@sys = internal constant [{length} x i8] c"{instructions}", section ".text.sys", align 4
@functions = internal constant [{count} x ptr] [{functions}]
{declarations}
define void @_start() nounwind alignstack(16) {{
  br label %read
read:
  %filled = phi i64 [0, %0], [%more, %read]
  %free = getelementptr i8, ptr @memory, i64 %filled
  %room = sub i64 {memory}, %filled
  %new = call i64 @sys(i64 {read}, i64 0, ptr %free, i64 %room)
  %more = add i64 %filled, %new
  %end = icmp sle i64 %new, 0
  br i1 %end, label %filled_up, label %read
filled_up:
  %calls = load i64, ptr @memory
  br label %call
call:
  %k = phi i64 [0, %filled_up], [%next, %call]
  %at = mul i64 %k, 8
  %first = add i64 %at, 1
  %record = getelementptr i64, ptr @memory, i64 %first
{loads}
  %entry = getelementptr ptr, ptr @functions, i64 %v0
  %function = load ptr, ptr %entry
  %out = getelementptr i8, ptr @memory, i64 %v1
  %low = trunc i64 %v5 to i32
  %period = bitcast i32 %low to float
  %events = getelementptr i8, ptr @memory, i64 %v7
  call void %function(ptr %out, i64 %v2, i64 %v3, i64 %v4, float %period, i64 %v6,
                      ptr %events)
  %next = add i64 %k, 1
  %again = icmp slt i64 %next, %calls
  br i1 %again, label %call, label %write
write:
  %written = phi i64 [0, %call], [%sum, %write]
  %begin = getelementptr i8, ptr @memory, i64 %written
  %rest = sub i64 %filled, %written
  %sent = call i64 @sys(i64 {write}, i64 1, ptr %begin, i64 %rest)
  %sum = add i64 %written, %sent
  %done = icmp sge i64 %sum, %filled
  br i1 %done, label %exit, label %write
exit:
  %never = call i64 @sys(i64 {exit}, i64 0, ptr @memory, i64 0)
  unreachable
}}
"""


class Job(NamedTuple):
    """Events to render by one function of one program.

    Attributes:
        program: Number of the program.
        channels: 1 or 2.
        start: The first frame.
        frames: How many frames.
        block: Frames of a call.
        events: The events.
    """

    program: int
    channels: int
    start: int
    frames: int
    block: int
    events: np.ndarray


def path_of(program: str) -> str:
    """Returns the path of a program; skips the test without it."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"needs {program}")
    return path


def render_natively(
    target: str,
    programs: Sequence[Program],
    jobs: Sequence[Job],
    period: float,
    folder: Path,
) -> list[np.ndarray]:
    """Returns the samples of each job, shape (C, N), by native code of a target."""
    files = []
    for program in programs:
        files.append(folder / f"{program.name}.{target}{code_suffix(target)}")
        files[-1].write_bytes(compile_program(program, target))
    image, places = _image(jobs, period)
    if target == "wasm32":
        command = [path_of("node"), _HOST, *files]
    else:
        runner = folder / f"runner.{target}"
        _link(target, programs, files, runner)
        emulator = (
            [] if platform.machine() == target else [path_of(f"qemu-{target}-static")]
        )
        command = [*emulator, runner]
    process = subprocess.run(command, input=image, capture_output=True, check=False)
    assert (process.returncode, process.stderr) == (0, b"")
    assert len(process.stdout) == len(image)
    rows = np.frombuffer(process.stdout, np.float32)
    return [
        rows[place : place + job.channels * (job.frames + PADDING)].reshape(
            job.channels, -1
        )[:, : job.frames]
        for job, place in zip(jobs, places)
    ]


def _image(jobs: Sequence[Job], period: float) -> tuple[bytes, list[int]]:
    """Returns the image of a memory with calls, and where samples begin, in floats.

    The blocks of a job are next to each other, so the padding of each is in the next one.
    """
    (period_bits,) = struct.unpack("<i", struct.pack("<f", period))
    count = sum(-(-job.frames // job.block) for job in jobs)
    image, calls, places = bytearray(8 + 64 * count), [], []
    for job in jobs:
        events = len(image)
        image += job.events.tobytes()
        stride = job.frames + PADDING
        out = len(image)
        image += bytes(4 * job.channels * stride)
        image += bytes(-len(image) % 8)
        places.append(out // 4)
        for at in range(0, job.frames, job.block):
            function = 2 * job.program + job.channels - 1
            frames = min(job.block, job.frames - at)
            call = (function, out + 4 * at, stride, frames, job.start + at)
            calls.append((*call, period_bits, len(job.events), events))
    image[: 8 + 64 * count] = np.array([count, *np.ravel(calls)], "<i8").tobytes()
    assert len(image) < _MEMORY
    return bytes(image), places


def _link(
    target: str, programs: Sequence[Program], files: Sequence[Path], runner: Path
) -> None:
    """Links the code of programs with the runner to a program for Linux."""
    names = [name for program in programs for name in function_names(program)]
    signature = "(ptr, i64, i64, i64, float, i64, ptr)"
    instructions, numbers = _LINUX[target]
    code = _RUNNER.format(
        memory=_MEMORY,
        length=len(instructions) // 2,
        instructions="".join(
            f"\\{instructions[k : k + 2]}" for k in range(0, len(instructions), 2)
        ),
        count=len(names),
        functions=", ".join(f"ptr @{name}" for name in names),
        declarations="\n".join(f"declare void @{name}{signature}" for name in names),
        loads="\n".join(
            f"  %p{k} = getelementptr i64, ptr %record, i64 {k}\n"
            f"  %v{k} = load i64, ptr %p{k}"
            for k in range(8)
        ),
        **dict(zip(("read", "write", "exit"), numbers)),
    )
    triple, cpu, features, abi = TARGETS[target]
    module = parse_module(code)
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu, features, reloc="static", codemodel="small", abiname=abi
    )
    module.triple, module.data_layout = triple, str(machine.target_data)
    main = runner.with_suffix(f".{target}.o")
    main.write_bytes(machine.emit_object(module))
    subprocess.run([path_of("ld.lld"), "-static", "-o", runner, main, *files], check=True)
