"""gradsound play: a run on the loudspeaker, and keys to make it softer or end it."""

from __future__ import annotations

import os
import select
import threading
from contextlib import contextmanager, suppress
from math import inf
from typing import TYPE_CHECKING

from gradsound.cli.status_line import StatusLine
from gradsound.errors import warn
from gradsound.live.device_playback import DevicePlayback
from gradsound.live.run_source import RunSource
from gradsound.music.presets import at_speed
from gradsound.output.sound_device import FRAMES, NoDeviceError, SoundDevice
from gradsound.synth.mixer import SAMPLE_RATE

try:
    import termios
    import tty
except ImportError:  # not a POSIX system: no keys
    termios = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gradsound.music.presets import Preset
    from gradsound.workers.sinks import DeviceSink

_POLL_SECONDS = 0.05  # seconds between looks at keys
_KEY = 2**0.5  # times louder or softer: 3 dB
_SOFTEST = 2**-8
_HELP = "+ louder  - softer  m mute  q quit"


def play(
    path: Path,
    *,
    layers: Sequence[str] | None,
    norms: Sequence[str] | None,
    preset: Preset,
    speed: float,
    follow: bool,
    live: DeviceSink,
) -> None:
    """Plays a run until it is over, or a key or Ctrl-C ends it.

    Args:
        path: A run file, or a log of another tool; ``-`` for standard input.
        layers: Globs over layers; all if None.
        norms: Globs over the names in such a log, for `gradsound.read_run`.
        preset: How steps sound.
        speed: Times faster.
        follow: Whether steps sound as they come, several that come too fast as one. Those
            that are in a file already are not heard, and more are waited for.
        live: On what, how fast and how loud.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is no run, or an argument is outside its range.
        NoDeviceError: If there is no sound device to begin with.
    """
    sounding = at_speed(preset, speed)
    with RunSource(path, norms) as source, StatusLine() as line:
        growing = follow and not source.piped
        run = source.run(growing=growing)
        if layers is not None:
            run = run.select(layers)
        speaker = _speaker(live)
        playing = DevicePlayback(
            run,
            sounding,
            speaker,
            SAMPLE_RATE,
            live=follow,
            volume=live.volume,
            told=lambda caption: line.above(str(caption)),
            begin=inf if growing else 0,
        )
        source.at_end = playing.conductor.catch_up
        with _terminal(playing, line):
            playing.play()
        # Without figures, the last captions are later than what is heard.
        for caption in [] if playing.ended else playing.conductor.composer.captions:
            line.above(str(caption))
    if playing.ended:
        return
    if playing.failure is not None:
        raise playing.failure
    if playing.number < 0:
        raise ValueError(f"{source.name}: has no steps, so there is nothing to hear")


def _speaker(live: DeviceSink) -> SoundDevice:
    """The loudspeaker, once it has a device; if that is lost later, it is waited for."""

    def none(reason: str) -> None:
        raise NoDeviceError(f"{reason}; 'gradsound render' writes a file instead")

    def lost(reason: str) -> None:
        warn(f"{reason}; it goes on when there is one again, Ctrl-C ends it")

    speaker = SoundDevice(live.device, FRAMES[live.latency], SAMPLE_RATE, none)
    try:
        while speaker.name is None:
            speaker.wants(_POLL_SECONDS)
    except BaseException:
        speaker.close()
        raise
    speaker.lost = lost
    return speaker


@contextmanager
def _terminal(playing: DevicePlayback, line: StatusLine) -> Iterator[None]:
    """Shows what is played, and listens to keys, where there is a terminal for it."""
    keyboard, over = _keyboard(), threading.Event()
    if keyboard is not None:
        before = termios.tcgetattr(keyboard)
        tty.setcbreak(keyboard)
    attending = (playing, line, keyboard, over)
    thread = threading.Thread(target=_attend, args=attending, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        if keyboard is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
            os.close(keyboard)


def _keyboard() -> int | None:
    """The terminal, if there is one and we are in its foreground."""
    with suppress(OSError):
        if termios is not None:
            terminal = os.open("/dev/tty", os.O_RDONLY)
            if os.tcgetpgrp(terminal) == os.getpgrp():
                return terminal
            os.close(terminal)
    return None


def _attend(
    playing: DevicePlayback, line: StatusLine, keyboard: int | None, over: threading.Event
) -> None:
    keys = f"   {_HELP}" if keyboard is not None else ""
    while not over.is_set():
        if keyboard is None:
            over.wait(_POLL_SECONDS)
        elif select.select([keyboard], [], [], _POLL_SECONDS)[0]:
            for key in os.read(keyboard, 64).decode(errors="replace"):
                _press(playing, key)
        volume = "muted" if playing.muted else f"volume {playing.volume:.0%}"
        step = "waiting" if playing.number < 0 else f"step {playing.number:,}"
        line.show(f"{step}  {volume}{keys}")


def _press(playing: DevicePlayback, key: str) -> None:
    if key in "+=":
        playing.volume = min(1.0, playing.volume * _KEY)
    elif key in "-_":
        playing.volume = max(_SOFTEST, playing.volume / _KEY)
    elif key == "m":
        playing.muted = not playing.muted
    elif key == "q":
        playing.ended = True
