"""gradsound locate: finds the step at a time of the sound, or the time of a step."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gradsound.music.captions import format_time
from gradsound.music.timeline import Timeline
from gradsound.output.wav_markers import read_data
from gradsound.rendering.sound import Sound

if TYPE_CHECKING:
    from pathlib import Path

    from gradsound.music.presets import Preset
    from gradsound.runs.model import Run

_WAV = b"RIFF"  # first four bytes of a WAV file
# First bytes of sounds; an MP3 file begins with a tag, or with a frame of MPEG 1 or 2.
_SOUNDS = (_WAV, b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3")
_REMEDY = "give the run file, and the preset and speed that it was rendered with"


def is_sound(path: Path) -> bool:
    """Returns whether a file is a sound, by its first bytes, not by its name.

    Raises:
        OSError: If the file cannot be read.
    """
    return path.is_file() and _first_bytes(path).startswith(_SOUNDS)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_WAV))


def read_timeline(path: Path) -> Timeline:
    """Returns the timeline that `gradsound.render` stored in a WAV file.

    Raises:
        ValueError: If the file is not a WAV file, or has no timeline.
        OSError: If the file cannot be read.
    """
    if _first_bytes(path) != _WAV:
        raise ValueError(f"{path}: only WAV files carry their steps; {_REMEDY}")
    data = read_data(path)
    try:
        return Timeline.from_data(json.loads(data or b"null"))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: has no timeline of steps; {_REMEDY}") from error


def compute_timeline(run: Run, preset: Preset, duration: float | None) -> Timeline:
    """Returns the timeline that the sound of a run would have, without rendering it.

    Args:
        run: The run; its steps are iterated once, or twice with a duration.
        preset: How steps sound.
        duration: Longest sound, in seconds; None for no limit.

    Raises:
        ValueError: If the run has no steps, or the duration is too short.
        RunFormatError: If a line of the run is not a step.
    """
    sound = Sound([run], preset, duration)
    for _ in sound.scores():
        pass
    return sound.timeline


def describe_time(timeline: Timeline, time: float) -> str:
    """Returns a sentence with the step and the bands that sound at a time in seconds.

    Raises:
        ValueError: If no step sounds at that time.
    """
    place = timeline.position_at(time)
    if place is None:
        raise ValueError(
            f"no step sounds at {format_time(time)}; {_describe_bounds(timeline)}"
        )
    steps = f"step {place.first:,}"
    if place.last > place.first:
        steps = f"steps {place.first:,} to {place.last:,}, merged"
    sounding = ", ".join(place.tracks) or "the silence after it"
    return f"{format_time(time)} is {steps}: {sounding}"


def describe_step(timeline: Timeline, step: int) -> str:
    """Returns a sentence with the time at which a step begins to sound.

    Raises:
        ValueError: If the step does not sound.
    """
    time = timeline.time_of(step)
    if time is None:
        raise ValueError(f"step {step:,} does not sound; {_describe_bounds(timeline)}")
    return f"step {step:,} is at {format_time(time)} ({time:.2f} s)"


def _describe_bounds(timeline: Timeline) -> str:
    first, last, end = timeline.bounds
    return f"the sound has steps {first:,} to {last:,}, until {format_time(end)}"
