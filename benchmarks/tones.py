"""Ways to make the same tones: each a function of a block, by whatever is installed.

A maker is given phases of all voices at the block's beginning and their steps, in turns,
and gains, each of shape (V,), and returns the sum of V voices, shape (N,). All make sines
but for those of `bells`. What a maker prepares, it prepares once, before it is timed.

Shapes: V voices, N frames.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from gradsound.llvm import compiled
from gradsound.synth.events import EVENT
from gradsound.synth.kernels import llvm_kernel, llvm_ops, numpy_kernel
from gradsound.synth.voices.builtin import VOICES, program_of
from gradsound.synth.voices.functions import SIN, TAU
from gradsound.synth.voices.program import ROOM

RATE = 44_100
Maker = Callable[[], np.ndarray]


def bell(phase, bright):
    """The voice of the README, in numpy."""
    return np.sin(TAU * phase + 3 * bright * np.sin(2 * TAU * phase))


class Block:
    """What is to be made: V voices and N frames, each voice of its own pitch."""

    def __init__(self, voices: int, frames: int) -> None:
        random = np.random.default_rng(0)
        self.frames = frames
        self.hertz = random.uniform(50, 5000, voices)
        self.steps = (self.hertz / RATE).astype(np.float32)
        self.phases = random.uniform(-0.5, 0.5, voices).astype(np.float32)
        self.gains = np.full(voices, 1 / voices, np.float32)

    def events(self) -> np.ndarray:
        """The same as events, without edges, as voices that go on have none."""
        made = np.zeros(len(self.hertz), EVENT)
        made["count"], made["step"] = self.frames, self.hertz / RATE * 2**32
        made["phase"] = np.mod(self.phases, 1).astype(float) * 2**32
        made["gain"], made["controls"] = self.gains[:, None], 0.5
        return made


def by_kernel(make, program, block: Block) -> Maker:
    """Ours, by one kernel or the other."""
    kernel, events = make(program, 1), block.events()
    out = np.zeros((1, block.frames + ROOM), np.float32)

    def run() -> np.ndarray:
        out.fill(0)
        kernel(out, 0, 1 / RATE, events)
        return out[0, : block.frames]

    return run


def script(block: Block) -> Maker:
    """The script of 2019 (C. S. Perone): a tone at a time, from phase 0."""

    def tone(hertz: float) -> np.ndarray:
        turns = np.arange(block.frames) * hertz / RATE
        return np.float32(1 / len(block.hertz)) * np.sin(TAU * turns).astype(np.float32)

    return lambda: np.sum([tone(hertz) for hertz in block.hertz], axis=0)


def numpy_sines(block: Block) -> Maker:
    """The fastest that we know of in numpy: float32, a few voices at a time, by matmul."""
    frame, at_once = np.arange(block.frames, dtype=np.float32), 16

    def run() -> np.ndarray:
        total = np.zeros(block.frames, np.float32)
        for k in range(0, len(block.hertz), at_once):
            some = slice(k, k + at_once)
            turns = block.steps[some, None] * frame + block.phases[some, None]
            total += block.gains[some] @ np.sin(np.float32(TAU) * turns)
        return total

    return run


def numba_sines(block: Block) -> Maker:
    """numba, with our polynomial, and with all that its fastmath allows."""
    from numba import njit

    c0, c1, c2, c3, c4 = (np.float32(c) for c in SIN)

    @njit(fastmath=True)
    def run(phases, steps, gains, out):
        out[:] = 0
        for voice in range(len(phases)):
            phase, step, gain = phases[voice], steps[voice], gains[voice]
            for k in range(len(out)):
                t = phase + step * np.float32(k)
                t = t - np.floor(t + np.float32(0.5))
                q = t * t
                wave = t * (np.float32(0.25) - q)
                wave *= (((c4 * q + c3) * q + c2) * q + c1) * q + c0
                out[k] += gain * wave

    out = np.zeros(block.frames, np.float32)

    def made() -> np.ndarray:
        run(block.phases, block.steps, block.gains, out)
        return out

    return made


def torch_sines(block: Block, *, compiled: bool) -> Maker:
    """torch, eagerly or compiled."""
    import torch

    torch.set_num_threads(1)
    phases, steps, gains = map(
        torch.from_numpy, (block.phases[:, None], block.steps[:, None], block.gains)
    )
    frame = torch.arange(block.frames, dtype=torch.float32)

    def voice(phases, steps, gains):
        return (gains[:, None] * torch.sin(TAU * (phases + steps * frame))).sum(0)

    run = torch.compile(voice) if compiled else voice
    return lambda: run(phases, steps, gains).numpy()


def numba_bells(block: Block) -> Maker:
    """A voice of one's own as one would write it for numba."""
    from numba import njit

    @njit
    def voice(phase, bright):
        return math.sin(TAU * phase + 3 * bright * math.sin(2 * TAU * phase))

    @njit
    def run(phases, steps, gains, out):
        out[:] = 0
        for k in range(len(phases)):
            for frame in range(len(out)):
                out[frame] += gains[k] * voice(phases[k] + steps[k] * frame, 0.75)

    out = np.zeros(block.frames, np.float32)

    def made() -> np.ndarray:
        run(block.phases, block.steps, block.gains, out)
        return out

    return made


