"""Destinations of live sound, the device or the page, as the trainer controls them."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradsound.music.preset_json import to_data
from gradsound.output.sound_device_process import BLOCK_FRAMES, check_installed
from gradsound.synth.sample_rate import SAMPLE_RATE
from gradsound.web.page_address import PageAddress
from gradsound.web.port import check_port
from gradsound.workers.process import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gradsound.music.presets import Preset

_ERROR_CHARACTERS_MAX = 200  # of an exception's text; a pipe takes so short a line whole
_CLOSE_SECONDS = 1.8  # longest time to play the last steps; then the process is killed


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSink:
    """Plays a run live on a sound device of this machine.

    Attributes:
        device: Index of an output device, or part of its name; the default device if None.
        latency: "low", "safe" or "high": how long a step takes to sound. A busier machine
            needs a higher one.
        volume: Linear gain, 0 to 1.

    Raises:
        ValueError: If latency or volume is out of range.
        MissingExtraError: If PyAudio is not installed.
    """

    device: int | str | None = None
    latency: str = "safe"
    volume: float = 1.0

    def __post_init__(self) -> None:
        check_latency(self.latency)
        check_volume(self.volume)
        check_installed()

    def start(
        self, run: Path, run_descriptor: int, preset: Preset, first_step: int = 0
    ) -> Player:
        """Starts the process that plays.

        Args:
            run: The run file, which already has its header.
            run_descriptor: The same file, open for reading from its start.
            preset: How steps sound.
            first_step: Number of the first step to play; earlier steps are in the file.

        Raises:
            OSError: If the process cannot start.
        """
        job = {
            "run": str(run),
            "preset": to_data(preset),
            "first_step": first_step,
            "device": self.device,
            "sample_rate": SAMPLE_RATE,
            "frames": BLOCK_FRAMES[self.latency],
            "volume": self.volume,
        }
        return Player(WorkerProcess("play_device", job, run_descriptor), self.volume)


def _print(text: str) -> None:
    sys.stderr.write(f"gradsound: {text}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSink:
    """Plays a run live on a page that this machine serves to browsers.

    Attributes:
        port: Port of the page, 0 to 65535; the first free port if None.
        tell: Gets the page's address in two lines, and prints them by default.

    Raises:
        ValueError: If the port is out of range.
        MissingExtraError: If websockets is not installed.
    """

    port: int | None = None
    tell: Callable[[str], None] = _print

    def __post_init__(self) -> None:
        check_port(self.port)

    def start(
        self, run: Path, run_descriptor: int, preset: Preset, first_step: int = 0
    ) -> Player:
        """Starts the server process and tells the page's address.

        Arguments and errors are those of `DeviceSink.start`.
        """
        address = PageAddress(self.port)
        with address.socket as listening:
            job = {
                "run": str(run),
                "preset": to_data(preset),
                "first_step": first_step,
                "token": address.token,
                "socket": listening.fileno(),
            }
            process = WorkerProcess("serve_page", job, run_descriptor, listening.fileno())
        self.tell(str(address))
        return Player(process, url=address.url)


class Player:
    """Controls a worker process that plays a run live.

    Args:
        process: The worker process.
        volume: Linear gain of the sound device, 0 to 1.
        url: Address of the page; None on a sound device.

    Attributes:
        url: Address of the page; None on a sound device and in a notebook.
        is_page: Whether a browser plays, which has a volume of its own.
        widget: The widget that plays in a notebook; None elsewhere.
        error: The exception that ended the training, if any; the page shows it.
    """

    def __init__(
        self, process: WorkerProcess, volume: float = 1.0, url: str | None = None
    ) -> None:
        self._process, self._volume, self.url = process, volume, url
        self.is_page = url is not None
        self.widget: object = None
        self.error: BaseException | None = None
        self._unsent_line = ""

    @property
    def volume(self) -> float:
        """Linear gain, 0 to 1."""
        return self._volume

    @volume.setter
    def volume(self, volume: float) -> None:
        check_volume(volume)
        self._volume, self._unsent_line = volume, f"volume {volume!r}"
        self.wake()

    def show(self) -> bool:
        """Shows the player in the cell of a notebook that runs; returns whether it can."""
        return False

    def wake(self) -> None:
        """Makes the process read the run file again; never waits."""
        if self._process.send(self._unsent_line):
            self._unsent_line = ""

    @property
    def ended(self) -> bool:
        """Whether the process ended before `close`."""
        return self._process.exit_status() is not None

    def poll_messages(self) -> str:
        """Returns the errors since the last call, without waiting."""
        return self._process.poll_messages()

    def close(self) -> str:
        """Ends the process within two seconds; returns the errors since `poll_messages`."""
        self._process.send(f"ended {_describe_outcome(self.error)}")
        return self._process.close(_CLOSE_SECONDS)


def _describe_outcome(error: BaseException | None) -> str:
    """Returns how a training ended, in one line; empty if without an exception."""
    if error is None:
        return ""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted (Ctrl-C)"
    line = " ".join("".join(traceback.format_exception_only(error)).split())
    if len(line) <= _ERROR_CHARACTERS_MAX:
        return line
    return f"{line[:_ERROR_CHARACTERS_MAX]}..."


def check_latency(latency: str) -> None:
    """Raises ValueError if there is no such latency."""
    if latency not in BLOCK_FRAMES:
        names = ", ".join(map(repr, BLOCK_FRAMES))
        raise ValueError(f"latency must be one of {names}, got {latency!r}")


def check_volume(volume: float) -> None:
    """Raises ValueError if the gain is not 0 to 1."""
    if not 0 <= volume <= 1:
        raise ValueError(f"volume must be 0 to 1, got {volume!r}")
