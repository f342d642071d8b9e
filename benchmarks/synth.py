"""How fast voices are: against other ways to make tones, whole runs, small blocks, cold.

    python benchmarks/synth.py [kernels] [runs] [blocks] [cold]

Times are of one thread, pinned to one core, but for runs. What is compared is interleaved,
round by round, and given as the least of the rounds; ratios are medians of the rounds' own.
Needs ``pip install gradsound[benchmark]``; without numba its lines are left out.
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from tones import RATE, Block, bells, sines

from gradsound import Run, Step, llvm, render
from gradsound.runs.model import Header
from gradsound.synth.events import EVENT
from gradsound.synth.kernels import llvm_kernel
from gradsound.synth.voices.builtin import VOICES, program_of
from gradsound.synth.voices.program import ROOM

ROUNDS = 15
COLD = 15  # interpreters
VOICES_AT_ONCE, FRAMES = 512, 512


def timed(makers: Mapping[str, Callable[[], Callable[[], object]]], rounds: int) -> None:
    """Prints ns per sample and voice, and how many times the first that is."""
    ready, samples = {}, VOICES_AT_ONCE * FRAMES
    for name, prepare in makers.items():
        if name.split()[0].strip(",") == "numba" and find_spec("numba") is None:
            print(f"  {name:36} not installed")
            continue
        ready[name] = prepare()
        ready[name]()  # compiles what is compiled late
    taken: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(rounds):
        for name, run in ready.items():
            run()  # or it pays for what the one before left in the caches
            begin = time.perf_counter()
            run()
            taken[name].append((time.perf_counter() - begin) / samples * 1e9)
    first = next(iter(taken.values()))
    for name, each in taken.items():
        ratio = statistics.median(b / a for a, b in zip(first, each))
        print(f"  {name:36} {min(each):7.3f} ns {ratio:8.2f} x")


def kernels() -> None:
    """Blocks of many voices."""
    block = Block(VOICES_AT_ONCE, FRAMES)
    print(f"{VOICES_AT_ONCE} sines x {FRAMES} frames, ns per sample and voice")
    timed(sines(block), ROUNDS)
    print("the same of sin(TAU phase + 3 bright sin(2 TAU phase))")
    timed(bells(block), ROUNDS)
    print("every voice of ours")
    events = block.events()
    for name, voice in VOICES.items():
        kernel = llvm_kernel.kernel(program_of(voice), 1)
        out = np.zeros((1, FRAMES + ROOM), np.float32)
        best = np.inf
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            kernel(out, 0, 1 / RATE, events)
            best = min(best, time.perf_counter() - begin)
        count, each = len(program_of(voice).operations), best / FRAMES / VOICES_AT_ONCE
        print(f"  {name:8} {count:4} operations {each * 1e9:7.3f} ns")


def runs() -> None:
    """Finished runs to 16-bit WAV files, in memory as far as the system has it."""
    for steps, layers in ((10_000, 100), (200, 4)):
        norms = np.random.default_rng(0).lognormal(size=(steps, layers)).astype(np.float32)
        names = tuple(f"layer{k}" for k in range(layers))
        header = Header(layers=names, parameters=(1,) * layers, start="")
        present = np.zeros(layers, bool)
        run = Run(header, [Step(k, float(k), row, present) for k, row in enumerate(norms)])
        seconds = steps * (layers * 0.01 + 0.02)
        taken = []
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            for _ in range(7):
                begin = time.perf_counter()
                render(run, Path(folder) / "x.wav", preset="perone2019")
                taken.append(time.perf_counter() - begin)
                (Path(folder) / "x.wav").unlink()  # or there is memory for two to be found
        best, median = min(taken), statistics.median(taken)
        print(
            f"{steps} steps x {layers} layers: {best:.3f} s, median {median:.3f} s, "
            f"{seconds / median:,.0f} x real time"
        )


def blocks() -> None:
    """One small block, as when it is played with little latency."""
    kernel = llvm_kernel.kernel(program_of(VOICES["sine"]), 1)
    block = Block(64, 64)
    events: np.ndarray = block.events().astype(EVENT)
    out = np.zeros((1, 64 + ROOM), np.float32)
    taken = []
    for _ in range(2000):
        begin = time.perf_counter()
        kernel(out, 0, 1 / RATE, events)
        taken.append((time.perf_counter() - begin) * 1e6)
    print(
        f"64 voices x 64 frames: {min(taken):.2f} us, median {statistics.median(taken):.2f}"
    )


_COLD = """
import time
begin = time.perf_counter()
import numpy as np
loaded = time.perf_counter()
from gradsound.synth.events import EVENT
from gradsound.synth.kernels.select import kernel
from gradsound.synth.voices.program import ROOM
from gradsound.synth.voices.builtin import VOICES, find_voice
events = np.zeros(1, EVENT)
events["count"], events["step"], events["gain"] = 64, 2**24, 0.1
out = np.zeros((1, 64 + ROOM), np.float32)
def first(name):
    kernel(find_voice(name), 1)(out, 0, 1 / 44100, events)
first("sine")
times = [loaded - begin, time.perf_counter() - loaded]
for name in [name for name in VOICES if name != "sine"]:
    begin = time.perf_counter()
    first(name)
    times.append(time.perf_counter() - begin)
print(*times)
"""


def cold() -> None:
    """From a fresh interpreter to the first block, and to that of each further voice."""
    rows = []
    for _ in range(COLD):
        done = subprocess.run(
            [sys.executable, "-c", _COLD], capture_output=True, text=True, check=True
        )
        rows.append([float(word) * 1e3 for word in done.stdout.split()])
    medians = np.median(rows, axis=0)
    names = ["numpy", "sine, all but numpy", *(name for name in VOICES if name != "sine")]
    for name, median, least in zip(names, medians, np.min(rows, axis=0)):
        print(f"  {name:20} {median:6.1f} ms, least {least:6.1f}")


def main() -> None:
    """Prints the tables that are asked for, or all."""
    print(f"{llvm.processor()}, Python {platform.python_version()}, {ROUNDS} rounds")
    for part in sys.argv[1:] or ("kernels", "runs", "blocks", "cold"):
        cores = os.sched_getaffinity(0)
        if part != "runs":  # which are made by two threads
            os.sched_setaffinity(0, {max(cores)})
        {"kernels": kernels, "runs": runs, "blocks": blocks, "cold": cold}[part]()
        os.sched_setaffinity(0, cores)


if __name__ == "__main__":
    main()
