"""A stand-in for PyAudio: opens at once, and notes when the first sound reaches it.

The environment variable FIRST_SOUND names the file of that time, by `time.monotonic`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

paFloat32 = 1  # noqa: N816 (the name of PyAudio)


class Stream:
    """Takes blocks in real time."""

    def __init__(self, frames: int, rate: int) -> None:
        self._block_seconds, self._blocks, self._begin = frames / rate, 0, time.monotonic()
        self._is_silent = True

    def write(self, block: bytes) -> None:
        """Returns when a device would take the next block."""
        if self._is_silent and any(block):
            self._is_silent = False
            Path(os.environ["FIRST_SOUND"]).write_text(repr(time.monotonic()))
        self._blocks += 1
        end = self._begin + self._blocks * self._block_seconds
        time.sleep(max(0.0, end - time.monotonic()))

    def get_output_latency(self) -> float:
        """Returns seconds."""
        return 0.0

    def stop_stream(self) -> None:
        """Does nothing."""


class PyAudio:
    """A system with one device."""

    def get_default_output_device_info(self) -> dict[str, object]:
        """Returns the device."""
        return self.get_device_info_by_index(0)

    def get_device_count(self) -> int:
        """Returns 1."""
        return 1

    def get_device_info_by_index(self, index: int) -> dict[str, object]:
        """Returns the device."""
        return {"index": index, "name": "stand-in", "maxOutputChannels": 2}

    def open(self, rate: int, frames_per_buffer: int, **_: object) -> Stream:
        """Returns a stream of the device."""
        return Stream(frames_per_buffer, rate)