def bound(program, block: Block) -> Maker:
    """The operations of a kernel's middle, on registers alone: no events, no memory.

    Four independent vectors are worked on at a time, so that the processor waits for none.
    """
    import ctypes

    vector, whole = f"<{llvm_ops.LANES} x float>", f"<{llvm_ops.LANES} x i32>"
    body, carried, next_ones = llvm_ops.Lines("b"), [], []

    def carry(kind: str, start: str, addend: str) -> str:
        name = f"%c{len(carried)}"
        carried.append(f"  {name} = phi {kind} [{start}, %entry], [{name}.n, %loop]")
        add = "fadd" if "float" in kind else "add"
        next_ones.append(f"  {name}.n = {add} {kind} {name}, {addend}")
        return name

    count = carry("i64", "0", "1")
    sums = []
    for lane in range(4):
        growth = carry(whole, f"splat (i32 {lane * 97 + 12345})", f"splat (i32 {lane})")
        phase = carry(whole, f"splat (i32 {lane * 1234567})", growth)
        at = carry(vector, "zeroinitializer", llvm_ops.constant(llvm_ops.LANES))
        turns = body(f"sitofp {whole} {phase} to {vector}")
        scale = llvm_ops.constant(2.0**-32)
        values = [body(f"fmul {vector} {turns}, {scale}")]
        for name, *arguments in program.operations:
            given = [
                values[a] if type(a) is int else llvm_ops.constant(a) for a in arguments
            ]
            values.append(body(llvm_ops.OPERATIONS[name], *given))
        slope = body(f"fmul {vector} {at}, {llvm_ops.constant(1e-9)}")
        gain = body(f"fadd {vector} {slope}, {llvm_ops.constant(0.001)}")
        sample = body(f"fmul {vector} {values[-1]}, {gain}")
        name = f"%sum{lane}"
        carried.append(
            f"  {name} = phi {vector} [zeroinitializer, %entry], [{name}.n, %loop]"
        )
        next_ones.append(f"  {name}.n = fadd {vector} {name}, {sample}")
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
        *body.lines,
        *next_ones,
        f"  %more = icmp slt i64 {count}.n, %times",
        "  br i1 %more, label %loop, label %done",
        "done:",
        *stores,
        *("  ret void", "}", 'attributes #0 = { nounwind "prefer-vector-width"="512" }'),
    ]
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(
        compiled("\n".join(lines), "bound")
    )
    out = np.zeros(4 * llvm_ops.LANES, np.float32)
    times = len(block.hertz) * block.frames // (4 * llvm_ops.LANES)

    def run() -> np.ndarray:
        call(out.ctypes.data, times)
        return out

    return run


def sines(block: Block) -> Mapping[str, Callable[[], Maker]]:
    """What makes sines."""
    program = program_of(VOICES["sine"])
    return {
        "gradsound": lambda: by_kernel(llvm_kernel.kernel, program, block),
        "gradsound (control)": lambda: by_kernel(llvm_kernel.kernel, program, block),
        "the same operations, nothing else": lambda: bound(program, block),
        "gradsound by numpy alone": lambda: by_kernel(numpy_kernel.kernel, program, block),
        "numpy, as fast as it goes": lambda: numpy_sines(block),
        "numba, our polynomial, fastmath": lambda: numba_sines(block),
        "torch": lambda: torch_sines(block, compiled=False),
        "torch.compile": lambda: torch_sines(block, compiled=True),
        "generate_tone of 2019": lambda: script(block),
    }


def bells(block: Block) -> Mapping[str, Callable[[], Maker]]:
    """What makes a voice of one's own."""
    program = program_of(bell)
    return {
        "gradsound": lambda: by_kernel(llvm_kernel.kernel, program, block),
        "gradsound by numpy alone": lambda: by_kernel(numpy_kernel.kernel, program, block),
        "numba, as one writes it": lambda: numba_bells(block),
    }
