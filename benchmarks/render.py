"""Measures how fast a finished run is rendered, and how fades reduce the click of notes.

Each speed is the median over renders of a synthetic run to a 16-bit WAV file; the cases
take turns. The control measures the first case a second time. With the argument ``numpy``,
numpy renders the voices instead of LLVM.

    python benchmarks/render.py [numpy]
"""

import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from runs import make_run

from gradsound import PRESETS, render
from gradsound.synth import mixer
from gradsound.synth.score import NOTE, Score
from gradsound.synth.voices.builtin import find_voice

ROUNDS = 5
RATE = 44_100  # Hz
CASES = {  # steps, layers, preset
    "200 steps x 4 layers, notes": (200, 4, "notes"),
    "200 steps x 4 layers, notes (control)": (200, 4, "notes"),
    "2,000 steps x 4 layers, notes": (2000, 4, "notes"),
    "2,000 steps x 4 layers, perone2019": (2000, 4, "perone2019"),
    "100 steps x 100 layers, notes": (100, 100, "notes"),
}


def high_share(fade: float) -> float:
    """Returns the share above 5 kHz of a 437 Hz note of 10.8 ms, in dB."""
    note = np.zeros(1, NOTE)
    note["duration"], note["hertz"], note["level"] = 0.0108, 437.0, 1 / 3
    note["fade"] = fade
    score = Score((find_voice("sine"),), note, np.array([0.5]))
    power = np.abs(np.fft.rfft(mixer.render(score, RATE)[:, 0])) ** 2
    bins = np.fft.rfftfreq(RATE // 2, 1 / RATE)
    return float(10 * np.log10(power[bins > 5000].sum() / power.sum()))


def main() -> None:
    """Prints the tables."""
    if "numpy" in sys.argv:
        sys.modules["llvmlite"] = None  # type: ignore[assignment]  # makes its import fail
    print(f"{platform.machine()}, Python {platform.python_version()}, {ROUNDS} rounds")
    speeds: dict[str, list[float]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for case, (steps, layers, name) in CASES.items():
                preset = PRESETS[name]
                run = make_run(steps, layers)
                begin = time.perf_counter()
                render(run, Path(folder) / "x.wav", preset=preset)
                seconds = steps * (layers * preset.note_seconds + preset.rest_seconds)
                elapsed = time.perf_counter() - begin
                speeds[case].append(seconds / elapsed)
    for case, measured in speeds.items():
        print(f"{case:40} {statistics.median(measured):6.0f} x real time")
    for fade in (0.0, 0.002):
        label = f"above 5 kHz, fades of {fade:g} s"
        print(f"{label:40} {high_share(fade):6.0f} dB")


if __name__ == "__main__":
    main()
