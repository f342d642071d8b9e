"""A sound device, played by a process of its own that can be given up and begun again.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from gradsound.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.synth.mixer import Samples

FRAMES = {"safe": 512, "low": 256}  # of a block, by latency
_BEGINS = 5.0  # seconds that a device may take to open
_ANSWERS = 1.0  # seconds that it may take to play a block; after that it is not there
_AGAIN = (0.5, 1.0, 2.0, 4.0)  # seconds to wait before trying again, the last for ever
_ENDS = 1.2  # seconds that it may take to play what it has


class NoDeviceError(Exception):
    """There is no sound device; the message says why."""


class SoundDevice:
    """Plays samples as the device asks for them, as long as there is one.

    Args:
        device: Index of an output device, or part of its name; the default one if None.
        frames: Size of a block.
        sample_rate: Frames a second, in Hz.
        lost: Called with the reason when there is no device or none any more, once until
            there is one again.

    Attributes:
        frames: As given.
        lost: As given; may be changed.

    Raises:
        MissingExtraError: If PyAudio is not installed.
    """

    def __init__(
        self,
        device: int | str | None,
        frames: int,
        sample_rate: int,
        lost: Callable[[str], None],
    ) -> None:
        check_installed()
        self.frames = frames
        self._wanted = {"device": device, "frames": frames, "rate": sample_rate}
        self.lost, self._failures = lost, 0
        self._process: subprocess.Popen[bytes] | None = None
        self._begin()

    def _begin(self) -> None:
        self._process = _started(self._wanted)
        self._input = cast("IO[bytes]", self._process.stdin)  # both are pipes
        self._output = cast("IO[bytes]", self._process.stdout)
        self._device: dict[str, Any] | None = None
        self._until = time.monotonic() + _BEGINS  # or it is given up

    @property
    def name(self) -> str | None:
        """What the device is called, once it is open."""
        return None if self._device is None else self._device["name"]

    def wants(self, seconds: float) -> bool:
        """Waits until the device wants a block, that long at most; returns whether."""
        now = time.monotonic()
        if self._process is None:
            if now < self._until:
                time.sleep(min(seconds, self._until - now))
                return False
            self._begin()
        readable, _, _ = select.select([self._output], [], [], seconds)
        if not readable:
            if time.monotonic() > self._until:
                self._give_up("the sound device does not answer")
            return False
        said = self._output.read(1)
        if said == b".":
            self._failures = 0
            return True
        answer = {"error": "the process that has the sound device died"}
        if said:
            answer = json.loads(said + self._output.readline())
        if "error" in answer:
            self._give_up(answer["error"])
        else:
            self._device = answer
        return False

    def play(self, samples: Samples) -> None:
        """Plays the block that was wanted, of shape (N = frames, C = 1 or 2)."""
        if self._device is None:
            return
        channels = self._device["channels"]
        if samples.shape[1] == 1:
            samples = samples.repeat(channels, axis=1)
        elif channels == 1:
            samples = samples.mean(axis=1, keepdims=True)
        self._until = time.monotonic() + _ANSWERS
        with suppress(BrokenPipeError):  # wants() will say why
            self._input.write(samples.tobytes())

    def close(self) -> None:
        """Plays what the device has, and gives it back; in two seconds, come what may."""
        if self._process is not None:
            with suppress(BrokenPipeError):
                self._input.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDS)
            self._end()

    def _give_up(self, reason: str) -> None:
        self._end()
        wait = _AGAIN[min(self._failures, len(_AGAIN) - 1)]
        self._failures += 1
        self._until = time.monotonic() + wait
        if self._failures == 1:
            self.lost(reason)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            with suppress(BrokenPipeError):
                self._input.close()
            self._output.close()
            self._process = None
            self._device = None


def check_installed() -> None:
    """Raises MissingExtraError if PyAudio is not installed; does not load it."""
    if find_spec("pyaudio") is None:
        raise MissingExtraError("pyaudio", "live")


def devices() -> list[dict[str, Any]]:
    """Output devices: index, name, channels (1 or 2) and whether it is the default.

    Raises:
        NoDeviceError: If there is none, or they cannot be listed.
        MissingExtraError: If PyAudio is not installed.
    """
    check_installed()
    process = _started({"list": True})
    try:
        said, _ = process.communicate(timeout=_BEGINS)
    except subprocess.TimeoutExpired as error:
        raise NoDeviceError("the sound system does not answer") from error
    finally:
        process.kill()
        process.wait()
    found = json.loads(said or b'{"error": "the process that lists devices died"}')
    if isinstance(found, dict):
        raise NoDeviceError(found["error"])
    if not found:
        raise NoDeviceError("there is no output device")
    return list(found)


def _started(wanted: dict[str, Any]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (our own code, no shell)
        [
            sys.executable,
            str(Path(__file__).with_name("sound_device_process.py")),
            json.dumps(wanted),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,  # Ctrl-C is not for it
    )
