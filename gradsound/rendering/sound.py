"""From runs to sound files: steps -> moments -> scores -> samples.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from itertools import islice, repeat
from math import ceil, inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.run_detector import RunDetector
from gradsound.music.captions import markers
from gradsound.music.ensemble import Ensemble
from gradsound.music.fit_duration import fitting
from gradsound.music.moments import Moment, merge_moments, nothing
from gradsound.music.presets import at_speed, find_preset
from gradsound.open_run import run_for
from gradsound.output.formats import check_path
from gradsound.output.sound_file import write_sound
from gradsound.output.wav_markers import add_markers
from gradsound.output.webvtt import ENDING, write_captions
from gradsound.runs.compare import aligned, ratios
from gradsound.synth.mixer import SAMPLE_RATE, SAMPLE_RATES, Mixer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradsound.music.captions import Caption
    from gradsound.music.presets import Preset
    from gradsound.music.timeline import Timeline
    from gradsound.runs.model import Run, Step
    from gradsound.synth.mixer import Samples
    from gradsound.synth.score import Score
    from gradsound.synth.voices.builtin import Voice

_BLOCK = 1 << 21  # frames; rendering less at a time is slower, more takes memory
_EARS = 2


def render(
    run: Run | str | Path,
    path: str | Path,
    *,
    other: Run | str | Path | None = None,
    difference: bool = False,
    preset: str | Preset = "notes",
    voice: Voice | None = None,
    speed: float = 1.0,
    duration: float | None = None,
    sample_rate: int = SAMPLE_RATE,
    subtype: str | None = None,
) -> None:
    """Writes the sound of a run to a file; the same run gives the same bytes.

    Beside it, ``run.vtt`` has a line of text for every alarm and every minute. In a WAV
    file alarms and epochs are markers.

    Args:
        run: A run, or the path of a run file.
        path: Where to write, ending in .wav, .flac or .ogg; an existing file is replaced
            once the new one is whole. Ending in .vtt, the text alone.
        other: Another run to compare with, step by step: ``run`` is in the left ear, this
            one in the right.
        difference: Whether the ratio of the norms of the two is heard instead, ``other`` to
            ``run``: where nothing differs, all are as norm 1.
        preset: How steps sound: the name of one of ``gradsound.PRESETS``, or a preset of
            your own.
        voice: What sounds instead of the preset's voices: a name that ``gradsound voices``
            lists, or a function or module of your own (docs/voices.md).
        speed: How many times faster than the preset says; pitches stay.
        duration: Seconds that the sound takes at most: steps are played faster, and where
            that is not enough, several sound as one that has each layer's greatest norm.
            Alarms for which no time is left are lines of text. The run is read twice.
        sample_rate: Frames a second, 16,000 to 192,000 Hz.
        subtype: The samples' format by libsndfile's name: PCM_16 (default), PCM_24 or
            FLOAT in WAV, PCM_16 or PCM_24 in FLAC, VORBIS in Ogg.

    Raises:
        ValueError: If an argument is outside its range, or a run has no steps.
        VoiceError: If the voice cannot be compiled; the message has the line.
        RunFormatError: If a run file is not one.
        OSError: If a file cannot be read or written.
        ImportError: If soundfile cannot be loaded; the message says what to do.
    """
    path = Path(path)
    outputs, both = (path, path.with_suffix(ENDING)), (run, other)
    runs = [run_for(one, outputs, "write its sound") for one in both if one is not None]
    if path.suffix.lower() != ENDING:
        check_path(path, subtype)
    sounding = at_speed(find_preset(preset, voice), speed)
    if difference:
        if len(runs) < _EARS:
            raise ValueError("a difference needs two runs, got one")
        runs = [ratios(*runs)]
    Sound(runs, sounding, duration, sample_rate).write(path, subtype)


class Sound:
    """The sound of a run, or of two at once, made as their steps are read.

    Args:
        runs: One, or one for each ear; their steps are read once.
        preset: How they sound, if there is time enough.
        duration: Seconds that it lasts at most, if not as long as it likes; to know how
            many steps there are, they are then read once more.
        sample_rate: Frames a second, in Hz.

    Attributes:
        sample_rate: As given.

    Raises:
        ValueError: If the sample rate is outside its range, or the duration too short.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        preset: Preset,
        duration: float | None = None,
        sample_rate: int = SAMPLE_RATE,
    ) -> None:
        low, high = SAMPLE_RATES
        if not low <= sample_rate <= high:
            raise ValueError(f"sample rate must be {low} to {high} Hz, got {sample_rate}")
        self._runs, self._together, self.sample_rate = runs, 1, sample_rate
        layers = [run.header.layers for run in runs]
        if duration is not None:
            steps = sum(1 for _ in aligned(runs))
            preset, self._together = fitting(preset, layers, steps, duration)
        names = [Path(run.name).name for run in runs]
        if len({*names}) < len(names):
            names = [run.name for run in runs]
        until = inf if duration is None else duration
        self._ensemble = Ensemble(layers, preset, names, until)
        self._watches = [RunDetector(names, preset.thresholds) for names in layers]

    @property
    def captions(self) -> list[Caption]:
        """What there is to read of what was made so far, in order."""
        return self._ensemble.captions

    @property
    def timeline(self) -> Timeline:
        """Which steps sound when, of what was made so far."""
        return self._ensemble.timeline

    def write(self, path: Path, subtype: str | None = None) -> None:
        """Writes the sound and its captions, or, to a .vtt file, these alone.

        Raises:
            As `render`.
        """
        if path.suffix.lower() == ENDING:
            for _ in self.scores():
                pass
        else:
            mark = self._mark if path.suffix.lower() == ".wav" else None
            write_sound(path, _ahead(self.blocks()), self.sample_rate, subtype, mark)
        write_captions(path, self.captions)

    def blocks(self) -> Iterator[Samples]:
        """Yields the samples in blocks of shape (N, C), many steps at a time.

        Raises:
            As `scores`.
        """
        mixer = Mixer(self.sample_rate, self._ensemble.channels)
        for score in self.scores():
            mixer.add(score)
            if mixer.left:
                yield mixer.read(mixer.left)

    def scores(self) -> Iterator[Score]:
        """Yields scores that follow each other, each of many steps; then that of the end.

        Raises:
            ValueError: If a run has no steps.
            RunFormatError: If a line of a run is not a step.
        """
        frames = self._ensemble.duration * self.sample_rate  # of a step
        rows, end = aligned(self._runs), 0.0
        while some := [*islice(rows, self._together * ceil(_BLOCK / frames))]:
            numbers, steps = zip(*some)
            columns = map(self._moments, self._watches, zip(*steps), repeat(numbers))
            score = self._ensemble.compose([*zip(*columns)], end)
            yield score
            end = float(np.add.accumulate([end, *score.durations])[-1])  # as mixers do
        for run, watch in zip(self._runs, self._watches):
            if not watch.steps:
                raise ValueError(f"{run.name}: has no steps, so there is nothing to hear")
        yield self._ensemble.finish([watch.end() for watch in self._watches], end)

    def _moments(
        self, watch: RunDetector, steps: Sequence[Step | None], numbers: Sequence[int]
    ) -> list[Moment]:
        """What there is to be heard of the next steps of a run, several as one."""
        alarms = iter(watch.look([step for step in steps if step is not None]))
        moments = [
            nothing(number, watch.layers)
            if step is None
            else Moment(number, step, next(alarms))
            for step, number in zip(steps, numbers)
        ]
        if self._together == 1:
            return moments
        starts = range(0, len(moments), self._together)
        return [reduce(merge_moments, moments[k : k + self._together]) for k in starts]

    def _mark(self, path: Path) -> None:
        data = json.dumps(self.timeline.to_data()).encode()
        add_markers(path, markers(self.captions, self.sample_rate), data)


def _ahead(blocks: Iterator[Samples]) -> Iterator[Samples]:
    """Has each block made in another thread, while the one before it is written."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = thread.submit(next, blocks, None)
            yield block
