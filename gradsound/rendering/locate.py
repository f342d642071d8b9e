"""gradsound locate: which step sounds when, in a sound file or a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gradsound.music.captions import clock
from gradsound.music.timeline import Timeline
from gradsound.output.wav_markers import read_data
from gradsound.rendering.sound import Sound

if TYPE_CHECKING:
    from pathlib import Path

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run

_WAV = b"RIFF"  # how such a file begins
_REMEDY = "give the run file, and the preset and speed that it was rendered with"


def is_sound(path: Path) -> bool:
    """Whether a file is a sound, by how it begins, whatever its name.

    Raises:
        OSError: If it cannot be read.
    """
    return path.is_file() and _head(path) in (_WAV, b"fLaC", b"OggS")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_WAV))


def timeline_of(path: Path) -> Timeline:
    """The timeline that is in a WAV file of ours.

    Raises:
        ValueError: If it is no WAV file, or has none.
        OSError: If it cannot be read.
    """
    if _head(path) != _WAV:
        raise ValueError(f"{path}: only WAV files carry their steps; {_REMEDY}")
    data = read_data(path)
    try:
        return Timeline.from_data(json.loads(data or b"null"))
    except (ValueError, TypeError, KeyError) as error:
        message = f"{path}: does not tell which steps it sounds; {_REMEDY}"
        raise ValueError(message) from error


def timeline_for(run: Run, preset: Preset, duration: float | None) -> Timeline:
    """The timeline that the sound of a run has, fitted into a duration if there is one.

    Raises:
        ValueError: If the run has no steps.
        RunFormatError: If a line of it is not a step.
    """
    sound = Sound([run], preset, duration)
    for _ in sound.scores():
        pass
    return sound.timeline


def seconds(text: str) -> float:
    """A time as one says it: 42, 0:42, 1:02:03.5.

    Raises:
        ValueError: If it is no such time.
    """
    try:
        parts = [float(part) for part in text.split(":")]
        if not (1 <= len(parts) <= 3 and all(0 <= part < 1e9 for part in parts)):
            raise ValueError
    except ValueError:
        raise ValueError(f"a time is seconds, m:ss or h:mm:ss, got {text!r}") from None
    return sum(part * 60.0**power for power, part in enumerate(reversed(parts)))


def tell_time(timeline: Timeline, time: float) -> str:
    """A sentence that says what sounds at a time.

    Raises:
        ValueError: If no step does.
    """
    place = timeline.at(time)
    if place is None:
        raise ValueError(f"no step sounds at {clock(time)}; {_bounds(timeline)}")
    steps = f"step {place.first:,}"
    if place.last > place.first:
        steps = f"steps {place.first:,} to {place.last:,}, as one"
    what = ", ".join(place.lines) or "the silence after it"
    return f"{clock(time)} is {steps}: {what}"


def tell_step(timeline: Timeline, step: int) -> str:
    """A sentence that says when a step sounds.

    Raises:
        ValueError: If it does not.
    """
    time = timeline.time_of(step)
    if time is None:
        raise ValueError(f"step {step:,} does not sound; {_bounds(timeline)}")
    return f"step {step:,} is at {clock(time)} ({time:.2f} s)"


def _bounds(timeline: Timeline) -> str:
    first, last, end = timeline.bounds
    return f"there are steps {first:,} to {last:,}, until {clock(end)}"
