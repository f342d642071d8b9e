"""Compares gradsound with other synthesizers on one score.

The score has 64 sines, 10 s, and new pitches every 441 frames. Each synthesizer runs in an
interpreter of its own on one core; they take turns. The times exclude preparation, such as
compiling and filling tables. The benchmark leaves out synthesizers that are not installed:

    apt install csound libcsnd-dev; pip install ctcsound dawdreamer pyo signalflow
    python benchmarks/peers.py
"""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

RATE, FRAMES, VOICES, SECONDS = 44_100, 441, 64, 10
STEPS = SECONDS * RATE // FRAMES
ROUNDS = 5
HERTZ = np.exp(np.random.default_rng(0).uniform(np.log(100), np.log(4000), (STEPS, VOICES)))
Play = Callable[[], object]  # plays the score; may return seconds that it timed itself


def gradsound() -> Play:
    """Prepares gradsound, from the score to the samples."""
    from gradsound.synth.mixer import Mixer
    from gradsound.synth.score import NOTE, Score
    from gradsound.synth.voices.builtin import find_voice

    notes = np.zeros(STEPS * VOICES, NOTE)
    notes["step"] = np.repeat(np.arange(STEPS), VOICES)
    notes["slot"] = np.tile(np.arange(VOICES), STEPS)
    notes["duration"], notes["level"], notes["continues"] = FRAMES / RATE, 0.1, True
    notes["hertz"] = HERTZ.reshape(-1, 1)
    durations = np.full(STEPS, FRAMES / RATE)
    score = Score((find_voice("sine"),), notes, durations)

    def play() -> np.ndarray:
        mixer = Mixer(RATE, 1)
        mixer.add(score)
        return np.concatenate([mixer.read(RATE // 10) for _ in range(10 * SECONDS)])

    return play


def kernel_alone() -> Play:
    """Prepares gradsound's kernel, which starts from events as others start from tables."""
    from gradsound.synth.events import EVENT
    from gradsound.synth.kernels.select import select_kernel
    from gradsound.synth.voices.builtin import find_voice
    from gradsound.synth.voices.program import PADDING

    events = np.zeros(STEPS * VOICES, EVENT)
    events["first"] = np.repeat(np.arange(STEPS), VOICES) * FRAMES
    events["count"], events["gain"] = FRAMES, 0.1
    events["increment"] = HERTZ.ravel() / RATE * 2**32
    increments = events["increment"].reshape(STEPS, VOICES)
    phases = np.cumsum(increments * np.uint32(FRAMES), 0, np.uint32) - increments
    events["phase"] = phases.ravel()
    render, each = select_kernel(find_voice("sine"), 1), FRAMES * STEPS // 100

    def play() -> None:
        for k in range(100):
            out = np.zeros((1, each + PADDING), np.float32)
            now = events[k * len(events) // 100 : (k + 1) * len(events) // 100]
            render(out, k * each, 1 / RATE, now)

    return play


def csound(opcode: str) -> Play:
    """Prepares Csound: one instrument, 64 times, with its pitches in a table."""
    import ctcsound

    orchestra = f"""
        sr = {RATE}
        ksmps = {FRAMES}
        nchnls = 1
        0dbfs = 1
        gi_sine ftgen 1, 0, 16384, 10, 1
        instr 1
          kcount init 0
          khertz table kcount * {VOICES} + p4, 2
          kcount = kcount + 1
          asound {opcode} 0.01, khertz, gi_sine
          out asound
        endin
    """

    def play() -> object:
        engine = ctcsound.Csound()
        for option in ("-n", "-d", "-m0", "--nchnls=1"):
            engine.setOption(option)
        engine.compileOrc(orchestra)
        lines = [f"f 2 0 -{STEPS * VOICES} -2 0", f"e {SECONDS}"]
        lines[1:1] = [f"i 1 0 {SECONDS} {k}" for k in range(VOICES)]
        engine.readScore("\n".join(lines))
        engine.start()
        engine.performKsmps()  # Csound makes the tables in the first block
        engine.tableCopyIn(2, HERTZ.ravel())
        begin = time.perf_counter()
        while not engine.performKsmps():
            pass
        seconds = time.perf_counter() - begin
        engine.cleanup()
        return seconds

    return play


def pyo() -> Play:
    """Prepares pyo: a bank of oscillators, which read their pitches from tables."""
    import pyo

    def play() -> float:
        server = pyo.Server(sr=RATE, nchnls=1, buffersize=FRAMES, duplex=0, audio="offline")
        server.setVerbosity(0)
        server.boot()
        server.recordOptions(dur=SECONDS, filename="/dev/null", fileformat=0)
        tables = [pyo.DataTable(STEPS, init=list(HERTZ[:, k])) for k in range(VOICES)]
        hertz = [
            pyo.TableRead(table, freq=1 / SECONDS, interp=1).play() for table in tables
        ]
        sound = [pyo.Sine(freq=one, mul=0.01).out() for one in hertz]
        begin = time.perf_counter()
        server.start()
        seconds = time.perf_counter() - begin
        server.shutdown()
        del sound  # pyo plays an oscillator only as long as Python refers to it
        return seconds

    return play


def signalflow() -> Play:
    """Prepares signalflow: a graph; Python sets the pitches before each block."""
    import signalflow as flow

    configuration = flow.AudioGraphConfig()
    configuration.sample_rate, configuration.output_buffer_size = RATE, FRAMES
    device = flow.AudioOut_Dummy(1, FRAMES)
    graph = flow.AudioGraph(config=configuration, output_device=device, start=False)
    tones = [flow.SineOscillator(float(hertz)) for hertz in HERTZ[0]]
    total = flow.Sum([tone * 0.01 for tone in tones])
    graph.play(total)
    buffer = flow.Buffer(1, FRAMES)

    def play() -> None:
        for row in HERTZ:
            for tone, hertz in zip(tones, row.tolist()):
                tone.frequency = hertz
            graph.render_to_buffer(buffer)

    return play


def faust() -> Play:
    """Prepares Faust in DawDreamer as machine code; automation sets the pitches."""
    import dawdreamer

    engine = dawdreamer.RenderEngine(RATE, FRAMES)
    voices = engine.make_faust_processor("voices")
    voices.set_dsp_string(
        'import("stdfaust.lib");'
        f'process = par(k, {VOICES}, os.osc(hslider("hertz%2k", 440, 20, 20000, 0.001))) '
        ":> *(0.01);"
    )
    voices.compile()
    names = [one["name"] for one in voices.get_parameters_description()]
    for name, hertz in zip(sorted(names), HERTZ.T):
        voices.set_automation(name, np.repeat(hertz, FRAMES).astype(np.float32))
    engine.load_graph([(voices, [])])
    return lambda: engine.render(SECONDS)


PEERS: dict[str, tuple[str, Callable[[], Play]]] = {
    "gradsound": ("numpy", gradsound),
    "gradsound (control)": ("numpy", gradsound),
    "gradsound's kernel": ("numpy", kernel_alone),
    "csound oscil": ("ctcsound", lambda: csound("oscil")),
    "csound poscil": ("ctcsound", lambda: csound("poscil")),
    "Faust (DawDreamer)": ("dawdreamer", faust),
    "pyo": ("pyo", pyo),
    "signalflow": ("signalflow", signalflow),
}


def measure(name: str) -> float:
    """Returns the shortest of three times of a synthesizer in seconds."""
    play = PEERS[name][1]()
    best = np.inf
    for _ in range(3):
        begin = time.perf_counter()
        result = play()
        elapsed = time.perf_counter() - begin
        best = min(best, result if isinstance(result, float) else elapsed)
    return best


def main() -> None:
    """Prints the table."""
    if sys.argv[1:]:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        print("seconds", measure(sys.argv[1]))
        return
    print(f"{platform.machine()}, Python {platform.python_version()}, {ROUNDS} rounds")
    seconds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, (package, _) in PEERS.items():
            if find_spec(package) is None:
                continue
            process = subprocess.run(
                [sys.executable, __file__, name],
                capture_output=True,
                text=True,
                check=False,
            )
            lines = process.stdout.splitlines()
            results = [line for line in lines if line.startswith("seconds ")]
            if results:
                seconds.setdefault(name, []).append(float(results[-1].split()[1]))
            else:
                errors = process.stderr.splitlines() or ["no error message"]
                print(name, "failed:", errors[-1])
    first = seconds["gradsound"]
    for name, times in seconds.items():
        ratio = statistics.median(b / a for a, b in zip(first, times))
        print(f"  {name:24} {min(times) * 1e3:8.1f} ms {ratio:8.2f} x")


if __name__ == "__main__":
    main()
