"""The sound of runs: steps -> moments -> scores -> samples.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from math import ceil, inf
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.run_detector import RunDetector
from gradsound.music.captions import chapters, markers
from gradsound.music.ensemble import Ensemble
from gradsound.music.fit_duration import fit_duration, limit_notes
from gradsound.music.moments import Moment, merge_groups
from gradsound.music.rank_sound import rank_preset
from gradsound.music.run_layout import share_preset
from gradsound.output.chapters import add_chapters
from gradsound.output.sound_file import write_sound
from gradsound.output.wav_markers import add_markers
from gradsound.output.webvtt import write_captions
from gradsound.rendering.first_reading import read_again, read_first
from gradsound.rendering.kept_run import keep_run
from gradsound.runs.compare import AlignedSteps, align_blocks
from gradsound.runs.model import repeatable
from gradsound.runs.run_names import short_names
from gradsound.synth.mixer import Mixer
from gradsound.synth.sample_rate import SAMPLE_RATE, check_sample_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gradsound.alarms.thresholds import Alarm
    from gradsound.music.captions import Caption
    from gradsound.music.presets import Preset
    from gradsound.music.timeline import Timeline
    from gradsound.runs.model import Run
    from gradsound.synth.mixer import Samples
    from gradsound.synth.score import Score

_STEPS = 1024  # read at once, about
_SCORE_FRAMES = 1 << 21  # of a score; shorter ones take longer to compose
_FRAMES = 1 << 17  # of a block of samples; more of them leave the processor's cache


class Sound:
    """The sound of one run, or of several; it renders while it reads steps.

    The constructor iterates the steps to count them and to fit the anchor of the pitches.
    If the steps can be iterated only once, because the run still grows, the anchor follows
    the norms.

    Args:
        runs: One run, or several. Their steps stay in memory if these take 64 MB at most;
            those of a larger run are iterated again to render them.
        preset: How steps sound, unless the duration asks for more speed.
        duration: Longest sound, in seconds; None for no limit.
        sample_rate: Frames a second, in Hz.
        notes_max: How many notes the sound may have, about. A run with more becomes a
            time-lapse, unless there is a duration.

    Attributes:
        runs: The runs.
        names: Short name of each run.
        preset: How steps sound.
        duration: Longest sound, in seconds; None for no limit.
        steps_per_moment: How many steps sound as one.
        sample_rate: Frames a second, in Hz.
        title: The names of the runs.

    Raises:
        ValueError: If the sample rate is outside its range, or the duration too short.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        preset: Preset,
        duration: float | None = None,
        sample_rate: int = SAMPLE_RATE,
        notes_max: int | None = None,
    ) -> None:
        check_sample_rate(sample_rate)
        layers = [run.header.layers for run in runs]
        preset = rank_preset(share_preset(preset, len(runs)), layers)
        unlimited = duration is None and notes_max is None
        follow = len(runs) == 1 and unlimited and isinstance(runs[0].steps, Iterator)
        self.steps_per_moment, self.sample_rate = 1, sample_rate
        self._has_read = not follow
        if not follow:
            runs = [keep_run(repeatable(run)) for run in runs]
            preset, steps = read_first(runs, preset)
            if duration is None and notes_max is not None:
                duration = limit_notes(preset, layers, steps, notes_max)
            if duration is not None:
                fitted = fit_duration(preset, layers, steps, duration)
                preset, self.steps_per_moment = fitted
        self.runs = runs
        self.names, self.preset, self.duration = short_names(runs), preset, duration
        self.title = ", ".join(self.names)
        until = inf if duration is None else duration
        self._ensemble = Ensemble(layers, preset, self.names, until, follow=follow)
        self._detectors = [RunDetector(run.header, preset.thresholds) for run in runs]

    @property
    def captions(self) -> list[Caption]:
        """The captions of the sound rendered so far, in order of time."""
        return self._ensemble.captions

    @property
    def track_names(self) -> list[list[str]]:
        """The name of each track of each run; with that of its run if there are several."""
        return self._ensemble.track_names

    @property
    def channels(self) -> int:
        """1, or 2 for left and right."""
        return self._ensemble.channels

    def layers_by_track(self) -> list[list[tuple[str, tuple[int, ...]]]]:
        """Returns `Ensemble.layers_by_track`."""
        return self._ensemble.layers_by_track()

    @property
    def timeline(self) -> Timeline:
        """The times of the steps rendered so far."""
        return self._ensemble.timeline

    def write(self, path: Path, subtype: str | None = None) -> None:
        """Writes the sound to a sound file, and its captions next to it.

        Raises:
            ValueError, RunFormatError, OSError, ImportError: As `gradsound.render`.
        """
        finish = self.finisher(path)
        write_sound(path, self.blocks(), self.sample_rate, subtype, finish)
        write_captions(path, self.captions)

    def finisher(self, path: Path) -> Callable[[Path, int], None]:
        """Returns what adds the markers or chapters to a finished file of this name."""
        is_wav = path.suffix.lower() == ".wav"
        return self._add_markers if is_wav else self._add_chapters

    def compose(self) -> list[Caption]:
        """Composes all scores without their samples, and returns the captions.

        Raises:
            ValueError, RunFormatError: As `scores`.
        """
        for _ in self.scores():
            pass
        return self.captions

    def blocks(self) -> Iterator[Samples]:
        """Yields the samples in blocks of shape (N, C), each of many steps.

        Raises:
            ValueError, RunFormatError: As `scores`.
        """
        for (block,) in self._mix(1, lambda score: [score]):
            yield block

    @property
    def stems(self) -> list[str]:
        """Names of the stems."""
        return self._ensemble.stems.names

    def blocks_with_stems(self) -> Iterator[list[Samples]]:
        """Yields blocks of shape (N, C): of the whole sound, then of each stem.

        Raises:
            ValueError, RunFormatError: As `scores`.
        """
        stems = self._ensemble.stems
        count = 1 + len(stems.names)
        return self._mix(count, lambda score: [score, *stems.split(score)])

    def _mix(
        self, count: int, split: Callable[[Score], list[Score]]
    ) -> Iterator[list[Samples]]:
        """Yields blocks of so many sounds, among which each score is split."""
        mixers = [Mixer(self.sample_rate, self._ensemble.channels) for _ in range(count)]
        for score in self.scores():
            for mixer, part in zip(mixers, split(score)):
                mixer.add(part)
            while left := mixers[0].frames_left:
                yield [mixer.read(min(left, _FRAMES)) for mixer in mixers]

    def scores(self) -> Iterator[Score]:
        """Yields consecutive scores of many steps each, then the score of the end.

        Raises:
            ValueError: If a run has no steps.
            RunFormatError: If a line of a run is not a step.
        """
        return (score for _, score in self.passages())

    def passages(self) -> Iterator[tuple[list[tuple[Moment, ...]], Score]]:
        """Yields the scores with the rows that they sound; the last one has no rows.

        A row has a moment of each run. Raises the errors of `scores`.
        """
        frames = self._ensemble.duration * self.sample_rate  # of a moment
        rows, end = self._rows(), 0.0
        while together := [*islice(rows, ceil(_SCORE_FRAMES / frames))]:
            score = self._ensemble.compose(together, end)
            yield together, score
            # The mixer sums in this order; another one would round differently.
            end = float(np.add.accumulate([end, *score.durations])[-1])
        for run, detector in zip(self.runs, self._detectors):
            if not detector.step_count:
                raise ValueError(f"{run.name}: has no steps, so there is nothing to hear")
        alarms = [detector.end_alarm() for detector in self._detectors]
        yield [], self._ensemble.finish(alarms, end)

    def _rows(self) -> Iterator[tuple[Moment, ...]]:
        """Yields successive moments of all runs, in bounded memory."""
        merged = self.steps_per_moment
        blocks = align_blocks(self.runs, merged * ceil(_STEPS / merged))
        for aligned in read_again(blocks) if self._has_read else blocks:
            yield from zip(*map(self._moments, self._detectors, aligned))

    def _moments(self, detector: RunDetector, aligned: AlignedSteps) -> list[Moment]:
        """Returns the moments of a run's next steps, each merged from several if needed."""
        steps, present = aligned.steps, aligned.present
        rows = np.flatnonzero(present).tolist()
        alarms: list[tuple[Alarm, ...]] = [()] * len(steps)
        found = detector.detect(steps if present.all() else steps.take(present))
        for row, of_step in zip(rows, found):
            alarms[row] = of_step
        begins = np.arange(0, len(steps), self.steps_per_moment)
        return merge_groups(steps, alarms, begins, present)

    def _add_chapters(self, path: Path, frames: int) -> None:
        add_chapters(path, chapters(self.captions), frames / self.sample_rate)

    def _add_markers(self, path: Path, _: int) -> None:
        data = json.dumps(self.timeline.to_data()).encode()
        add_markers(path, markers(self.captions, self.sample_rate), data)
