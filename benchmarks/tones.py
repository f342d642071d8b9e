"""Makers of the same tones by gradsound, numpy, numba and torch.

A maker renders a `Block`: it returns the sum of V voices, shape (N,). Each voice has a
phase and an increment in turns, and a gain, each of shape (V,). All makers render sines,
except those of `bells`. A maker prepares its work once, before the benchmark times it.

Shapes: V voices, N frames.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from register_loop import render_in_registers

from gradsound.synth.events import EVENT
from gradsound.synth.kernels import llvm_kernel, numpy_kernel
from gradsound.synth.voices.builtin import VOICES, trace_builtin
from gradsound.synth.voices.functions import SIN, TAU
from gradsound.synth.voices.program import PADDING

RATE = 44_100
Maker = Callable[[], np.ndarray]


def bell(phase, bright):
    """Returns a sample of the README's voice, in numpy."""
    return np.sin(TAU * phase + 3 * bright * np.sin(2 * TAU * phase))


class Block:
    """The block to render: V voices of different pitch, and N frames.

    Args:
        voices: Number of voices, V.
        frames: Number of frames, N.

    Attributes:
        frames: As given.
        hertz: Pitches in Hz, shape (V,).
        increments: Turns a frame, shape (V,).
        phases: Turns at the first frame, shape (V,).
        gains: Linear gains, shape (V,).
    """

    def __init__(self, voices: int, frames: int) -> None:
        random = np.random.default_rng(0)
        self.frames = frames
        self.hertz = random.uniform(50, 5000, voices)
        self.increments = (self.hertz / RATE).astype(np.float32)
        self.phases = random.uniform(-0.5, 0.5, voices).astype(np.float32)
        self.gains = np.full(voices, 1 / voices, np.float32)

    def events(self) -> np.ndarray:
        """Returns the block as events, without fades, which continuing voices lack too."""
        events = np.zeros(len(self.hertz), EVENT)
        events["count"], events["increment"] = self.frames, self.hertz / RATE * 2**32
        events["phase"] = np.mod(self.phases, 1).astype(float) * 2**32
        events["gain"], events["controls"] = self.gains[:, None], 0.5
        return events


def by_kernel(make, program, block: Block) -> Maker:
    """Prepares a kernel of gradsound."""
    kernel, events = make(program, 1), block.events()
    out = np.zeros((1, block.frames + PADDING), np.float32)

    def run() -> np.ndarray:
        out.fill(0)
        kernel(out, 0, 1 / RATE, events)
        return out[0, : block.frames]

    return run


def script(block: Block) -> Maker:
    """Prepares the script of 2019 (C. S. Perone): a tone at a time, from phase 0."""

    def tone(hertz: float) -> np.ndarray:
        turns = np.arange(block.frames) * hertz / RATE
        return np.float32(1 / len(block.hertz)) * np.sin(TAU * turns).astype(np.float32)

    return lambda: np.sum([tone(hertz) for hertz in block.hertz], axis=0)


def numpy_sines(block: Block) -> Maker:
    """Prepares the fastest numpy code that we know: float32, matmul of 16 voices."""
    frame, chunk = np.arange(block.frames, dtype=np.float32), 16

    def run() -> np.ndarray:
        total = np.zeros(block.frames, np.float32)
        for k in range(0, len(block.hertz), chunk):
            part = slice(k, k + chunk)
            turns = block.increments[part, None] * frame + block.phases[part, None]
            total += block.gains[part] @ np.sin(np.float32(TAU) * turns)
        return total

    return run


def numba_sines(block: Block) -> Maker:
    """Prepares numba with gradsound's polynomial and with fastmath."""
    from numba import njit

    c0, c1, c2, c3, c4 = (np.float32(c) for c in SIN)

    @njit(fastmath=True)
    def run(phases, increments, gains, out):
        out[:] = 0
        for voice in range(len(phases)):
            phase, increment, gain = phases[voice], increments[voice], gains[voice]
            for k in range(len(out)):
                t = phase + increment * np.float32(k)
                t = t - np.floor(t + np.float32(0.5))
                q = t * t
                wave = t * (np.float32(0.25) - q)
                wave *= (((c4 * q + c3) * q + c2) * q + c1) * q + c0
                out[k] += gain * wave

    out = np.zeros(block.frames, np.float32)

    def render() -> np.ndarray:
        run(block.phases, block.increments, block.gains, out)
        return out

    return render


def torch_sines(block: Block, *, compiled: bool) -> Maker:
    """Prepares torch, eager or compiled."""
    import torch

    torch.set_num_threads(1)
    arrays = block.phases[:, None], block.increments[:, None], block.gains
    phases, increments, gains = map(torch.from_numpy, arrays)
    frame = torch.arange(block.frames, dtype=torch.float32)

    def voice(phases, increments, gains):
        return (gains[:, None] * torch.sin(TAU * (phases + increments * frame))).sum(0)

    run = torch.compile(voice) if compiled else voice
    return lambda: run(phases, increments, gains).numpy()


def numba_bells(block: Block) -> Maker:
    """Prepares a user's voice as plain code for numba."""
    from numba import njit

    @njit
    def voice(phase, bright):
        return math.sin(TAU * phase + 3 * bright * math.sin(2 * TAU * phase))

    @njit
    def run(phases, increments, gains, out):
        out[:] = 0
        for k in range(len(phases)):
            for frame in range(len(out)):
                out[frame] += gains[k] * voice(phases[k] + increments[k] * frame, 0.75)

    out = np.zeros(block.frames, np.float32)

    def render() -> np.ndarray:
        run(block.phases, block.increments, block.gains, out)
        return out

    return render


def sines(block: Block) -> Mapping[str, Callable[[], Maker]]:
    """Returns the makers of sines, by the label of their line."""
    program = trace_builtin(VOICES["sine"])
    return {
        "gradsound": lambda: by_kernel(llvm_kernel.make_kernel, program, block),
        "gradsound (control)": lambda: by_kernel(llvm_kernel.make_kernel, program, block),
        "the same operations alone": lambda: render_in_registers(
            program, len(block.hertz) * block.frames
        ),
        "gradsound by numpy alone": lambda: by_kernel(
            numpy_kernel.make_kernel, program, block
        ),
        "numpy, hand-optimized": lambda: numpy_sines(block),
        "numba, our polynomial, fastmath": lambda: numba_sines(block),
        "torch": lambda: torch_sines(block, compiled=False),
        "torch.compile": lambda: torch_sines(block, compiled=True),
        "generate_tone of 2019": lambda: script(block),
    }


def bells(block: Block) -> Mapping[str, Callable[[], Maker]]:
    """Returns the makers of a user's voice, by the label of their line."""
    program = trace_builtin(bell)
    return {
        "gradsound": lambda: by_kernel(llvm_kernel.make_kernel, program, block),
        "gradsound by numpy alone": lambda: by_kernel(
            numpy_kernel.make_kernel, program, block
        ),
        "numba, plain code": lambda: numba_bells(block),
    }
