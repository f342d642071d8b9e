"""gradsound play: plays a run, with keys for volume, mute and quit."""

from __future__ import annotations

import os
import select
import threading
from contextlib import contextmanager, suppress
from math import inf
from typing import TYPE_CHECKING

from gradsound.cli.playback import make_playback
from gradsound.cli.status_line import StatusLine
from gradsound.live.run_source import RunSource
from gradsound.music.anchor import fit_anchor
from gradsound.music.presets import at_speed
from gradsound.open_run import open_run

try:
    import termios
    import tty
except ImportError:  # not a POSIX system: playback without keys
    termios = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gradsound.cli.playback import OscSink, Playback
    from gradsound.music.presets import Preset
    from gradsound.runs.log_choice import LogChoice
    from gradsound.workers.sinks import DeviceSink

_POLL_SECONDS = 0.05  # between polls of the keyboard
_VOLUME_STEP = 2**0.5  # times louder or softer at a key: 3 dB
_MIN_VOLUME = 2**-8  # softest volume by keys; m mutes
_KEYS = "+ louder  - softer  m mute  q quit"
_SHORT_KEYS = "+ - m q"


def play(
    path: Path,
    *,
    parts: Sequence[Path] = (),
    layers: Sequence[str] | None,
    choice: LogChoice,
    preset: Preset,
    speed: float,
    follow: bool,
    live: DeviceSink | OscSink,
) -> None:
    """Plays a run until its end, the key q or Ctrl-C.

    Args:
        path: A run file, or a log of another tool; ``-`` for standard input.
        parts: Further parts of a run that is finished, in order.
        layers: Globs over layers; None plays all.
        choice: What to read of such a log.
        preset: How steps sound.
        speed: How many times faster than the preset steps sound.
        follow: Whether to play steps as the file grows and to merge steps that come too
            fast. Steps that are already in a file are not played.
        live: The device, its latency and the volume; or a receiver of Open Sound Control.

    Raises:
        OSError: If the file cannot be read, or the receiver not be reached.
        ValueError: If the file is not a run, or an argument is outside its range.
        MissingExtraError: If python-osc is not installed, for a receiver.
        NoDeviceError: If no sound device is available at the start.
    """
    preset = at_speed(preset, speed)
    with StatusLine() as line, RunSource(path, choice, line.print_above) as source:
        growing = follow and not source.is_stdin
        finished = not follow and (path.is_file() or path.is_dir())
        run = (
            open_run(path, *parts, choice=choice)
            if finished
            else source.run(growing=growing)
        )
        if layers is not None:
            run = run.select(layers)
        if finished:
            preset = fit_anchor(preset, [run])
        playback = make_playback(
            run,
            preset,
            live,
            finished=finished,
            follow=follow,
            on_caption=lambda caption: line.print_above(str(caption)),
            first_step=inf if growing else 0,
        )
        source.on_idle = playback.conductor.catch_up
        with _terminal_controls(playback, line):
            playback.play()
        # Presets without alarm sounds end before the time of their last captions.
        for caption in [] if playback.stopped else playback.conductor.composer.captions:
            line.print_above(str(caption))
    if playback.stopped:
        return
    if playback.failure is not None:
        raise playback.failure
    if playback.step_number < 0:
        raise ValueError(f"{source.name}: has no steps, so there is nothing to hear")


@contextmanager
def _terminal_controls(playback: Playback, line: StatusLine) -> Iterator[None]:
    """Shows the step that plays and reads keys; without a terminal it does nothing."""
    keyboard, closed = _open_keyboard(), threading.Event()
    if keyboard is not None:
        settings = termios.tcgetattr(keyboard)
        tty.setcbreak(keyboard)  # keys arrive one by one, without Enter
    thread = threading.Thread(
        target=_update_terminal, args=(playback, line, keyboard, closed), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        closed.set()
        thread.join()
        if keyboard is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, settings)
            os.close(keyboard)


def _open_keyboard() -> int | None:
    """Returns the terminal's file descriptor; None in the background or without one."""
    with suppress(OSError):
        if termios is not None:
            terminal = os.open("/dev/tty", os.O_RDONLY)
            if os.tcgetpgrp(terminal) == os.getpgrp():
                return terminal
            os.close(terminal)
    return None


def _update_terminal(
    playback: Playback,
    line: StatusLine,
    keyboard: int | None,
    closed: threading.Event,
) -> None:
    while not closed.is_set():
        if keyboard is None:
            closed.wait(_POLL_SECONDS)
        elif select.select([keyboard], [], [], _POLL_SECONDS)[0]:
            for key in os.read(keyboard, 64).decode(errors="replace"):
                _handle_key(playback, key)
        texts = status_texts(
            playback.step_number,
            playback.volume,
            muted=playback.muted,
            keys=keyboard is not None,
        )
        line.show(*texts)


def status_texts(number: int, volume: float, *, muted: bool, keys: bool) -> list[str]:
    """Returns texts for the line of the terminal, from wide to narrow.

    Args:
        number: Number of the step that sounds; -1 before the first.
        volume: Linear gain, 0 to 1.
        muted: Whether silence plays.
        keys: Whether keys are read.
    """
    step = "waiting" if number < 0 else f"step {number:,}"
    state = f"{step}  {'muted' if muted else f'volume {volume:.0%}'}"
    if not keys:
        return [state]
    # In a narrow terminal, the keys are more use than the state.
    return [f"{state}   {_KEYS}", f"{state}   {_SHORT_KEYS}", _SHORT_KEYS]


def _handle_key(playback: Playback, key: str) -> None:
    if key in "+=":
        playback.volume = min(1.0, playback.volume * _VOLUME_STEP)
    elif key in "-_":
        playback.volume = max(_MIN_VOLUME, playback.volume / _VOLUME_STEP)
    elif key == "m":
        playback.muted = not playback.muted
    elif key == "q":
        playback.stopped = True
