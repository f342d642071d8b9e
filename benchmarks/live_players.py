"""The players that live.py compares: gradsound.listen, and two simpler ones without it."""

from __future__ import annotations

import os
import queue
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from runs import new_log
from sound_monitor import RATE

import gradsound
from gradsound.music.presets import PRESETS
from gradsound.output.sound_device_process import BLOCK_FRAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cpu_load import Call, Load

# Notes without rests or fades, so all silence is lost sound.
DENSE = replace(
    PRESETS["notes"], voice="sine", note_seconds=0.05, rest_seconds=0.0, fade_seconds=0.0
)


@contextmanager
def play_nothing(_: Load, frames: int) -> Iterator[Call]:
    """Plays nothing."""
    yield lambda: None


@contextmanager
def listen(load: Load, frames: int) -> Iterator[Call]:
    """Plays by ``gradsound.listen``."""
    latency = next(name for name, size in BLOCK_FRAMES.items() if size == frames)
    with gradsound.listen(
        load.model, load.optimizer, log=new_log(), preset=DENSE, latency=latency
    ):
        yield lambda: None


def tones_of_2019(load: Load) -> Iterator[bytes]:
    """Yields the tones of the script of 2019 for a step: 10 ms for each weight."""
    for module in load.model.modules():
        if hasattr(module, "weight"):
            hertz = 200.0 + 100.0 * module.weight.grad.norm().item()
            angles = 2 * np.pi * hertz / RATE * np.arange(441)
            yield np.cos(angles).astype(np.float32).tobytes()


@contextmanager
def open_device(frames: int) -> Iterator[object]:
    """Opens the sound device in this process."""
    import pyaudio

    stderr = os.dup(2)
    with Path(os.devnull).open("w") as null:  # PortAudio prints its problems
        os.dup2(null.fileno(), 2)
    try:
        audio = pyaudio.PyAudio()
        device = audio.open(
            RATE, 1, pyaudio.paFloat32, output=True, frames_per_buffer=frames
        )
        yield device
        device.close()
        audio.terminate()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


@contextmanager
def play_in_the_loop(load: Load, frames: int) -> Iterator[Call]:
    """Lets the training loop write each tone to the device, and wait for it."""
    with open_device(frames) as device:

        def measure() -> None:
            for tone in tones_of_2019(load):
                device.write(tone)

        yield measure


@contextmanager
def play_in_a_thread(load: Load, frames: int) -> Iterator[Call]:
    """Lets a thread play a tone, block by block; the loop sets its pitch."""
    hertz: queue.Queue[float | None] = queue.Queue()

    def play(device: object) -> None:
        phase, pitch = 0.0, 440.0
        while True:
            while not hertz.empty():
                if (pitch := hertz.get()) is None:
                    return
            turns = phase + pitch / RATE * np.arange(1, frames + 1)
            phase = turns[-1] % 1
            device.write(np.cos(2 * np.pi * turns).astype(np.float32).tobytes())

    with open_device(frames) as device:
        thread = threading.Thread(target=play, args=(device,))
        thread.start()
        weight = load.model[0].weight
        yield lambda: hertz.put(200.0 + 100.0 * weight.grad.norm().item())
        hertz.put(None)
        thread.join()


PLAYERS = {
    "bare (control)": play_nothing,
    "gradsound.listen": listen,
    "written in the loop": play_in_the_loop,
    "a thread": play_in_a_thread,
}
