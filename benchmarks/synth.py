"""Measures the speed of voices: kernels, whole runs, small blocks, and cold starts.

    python benchmarks/synth.py [kernels] [runs] [blocks] [cold]

All parts but ``runs`` use one thread on one core. Kernels take turns, round by round. Their
times are the shortest of all rounds; their ratios are medians over rounds. It needs
``pip install '.[benchmark]'``; without numba, it leaves out the lines of numba.
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
from runs import make_run
from tones import RATE, Block, bells, sines

from gradsound import llvm, render
from gradsound.synth.events import EVENT
from gradsound.synth.kernels import llvm_kernel
from gradsound.synth.voices.builtin import VOICES, trace_builtin
from gradsound.synth.voices.program import PADDING

ROUNDS = 15
COLD_STARTS = 15  # fresh interpreters
VOICES_AT_ONCE, FRAMES = 512, 512


def print_times(
    makers: Mapping[str, Callable[[], Callable[[], object]]], rounds: int
) -> None:
    """Prints ns per sample and voice, and the ratio to the first maker."""
    prepared, samples = {}, VOICES_AT_ONCE * FRAMES
    for name, prepare in makers.items():
        if name.split()[0].strip(",") == "numba" and find_spec("numba") is None:
            print(f"  {name:36} not installed")
            continue
        prepared[name] = prepare()
        prepared[name]()  # numba and torch compile at the first call
    times: dict[str, list[float]] = {name: [] for name in prepared}
    for _ in range(rounds):
        for name, render_block in prepared.items():
            render_block()  # fills the caches, which the maker before left cold
            begin = time.perf_counter()
            render_block()
            times[name].append((time.perf_counter() - begin) / samples * 1e9)
    first = next(iter(times.values()))
    for name, each in times.items():
        ratio = statistics.median(b / a for a, b in zip(first, each))
        print(f"  {name:36} {min(each):7.3f} ns {ratio:8.2f} x")


def kernels() -> None:
    """Measures blocks of many voices."""
    block = Block(VOICES_AT_ONCE, FRAMES)
    print(f"{VOICES_AT_ONCE} sines x {FRAMES} frames, ns per sample and voice")
    print_times(sines(block), ROUNDS)
    print("the same for sin(TAU phase + 3 bright sin(2 TAU phase))")
    print_times(bells(block), ROUNDS)
    print("each built-in voice")
    events = block.events()
    for name, voice in VOICES.items():
        kernel = llvm_kernel.make_kernel(trace_builtin(voice), 1)
        out = np.zeros((1, FRAMES + PADDING), np.float32)
        best = np.inf
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            kernel(out, 0, 1 / RATE, events)
            best = min(best, time.perf_counter() - begin)
        count, each = len(trace_builtin(voice).operations), best / FRAMES / VOICES_AT_ONCE
        print(f"  {name:8} {count:4} operations {each * 1e9:7.3f} ns")


def runs() -> None:
    """Measures the rendering of finished runs to 16-bit WAV files in memory."""
    for steps, layers in ((10_000, 100), (200, 4)):
        run = make_run(steps, layers)
        seconds = steps * (layers * 0.01 + 0.02)
        times = []
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            for _ in range(7):
                begin = time.perf_counter()
                render(run, Path(folder) / "x.wav", preset="perone2019")
                times.append(time.perf_counter() - begin)
                (Path(folder) / "x.wav").unlink()  # two files may not fit into memory
        best, median = min(times), statistics.median(times)
        print(
            f"{steps} steps x {layers} layers: {best:.3f} s, median {median:.3f} s, "
            f"{seconds / median:,.0f} x real time"
        )


def blocks() -> None:
    """Measures one small block, as live playback with low latency has."""
    kernel = llvm_kernel.make_kernel(trace_builtin(VOICES["sine"]), 1)
    block = Block(64, 64)
    events: np.ndarray = block.events().astype(EVENT)
    out = np.zeros((1, 64 + PADDING), np.float32)
    times = []
    for _ in range(2000):
        begin = time.perf_counter()
        kernel(out, 0, 1 / RATE, events)
        times.append((time.perf_counter() - begin) * 1e6)
    print(
        f"64 voices x 64 frames: {min(times):.2f} us, median {statistics.median(times):.2f}"
    )


_COLD = """
import time
begin = time.perf_counter()
import numpy as np
loaded = time.perf_counter()
from gradsound.synth.events import EVENT
from gradsound.synth.kernels.select import select_kernel
from gradsound.synth.voices.program import PADDING
from gradsound.synth.voices.builtin import VOICES, find_voice
events = np.zeros(1, EVENT)
events["count"], events["increment"], events["gain"] = 64, 2**24, 0.1
out = np.zeros((1, 64 + PADDING), np.float32)
def first(name):
    select_kernel(find_voice(name), 1)(out, 0, 1 / 44100, events)
first("sine")
times = [loaded - begin, time.perf_counter() - loaded]
for name in [name for name in VOICES if name != "sine"]:
    begin = time.perf_counter()
    first(name)
    times.append(time.perf_counter() - begin)
print(*times)
"""


def cold() -> None:
    """Measures a fresh interpreter up to the first block, then further voices."""
    rows = []
    for _ in range(COLD_STARTS):
        process = subprocess.run(
            [sys.executable, "-c", _COLD], capture_output=True, text=True, check=True
        )
        rows.append([float(word) * 1e3 for word in process.stdout.split()])
    medians = np.median(rows, axis=0)
    names = ["numpy", "sine, after numpy", *(name for name in VOICES if name != "sine")]
    for name, median, least in zip(names, medians, np.min(rows, axis=0)):
        print(f"  {name:20} {median:6.1f} ms, least {least:6.1f}")


def main() -> None:
    """Prints the tables of the chosen parts, or of all."""
    print(f"{llvm.host_cpu()}, Python {platform.python_version()}, {ROUNDS} rounds")
    for part in sys.argv[1:] or ("kernels", "runs", "blocks", "cold"):
        cores = os.sched_getaffinity(0)
        if part != "runs":  # two threads render a run
            os.sched_setaffinity(0, {max(cores)})
        {"kernels": kernels, "runs": runs, "blocks": blocks, "cold": cold}[part]()
        os.sched_setaffinity(0, cores)


if __name__ == "__main__":
    main()
