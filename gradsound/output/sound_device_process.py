"""The process of the sound device: plays blocks, and is restarted after a failure.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from gradsound.errors import MissingExtraError, NoDeviceError, warn
from gradsound.output.realtime_priority import exceeded_limit, request_realtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradsound.synth.mixer import Samples

BLOCK_FRAMES = {"low": 256, "safe": 512, "high": 1024}  # frames of a block, by latency
_OPEN_SECONDS = 5.0  # in which a device must open
_PLAY_SECONDS = 1.0  # in which it must play the blocks that it got, or it counts as gone
_RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0)  # before each further attempt; the last repeats
_GAPS, _GAP_SECONDS = 5, 60.0  # so many gaps in so many seconds are worth a warning
_DRAIN_SECONDS = 1.2  # in which it must play the last blocks
_BUILD_HINT = (  # PyAudio is built where it is installed, except on Windows
    "before, on Linux: apt install gcc python3-dev portaudio19-dev, "
    "on macOS: brew install portaudio"
)


class SoundDevice:
    """A sound device that requests blocks of samples, and is reopened after a failure.

    A process of its own has the device, because PortAudio may hang: then the process is
    killed and started again. The process has real-time priority if the system grants it.
    A warning tells, once, that the sound has many gaps.

    Args:
        device: Index of an output device, or part of its name; the default one if None.
        frames: Frames of a block.
        sample_rate: Frames a second, in Hz.
        on_loss: Called with the reason if the device cannot be opened or fails; then not
            again until the device has played.
        buffer_blocks: Blocks of a period of the device, which has four periods in its
            buffer. More blocks survive longer pauses of a busy machine, and sound later.

    Attributes:
        frames: As given.
        on_loss: As given; may be replaced.

    Raises:
        MissingExtraError: If PyAudio is not installed.
    """

    def __init__(
        self,
        device: int | str | None,
        frames: int,
        sample_rate: int,
        on_loss: Callable[[str], None],
        *,
        buffer_blocks: int = 1,
    ) -> None:
        check_installed()
        self.frames = frames
        self._job = {
            "device": device,
            "frames": frames,
            "buffer": frames * buffer_blocks,
            "rate": sample_rate,
        }
        self.on_loss, self._failures = on_loss, 0
        self._gap_times: deque[float] = deque(maxlen=_GAPS)  # seconds of the clock
        self._asks_priority, self._has_priority, self._told_of_gaps = True, False, False
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def _start(self) -> None:
        self._process = _start_process(self._job)
        self._input = cast("IO[bytes]", self._process.stdin)  # both are pipes
        self._output = cast("IO[bytes]", self._process.stdout)
        self._device: dict[str, Any] | None = None
        self._has_priority = False
        self._deadline = time.monotonic() + _OPEN_SECONDS

    @property
    def name(self) -> str | None:
        """Name of the device; None while it is not open."""
        return None if self._device is None else self._device["name"]

    def wait_for_request(self, seconds: float) -> bool:
        """Waits until the device requests blocks; returns whether it does.

        Args:
            seconds: Longest time to wait.
        """
        now = time.monotonic()
        if self._process is None:
            if now < self._deadline:
                time.sleep(min(seconds, self._deadline - now))
                return False
            self._start()
        readable, _, _ = select.select([self._output], [], [], seconds)
        if not readable:
            # Not the time after the wait: this process may have been the one that paused.
            if now > self._deadline:
                self._fail("the sound device does not answer")
            return False
        first_byte = self._output.read(1)
        if first_byte in (b".", b"!"):
            self._failures = 0
            if first_byte == b"!":
                self._add_gap()
            return True
        answer = {"error": "the process of the sound device died"}
        if first_byte:
            answer = json.loads(first_byte + self._output.readline())
        if "error" in answer:
            self._fail(answer["error"])
        else:
            self._device = answer
            if self._asks_priority:  # RealtimeKit may take a while
                threading.Thread(target=self._request_priority, daemon=True).start()
        return False

    def _request_priority(self) -> None:
        if self._process is not None:
            self._has_priority = request_realtime(self._process.pid)

    def _add_gap(self) -> None:
        """Counts a gap in the sound; warns of many, once."""
        now = time.monotonic()
        self._gap_times.append(now)
        many = len(self._gap_times) == _GAPS and now - self._gap_times[0] < _GAP_SECONDS
        if many and not self._told_of_gaps:
            self._told_of_gaps = True
            warn(_describe_gaps(self.frames, has_priority=self._has_priority))

    def write(self, samples: Samples) -> None:
        """Plays the requested blocks, at least one, of shape (N, C = 1 or 2).

        N is a multiple of `frames`; all blocks together last less than a second.
        """
        if self._device is None:
            return
        channels = self._device["channels"]
        if samples.shape[1] == 1:
            samples = samples.repeat(channels, axis=1)
        elif channels == 1:
            samples = samples.mean(axis=1, keepdims=True)
        self._deadline = time.monotonic() + _PLAY_SECONDS
        with suppress(BrokenPipeError):  # wait_for_request() reports the reason
            self._input.write(samples.tobytes())

    def close(self) -> None:
        """Plays the blocks that the device has and closes it, within two seconds."""
        if self._process is not None:
            with suppress(BrokenPipeError):
                self._input.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_DRAIN_SECONDS)
            self._kill()

    def _fail(self, reason: str) -> None:
        if self._process is not None and exceeded_limit(self._process.poll()):
            self._asks_priority = False
        self._kill()
        pause = _RETRY_SECONDS[min(self._failures, len(_RETRY_SECONDS) - 1)]
        self._failures += 1
        self._deadline = time.monotonic() + pause
        if self._failures == 1:
            self.on_loss(reason)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            with suppress(BrokenPipeError):
                self._input.close()
            self._output.close()
            self._process = None
            self._device = None


def _describe_gaps(frames: int, *, has_priority: bool) -> str:
    """Returns a sentence that says why the sound has gaps, with a remedy."""
    larger = [name for name, size in BLOCK_FRAMES.items() if size > frames]
    remedy = f"choose the latency {larger[0]!r}" if larger else "run less at once"
    priority = "" if has_priority else ", or allow it real-time priority"
    return f"the sound has gaps, because the machine is too busy: {remedy}{priority}"


def check_installed() -> None:
    """Raises MissingExtraError if PyAudio is not installed; does not load it."""
    if find_spec("pyaudio") is None:
        raise MissingExtraError("pyaudio", _BUILD_HINT)


def find_devices() -> list[dict[str, Any]]:
    """Returns the output devices: index, name, channels (1 or 2) and default (a bool).

    Raises:
        NoDeviceError: If there is no device, or the sound system cannot list them.
        MissingExtraError: If PyAudio is not installed.
    """
    check_installed()
    process = _start_process({"list": True})
    try:
        line, _ = process.communicate(timeout=_OPEN_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise NoDeviceError("the sound system does not answer") from error
    finally:
        process.kill()
        process.wait()
    answer = json.loads(line or b'{"error": "the process that lists devices died"}')
    if isinstance(answer, dict):
        raise NoDeviceError(answer["error"])
    if not answer:
        raise NoDeviceError("there is no output device")
    return list(answer)


def _start_process(job: dict[str, Any]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (our own code, no shell)
        [
            sys.executable,
            str(Path(__file__).with_name("sound_device.py")),
            json.dumps(job),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,  # so that Ctrl-C does not reach it
    )
