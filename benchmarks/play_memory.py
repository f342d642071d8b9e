"""Measures the memory of live playback over an hour of sound, in a few minutes.

It plays as the process of ``gradsound.listen`` does: it reads a run file that grows, and
detects, composes and synthesizes. Only the device is another one: it requests its next
blocks as soon as the steps before are read. 100 steps fall into a second of sound; one in
2,000 is a spike, which has an alarm sound and a caption.

    python benchmarks/play_memory.py [--minutes 60]

It prints a line every ten minutes of sound.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import machine
from memory import resident
from runs import make_header, new_log

from gradsound.live.device_playback import DevicePlayback
from gradsound.music.presets import PRESETS
from gradsound.runs.lines import read_lines
from gradsound.runs.run_file import parse_run
from gradsound.runs.step import Step
from gradsound.runs.writer import RunWriter
from gradsound.synth.sample_rate import SAMPLE_RATE

LAYERS = 8
STEP_SECONDS = 0.01  # of sound
AHEAD_SECONDS = 0.1  # of sound, by which the device may be ahead of the steps
PAUSE_SECONDS = 0.0002  # between polls of the device and of the reader
SPIKE = 2_000  # steps from one spike to the next


class EagerDevice:
    """A device that requests its next blocks as soon as it may.

    Attributes:
        name: Name of the device.
        frames: Frames of a block.
        played: Frames that it got.
        granted: Frames up to which it may request blocks.
    """

    name, frames = "eager", 512

    def __init__(self) -> None:
        self.played, self.granted = 0, 0.0

    def wait_for_request(self, seconds: float) -> bool:
        """Waits until it may request blocks; returns whether it does."""
        end = time.monotonic() + seconds
        while self.played >= self.granted and time.monotonic() < end:
            time.sleep(PAUSE_SECONDS)
        return self.played < self.granted

    def write(self, samples: np.ndarray) -> None:
        """Counts frames."""
        self.played += len(samples)

    def close(self) -> None:
        """Does nothing."""


class Training:
    """Writes the steps of a run that keep up with the sound.

    Args:
        path: The run file.
        device: The device that plays.
        minutes: Minutes of sound after which the run ends.
    """

    def __init__(self, path: Path, device: EagerDevice, minutes: float) -> None:
        self.writer = RunWriter(path, make_header(LAYERS), 1)
        self._device, self._seconds = device, 60 * minutes
        self._count, self._minute, self._first = 0, 0, 0
        self._random, self._absent = np.random.default_rng(0), np.zeros(LAYERS, bool)

    def write_more(self) -> bool:
        """Writes the steps up to the sound that plays; returns whether any follow."""
        time.sleep(PAUSE_SECONDS)
        seconds = self._device.played / SAMPLE_RATE
        if seconds >= 60 * self._minute:
            self._print_memory()
        while self._count * STEP_SECONDS <= seconds:
            norms = 1 + self._random.random(LAYERS, np.float32)
            if self._count % SPIKE == SPIKE - 1:
                norms[0] = 1e4
            begin = self._count * STEP_SECONDS
            self.writer.write([Step(self._count, begin, norms, self._absent)])
            self._count += 1
        over = seconds >= self._seconds
        self._device.granted = np.inf if over else (seconds + AHEAD_SECONDS) * SAMPLE_RATE
        return not over

    def _print_memory(self) -> None:
        gc.collect()
        now = resident() / 1e6
        if self._minute == 10:
            self._first = now
        change = f" ({now - self._first:+.2f} MB)" if self._first else ""
        print(f"  {self._minute:3} min: {now:6.1f} MB resident{change}", flush=True)
        self._minute += 10


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Memory over an hour of live sound.")
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        path, device = Path(folder) / Path(new_log()).name, EagerDevice()
        training = Training(path, device, minutes)
        with training.writer.reader_files[0] as file:
            lines = read_lines(file, training.write_more)
            run = parse_run(str(path), lines, [], until_restart=True)
            playback = DevicePlayback(run, PRESETS["notes"], device, SAMPLE_RATE, live=True)
            playback.play()
        training.writer.close()
        if playback.failure is not None:
            raise playback.failure


if __name__ == "__main__":
    main()
