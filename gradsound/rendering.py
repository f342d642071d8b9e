"""From a run to its sound: steps -> scores -> samples -> file.

Shapes: N frames, C channels.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from gradsound.music.mapping import compose, duration
from gradsound.music.preset import at_speed, find_preset
from gradsound.music.usual import Usual
from gradsound.out.sound_file import check_path, write_sound
from gradsound.run_file import run_for
from gradsound.synth.mixer import Mixer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.music.preset import Preset
    from gradsound.run import Run
    from gradsound.synth.mixer import Samples
    from gradsound.synth.voices import Voice

SAMPLE_RATE = 44_100  # Hz, unless another is asked for
SAMPLE_RATES = (16_000, 192_000)  # Hz; below, the highest notes would not fit
_BLOCK = 1 << 21  # frames; rendering less at a time is slower, more takes memory


def render(
    run: Run | str | Path,
    path: str | Path,
    *,
    preset: str | Preset = "notes",
    voice: Voice | None = None,
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
        voice: What sounds instead of the preset's voice: a name that ``gradsound voices``
            lists, or a function or module of your own (docs/voices.md).
        speed: How many times faster than the preset says; pitches stay.
        sample_rate: Frames a second, 16,000 to 192,000 Hz.
        subtype: The samples' format by libsndfile's name: PCM_16 (default), PCM_24 or
            FLOAT in WAV, PCM_16 or PCM_24 in FLAC, VORBIS in Ogg.

    Raises:
        ValueError: If an argument is outside its range, or the run has no steps.
        VoiceError: If the voice cannot be compiled; the message has the line.
        RunFormatError: If the run file is not one.
        OSError: If a file cannot be read or written.
    """
    path = Path(path)
    run = run_for(run, path, "write its sound")
    check_path(path, subtype)
    sounding = at_speed(find_preset(preset, voice), speed)
    blocks = _ahead(sound(run, sounding, sample_rate))
    write_sound(path, blocks, sample_rate, subtype)


def sound(run: Run, preset: Preset, sample_rate: int) -> Iterator[Samples]:
    """Yields the samples of a run in blocks of shape (N, C), many steps at a time.

    Raises:
        ValueError: If the sample rate is outside its range, or the run has no steps.
    """
    low, high = SAMPLE_RATES
    if not low <= sample_rate <= high:
        raise ValueError(f"sample rate must be {low} to {high} Hz, got {sample_rate}")
    mixer, usual = Mixer(sample_rate, preset.channels), Usual()
    step = duration(len(run.header.layers), preset) * sample_rate  # frames
    together = ceil(_BLOCK / step)
    steps, empty = iter(run.steps), True
    while waiting := list(islice(steps, together)):
        empty = False
        mixer.add(compose(waiting, preset, usual))
        yield mixer.read(mixer.left)
    if empty:
        raise ValueError(f"{run.name}: has no steps, so there is nothing to hear")


def _ahead(blocks: Iterator[Samples]) -> Iterator[Samples]:
    """Has each block made in another thread, while the one before it is written."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = thread.submit(next, blocks, None)
            yield block
