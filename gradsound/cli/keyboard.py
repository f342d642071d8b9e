"""The keyboard of gradsound play: keys for volume, mute and quit, while a run plays."""

from __future__ import annotations

import os
import select
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

try:
    import termios
    import tty
except ImportError:  # not a POSIX system: playback without keys
    termios = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.cli.playback import Playback
    from gradsound.cli.status_line import StatusLine

_POLL_SECONDS = 0.05  # between polls of the keyboard
_VOLUME_STEP = 2**0.5  # times louder or softer at a key: 3 dB
_MIN_VOLUME = 2**-8  # softest volume by keys; m mutes
_KEYS = "+ louder  - softer  m mute  q quit"
_SHORT_KEYS = "+ - m q"


@contextmanager
def terminal_controls(playback: Playback, line: StatusLine) -> Iterator[None]:
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
