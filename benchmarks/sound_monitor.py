"""A monitor of a sound server's output: it finds onsets and gaps, and delays of steps."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.sound_server import RATE, SoundServer

GAP_FRAMES = 32  # of zeros in a row, at least; a tone has fewer


class Monitor:
    """Records the output of a sound server and finds onsets and gaps in it.

    Args:
        server: The sound server.
        latency: Milliseconds of sound that arrive together; shorter ones load the machine.

    Attributes:
        onsets: Times at which sound began after 10 ms of silence, in seconds of the clock.
        frames: Frames from the first sound to the last.
        lost: Silent frames among them.
        gaps: Number of stretches of silent frames.
    """

    def __init__(self, server: SoundServer, latency: float = 50) -> None:
        self.onsets: list[float] = []
        self.frames = self.lost = self.gaps = 0
        self._silent = RATE  # frames of silence up to now
        options = f"--device=gs.monitor --raw --latency-msec={latency} --format=float32le"
        self._process = subprocess.Popen(
            ["/usr/bin/env", "parec", *options.split(), f"--rate={RATE}", "--channels=1"],
            env=os.environ | server.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._thread = threading.Thread(target=self._record, daemon=True)
        self._thread.start()

    def _record(self) -> None:
        remainder = b""
        while data := os.read(self._process.stdout.fileno(), 1 << 16):
            now = time.monotonic()
            data = remainder + data
            whole = len(data) // 4 * 4
            samples, remainder = np.frombuffer(data[:whole], np.float32), data[whole:]
            self._analyse(samples, now)

    def _analyse(self, samples: np.ndarray, now: float) -> None:
        begin = 0
        for first, last in _stretches(np.flatnonzero(samples)):
            silent = self._silent + first - begin
            if silent > RATE // 100:
                self.onsets.append(now - (len(samples) - first) / RATE)
            if self.frames:
                self.frames += silent
                if silent >= GAP_FRAMES:
                    self.lost += silent
                    self.gaps += 1
            self.frames += last + 1 - first
            begin, self._silent = last + 1, 0
        self._silent += len(samples) - begin

    def end(self) -> None:
        """Ends the recording."""
        time.sleep(0.3)
        self._process.kill()
        self._process.wait()
        self._thread.join()


def _stretches(indices: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields the first and the last number of each stretch of consecutive numbers."""
    cuts = np.flatnonzero(np.diff(indices) > 1) + 1
    for part in np.split(indices, cuts):
        if len(part):
            yield int(part[0]), int(part[-1])


def delays_ms(times: list[float], onsets: list[float]) -> list[float]:
    """Returns the milliseconds from each step to the first onset after it."""
    indices = np.searchsorted(onsets, times)
    return [
        1e3 * (onsets[index] - time)
        for time, index in zip(times, indices.tolist())
        if index < len(onsets)
    ]
