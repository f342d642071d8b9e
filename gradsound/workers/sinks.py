"""Listening live, on the sound device or in a browser: the trainer's end of it."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradsound.music.preset_json import to_data
from gradsound.output.sound_device import FRAMES, check_installed
from gradsound.synth.mixer import SAMPLE_RATE
from gradsound.web.host_and_port import Address, check_port
from gradsound.workers.process import WorkerProcess

if TYPE_CHECKING:
    from pathlib import Path

    from gradsound.music.presets import Preset

_WORDS_MAX = 200  # characters of an exception; a line of the pipe that goes whole
_ENDS = 1.8  # seconds that it may take to play what came last; then it is ended


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSink:
    """How to listen live.

    Attributes:
        device: Index of an output device, or part of its name; the default one if None.
        latency: "safe", or "low" for a machine that is not busy.
        volume: Linear gain, 0 to 1.

    Raises:
        ValueError: If a value is outside its range.
        MissingExtraError: If PyAudio is not installed.
    """

    device: int | str | None = None
    latency: str = "safe"
    volume: float = 1.0

    def __post_init__(self) -> None:
        check_latency(self.latency)
        check_volume(self.volume)
        check_installed()

    def begin(self, run: Path, reading: int, preset: Preset) -> Player:
        """Starts to play on the sound device.

        Args:
            run: The run file, its header written.
            reading: The same, open for reading from its start.
            preset: How steps sound.

        Raises:
            OSError: If the process cannot be started.
        """
        job = {
            "run": str(run),
            "preset": to_data(preset),
            "device": self.device,
            "rate": SAMPLE_RATE,
            "frames": FRAMES[self.latency],
            "volume": self.volume,
        }
        return Player(WorkerProcess("play_device", job, reading), self.volume)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSink:
    """How to listen in a browser.

    Attributes:
        port: On which port of this machine; the first that is free if None.

    Raises:
        ValueError: If there is no such port.
        MissingExtraError: If websockets is not installed.
    """

    port: int | None = None

    def __post_init__(self) -> None:
        check_port(self.port)

    def begin(self, run: Path, reading: int, preset: Preset) -> Player:
        """Starts to serve the page, and prints where it is; as `DeviceSink.begin`."""
        address = Address(self.port)
        with address.listening as listening:
            job = {
                "run": str(run),
                "preset": to_data(preset),
                "token": address.token,
                "socket": listening.fileno(),
            }
            process = WorkerProcess("serve_page", job, reading, listening.fileno())
        sys.stderr.write(f"gradsound: {address}\n")
        return Player(process, url=address.url)


class Player:
    """The trainer's end of a process that plays.

    Args:
        process: It.
        volume: Linear gain that it plays with, 0 to 1.
        url: Where it plays, if that is a page.

    Attributes:
        url: As given.
        error: What ended the training, if it was an exception.
    """

    def __init__(
        self, process: WorkerProcess, volume: float = 1.0, url: str | None = None
    ) -> None:
        self._process, self._volume, self.url = process, volume, url
        self.error: BaseException | None = None
        self._untold = ""

    @property
    def volume(self) -> float:
        """Linear gain, 0 to 1."""
        return self._volume

    @volume.setter
    def volume(self, volume: float) -> None:
        check_volume(volume)
        self._volume, self._untold = volume, f"volume {volume!r}"
        self.ring()

    def ring(self) -> None:
        """Tells it that the file has grown; never waits."""
        if self._process.tell(self._untold):
            self._untold = ""

    @property
    def ended(self) -> bool:
        """Whether it has ended before it was told to."""
        return self._process.status() is not None

    def said(self) -> str:
        """What it has to say, if anything; does not wait."""
        return self._process.said()

    def close(self) -> str:
        """Ends it, within two seconds; returns what went wrong, or nothing."""
        self._process.tell(f"ended {_in_words(self.error)}")
        return self._process.close(_ENDS)


def _in_words(error: BaseException | None) -> str:
    """How a training ended, in a line; empty if by itself."""
    if error is None:
        return ""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted (Ctrl-C)"
    line = " ".join("".join(traceback.format_exception_only(error)).split())
    return line if len(line) <= _WORDS_MAX else f"{line[:_WORDS_MAX]}..."


def check_latency(latency: str) -> None:
    """Raises ValueError if there is no such latency."""
    if latency not in FRAMES:
        raise ValueError(
            f"latency must be {' or '.join(map(repr, FRAMES))}, got {latency!r}"
        )


def check_volume(volume: float) -> None:
    """Raises ValueError if it is no gain."""
    if not 0 <= volume <= 1:
        raise ValueError(f"volume must be 0 to 1, got {volume!r}")
