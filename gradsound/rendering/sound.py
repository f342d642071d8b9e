"""Renders finished runs to a sound file: steps -> moments -> scores -> samples.

Shapes: N frames, C channels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from math import ceil, inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradsound.alarms.run_detector import RunDetector
from gradsound.music.captions import markers
from gradsound.music.ensemble import Ensemble
from gradsound.music.fit_duration import fit_duration
from gradsound.music.moments import Moment, merge_groups
from gradsound.music.presets import at_speed, find_preset
from gradsound.music.rank_sound import rank_preset
from gradsound.music.run_layout import share_preset
from gradsound.open_run import open_runs_for_outputs
from gradsound.output.formats import check_path
from gradsound.output.sound_file import write_sound
from gradsound.output.wav_markers import add_markers
from gradsound.output.webvtt import VTT_SUFFIX, write_captions
from gradsound.rendering.first_reading import read_again, read_first
from gradsound.rendering.kept_run import keep_run
from gradsound.runs.compare import AlignedSteps, align_blocks, divide_norms
from gradsound.runs.model import repeatable
from gradsound.runs.run_names import short_names
from gradsound.synth.mixer import Mixer
from gradsound.synth.sample_rate import SAMPLE_RATE, check_sample_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.alarms.thresholds import Alarm
    from gradsound.music.captions import Caption
    from gradsound.music.presets import Preset
    from gradsound.music.timeline import Timeline
    from gradsound.runs.model import Run
    from gradsound.synth.mixer import Samples
    from gradsound.synth.score import Score
    from gradsound.synth.voices.builtin import Voice

_STEPS = 1024  # read at once, about
_SCORE_FRAMES = 1 << 21  # of a score; shorter ones take longer to compose
_FRAMES = 1 << 17  # of a block of samples; more of them leave the processor's cache


def render(
    run: Run | str | Path,
    path: str | Path,
    *,
    other: Run | str | Path | Sequence[Run | str | Path] | None = None,
    difference: bool = False,
    preset: str | Preset = "notes",
    voice: Voice | None = None,
    speed: float = 1.0,
    duration: float | None = None,
    sample_rate: int = SAMPLE_RATE,
    subtype: str | None = None,
) -> None:
    r"""Writes the sound of a run to a file; the same run gives the same bytes.

    A WebVTT file next to the sound, ``run.vtt`` for ``run.wav``, gets a caption for every
    alarm, every epoch and every minute, and one if the pitches move by decades of norm to
    where the run lies. A WAV file also gets markers, except for minutes.

    Args:
        run: A run, or the path of a run file.
        path: The file to write, ending in .wav, .flac or .ogg, or in .vtt for the captions
            alone. The complete new file replaces an existing one.
        other: Another run to compare step by step: ``run`` sounds in the left ear, this
            one in the right. Or several, up to seven: at each step, the norms of all
            layers of each run sound as one note, in turn from left to right.
        difference: Whether to sound the ratio of the norms, ``other`` to ``run``; equal
            norms sound as norm 1.
        preset: How steps sound: the name of one of ``gradsound.PRESETS``, or a preset of
            your own.
        voice: The voice of all bands, in place of the preset's voices: a name that
            ``gradsound voices`` lists, or a function or module of your own
            (docs/voices.md).
        speed: How many times faster than the preset steps sound; pitches stay.
        duration: Longest sound, in seconds, 5 or more. To fit it, steps sound faster; if
            that is not enough, several steps are merged into one with each layer's largest
            norm. An alarm without time left is a caption only.
        sample_rate: Frames a second, 16,000 to 192,000 Hz.
        subtype: The samples' format by libsndfile's name: PCM_16 (default), PCM_24 or
            FLOAT in WAV, PCM_16 or PCM_24 in FLAC, VORBIS in Ogg.

    Raises:
        ValueError: If an argument is outside its range, or a run has no steps.
        VoiceError: If the voice cannot be compiled; the message has the line.
        RunFormatError: If a run file is not a run.
        OSError: If a file cannot be read or written.
        ImportError: If soundfile cannot be loaded; the message has the remedy.

    Example:
        >>> from pathlib import Path
        >>> import gradsound
        >>> _ = Path("metrics.csv").write_text("step,grad_norm/fc\n0,0.5\n1,0.25\n")
        >>> gradsound.render("metrics.csv", "run.wav")
        >>> print(Path("run.vtt").read_text().splitlines()[-1])
        step 1: end of the run: 2 steps
    """
    path = Path(path)
    outputs = path, path.with_suffix(VTT_SUFFIX)
    runs = open_runs_for_outputs(run, other, outputs, "write its sound")
    if path.suffix.lower() != VTT_SUFFIX:
        check_path(path, subtype)
    preset = at_speed(find_preset(preset, voice), speed)
    if difference:
        if len(runs) != 2:
            raise ValueError(f"a difference needs two runs, got {len(runs)}")
        runs = [divide_norms(*map(repeatable, runs))]
    Sound(runs, preset, duration, sample_rate).write(path, subtype)


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

    Attributes:
        sample_rate: Frames a second, in Hz.

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
        check_sample_rate(sample_rate)
        layers = [run.header.layers for run in runs]
        preset = rank_preset(share_preset(preset, len(runs)), layers)
        follow = len(runs) == 1 and duration is None and isinstance(runs[0].steps, Iterator)
        self._steps_per_moment, self.sample_rate = 1, sample_rate
        self._has_read = not follow
        if not follow:
            runs = [keep_run(repeatable(run)) for run in runs]
            preset, steps = read_first(runs, preset)
            if duration is not None:
                fitted = fit_duration(preset, layers, steps, duration)
                preset, self._steps_per_moment = fitted
        self._runs = runs
        names = short_names(runs)
        until = inf if duration is None else duration
        self._ensemble = Ensemble(layers, preset, names, until, follow=follow)
        self._detectors = [RunDetector(run.header, preset.thresholds) for run in runs]

    @property
    def captions(self) -> list[Caption]:
        """The captions of the sound rendered so far, in order of time."""
        return self._ensemble.captions

    @property
    def timeline(self) -> Timeline:
        """The times of the steps rendered so far."""
        return self._ensemble.timeline

    def write(self, path: Path, subtype: str | None = None) -> None:
        """Writes the sound and its captions; to a .vtt file, the captions alone.

        Raises:
            ValueError, RunFormatError, OSError, ImportError: As `render`.
        """
        if path.suffix.lower() == VTT_SUFFIX:
            for _ in self.scores():
                pass
        else:
            finish = self._add_markers if path.suffix.lower() == ".wav" else None
            write_sound(path, self.blocks(), self.sample_rate, subtype, finish)
        write_captions(path, self.captions)

    def blocks(self) -> Iterator[Samples]:
        """Yields the samples in blocks of shape (N, C), each of many steps.

        Raises:
            ValueError, RunFormatError: As `scores`.
        """
        mixer = Mixer(self.sample_rate, self._ensemble.channels)
        for score in self.scores():
            mixer.add(score)
            while mixer.frames_left:
                yield mixer.read(min(mixer.frames_left, _FRAMES))

    def scores(self) -> Iterator[Score]:
        """Yields consecutive scores of many steps each, then the score of the end.

        Raises:
            ValueError: If a run has no steps.
            RunFormatError: If a line of a run is not a step.
        """
        frames = self._ensemble.duration * self.sample_rate  # of a moment
        rows, end = self._rows(), 0.0
        while together := [*islice(rows, ceil(_SCORE_FRAMES / frames))]:
            score = self._ensemble.compose(together, end)
            yield score
            # The mixer sums in this order; another one would round differently.
            end = float(np.add.accumulate([end, *score.durations])[-1])
        for run, detector in zip(self._runs, self._detectors):
            if not detector.step_count:
                raise ValueError(f"{run.name}: has no steps, so there is nothing to hear")
        alarms = [detector.end_alarm() for detector in self._detectors]
        yield self._ensemble.finish(alarms, end)

    def _rows(self) -> Iterator[tuple[Moment, ...]]:
        """Yields successive moments of all runs, in bounded memory."""
        merged = self._steps_per_moment
        blocks = align_blocks(self._runs, merged * ceil(_STEPS / merged))
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
        begins = np.arange(0, len(steps), self._steps_per_moment)
        return merge_groups(steps, alarms, begins, present)

    def _add_markers(self, path: Path) -> None:
        data = json.dumps(self.timeline.to_data()).encode()
        add_markers(path, markers(self.captions, self.sample_rate), data)
