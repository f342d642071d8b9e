"""Live sound on a device that requests its blocks in bursts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

import gradsound
from gradsound.live.device_playback import DevicePlayback
from gradsound.runs.model import Header, Run
from gradsound.runs.step import Step

RATE = 44_100  # Hz
SECONDS = 3.0
DENSE = replace(  # no silence between notes
    gradsound.PRESETS["notes"],
    voice="sine",
    note_seconds=0.05,
    rest_seconds=0.0,
    fade_seconds=0.0,
)


class BurstyDevice:
    """Requests two blocks at once, as PipeWire does, and keeps what it gets."""

    name = "bursty"

    def __init__(self, frames: int) -> None:
        self.frames, self.blocks, self._begin = frames, [], time.monotonic()

    def wait_for_request(self, seconds: float) -> bool:
        written = sum(map(len, self.blocks)) // self.frames
        due = self._begin + (written // 2 - 1) * 2 * self.frames / RATE
        time.sleep(min(seconds, max(0.0, due - time.monotonic())))
        return time.monotonic() >= due

    def write(self, samples: np.ndarray) -> None:
        self.blocks.append(samples)

    def close(self) -> None:
        pass


@pytest.mark.realtime
@pytest.mark.parametrize("frames", [512, 1024])
def test_a_burst_of_requests_finds_a_step(frames: int) -> None:
    """No block is silent because its step is read only when the block is due."""
    end = time.monotonic() + SECONDS

    def steps() -> Iterator[Step]:
        for number in count():
            while (spare := playback.spare_seconds) > 0:  # as a worker reads them
                time.sleep(spare)
            if (now := time.monotonic()) > end:
                return
            norms = np.array([1.0, 2.0, 3.0, 2.5], np.float32)
            yield Step(number, SECONDS - (end - now), norms, np.zeros(4, bool))

    header = Header(layers=tuple("abcd"), parameters=(1, 1, 1, 1), start="")
    device = BurstyDevice(frames)
    playback = DevicePlayback(Run(header, steps()), DENSE, device, RATE, live=True)
    playback.play(0.2)

    sound = np.flatnonzero(np.concatenate(device.blocks).any(axis=1))
    assert len(sound) > RATE
    assert np.diff(sound[sound < (SECONDS - 1) * RATE]).max() < 32
