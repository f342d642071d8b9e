"""From a run to its sound: steps -> scores -> samples -> file.

Shapes: N frames, C channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.music.mapping import compose
from gradsound.music.preset import at_speed, find_preset
from gradsound.out.sound_file import check_path, write_sound
from gradsound.run_file import run_for
from gradsound.synth import render as synth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.music.preset import Preset
    from gradsound.run import Run

SAMPLE_RATE = 44_100  # Hz, unless another is asked for
SAMPLE_RATES = (16_000, 192_000)  # Hz; below, the highest notes would not fit
_BLOCK = 10.0  # seconds; rendering less at a time is slower, more takes memory


def render(
    run: Run | str | Path,
    path: str | Path,
    *,
    preset: str | Preset = "notes",
    speed: float = 1.0,
    sample_rate: int = SAMPLE_RATE,
    subtype: str | None = None,
) -> None:
    """Writes the sound of a run to a file; the same run gives the same bytes.

    Args:
        run: A run, or the path of a run file.
        path: Where to write, ending in .wav, .flac or .ogg; an existing file is replaced
            once the new one is whole.
        preset: How steps sound: the name of one of ``gradsound.PRESETS``, or a preset of
            your own.
        speed: How many times faster than the preset says; pitches stay.
        sample_rate: Frames a second, 16,000 to 192,000 Hz.
        subtype: The samples' format by libsndfile's name: PCM_16 (default), PCM_24 or
            FLOAT in WAV, PCM_16 or PCM_24 in FLAC, VORBIS in Ogg.

    Raises:
        ValueError: If an argument is outside its range, or the run has no steps.
        RunFormatError: If the run file is not one.
        OSError: If a file cannot be read or written.
    """
    path = Path(path)
    run = run_for(run, path, "write its sound")
    check_path(path, subtype)
    write_sound(path, sound(run, preset, speed, sample_rate), sample_rate, subtype)


def sound(
    run: Run, preset: str | Preset, speed: float, sample_rate: int
) -> Iterator[synth.Samples]:
    """Yields the samples of a run in blocks of shape (N, C), many steps at a time.

    Raises:
        ValueError: As `render`, at the first block.
    """
    low, high = SAMPLE_RATES
    if not low <= sample_rate <= high:
        raise ValueError(f"sample rate must be {low} to {high} Hz, got {sample_rate}")
    preset = at_speed(find_preset(preset), speed)
    start, end, waiting = 0.0, 0.0, []  # seconds; scores
    for step in run.steps:
        waiting.append(compose(step, preset))
        end += waiting[-1].duration  # one by one, so that it is rounded as the synth does
        if end - start >= _BLOCK:
            yield synth.render(waiting, sample_rate, start)
            start, waiting = end, []
    if waiting:
        yield synth.render(waiting, sample_rate, start)
    elif not start:
        raise ValueError(f"{run.name}: has no steps, so there is nothing to hear")
