"""The ensemble: composes one run, or several in one score.

Shapes: S rows of moments, L layers.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.composer import Composer
from gradsound.music.notes import pan_tracks
from gradsound.music.run_layout import lay_out_runs
from gradsound.music.stems import Stems
from gradsound.music.timeline import Timeline
from gradsound.synth.score import SLOTS_PER_RUN, Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Alarm
    from gradsound.music.captions import Caption
    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset
    from gradsound.synth.voices.program import Program


class Ensemble:
    """Composes one run in stereo, two with one in each ear, or more from left to right.

    Args:
        runs: Names of the layers of each run.
        preset: How the runs sound, from `share_preset`.
        names: Name of each run in captions, if there are several.
        time_limit: End of the whole sound in seconds.
        follow: As for `Tracks`.

    Attributes:
        channels: Number of channels, 1 or 2.
        track_names: Name of each track of each run, with that of the run if several.
        timeline: The times of the composed steps, with the tracks of all runs; of two
            runs, which sound at once, those of the first.
    """

    def __init__(
        self,
        runs: Sequence[Sequence[str]],
        preset: Preset,
        names: Sequence[str] = (),
        time_limit: float = inf,
        *,
        follow: bool = False,
    ) -> None:
        if len(runs) == 1:
            self._composers = [
                Composer(runs[0], preset, time_limit=time_limit, follow=follow)
            ]
        else:
            layouts, pans = lay_out_runs(preset, runs), pan_tracks(len(runs), 1.0).tolist()
            self._composers = [
                Composer(layers, preset, pan, name, time_limit, layout=layout)
                for layers, pan, name, layout in zip(runs, pans, names, layouts)
            ]
        self.channels = preset.channels if len(runs) == 1 else 2
        self._names = names if len(runs) > 1 else [""]
        self.track_names = [one.track_descriptions() for one in self._composers]
        if len(runs) > 1:
            self.track_names = [
                [f"{name}, {track}" for track in tracks]
                for name, tracks in zip(names, self.track_names)
            ]
        self.timeline = self._start_timeline()

    def _start_timeline(self) -> Timeline:
        first, *others = self._composers
        tracks, layout = first.track_descriptions(), first.layout
        if len(others) > 1:
            tracks = [track for tracks in self.track_names for track in tracks]
            onsets = [composer.layout.onsets for composer in self._composers]
            layout = replace(layout, onsets=np.concatenate(onsets))
        return Timeline.for_layout(tracks, layout)

    @property
    def stems(self) -> Stems:
        """The stems: each track of each run, then the alarm sounds of all."""
        tracks = [
            [f"{name} {track}".strip() for track, _ in composer.layers_by_track()]
            for name, composer in zip(self._names, self._composers)
        ]
        return Stems(tracks)

    @property
    def captions(self) -> list[Caption]:
        """The captions of all runs in order of time, each once."""
        captions = [caption for one in self._composers for caption in one.captions]
        return sorted(dict.fromkeys(captions), key=lambda caption: caption.time)

    def layers_by_track(self) -> list[list[tuple[str, tuple[int, ...]]]]:
        """Returns `Tracks.layers_by_track` of each run."""
        return [composer.layers_by_track() for composer in self._composers]

    @property
    def duration(self) -> float:
        """Duration of a row of usual duration, in seconds."""
        return max(composer.layout.duration for composer in self._composers)

    def compose(self, rows: Sequence[Sequence[Moment]], begin: float) -> Score:
        """Returns the score of successive rows.

        Args:
            rows: One or more, each with a moment of every run.
            begin: Begin of the first row in seconds.
        """
        columns = [[*column] for column in zip(*rows)]
        pairs = [*zip(self._composers, columns)]
        factors = [composer.duration_factors(column) for composer, column in pairs]
        durations = self.duration * np.max(factors, axis=0)
        # Added up row by row, as if each row came alone: another order of additions would
        # round to other frames.
        begins = np.add.accumulate([begin, *durations])[:-1]
        scores = [composer.compose(one, begins, durations) for composer, one in pairs]
        self.timeline.add(columns[0], begins, durations)
        return _merge_scores(scores, durations)

    def finish(self, alarms: Sequence[Alarm], begin: float) -> Score:
        """Returns the score of the end.

        Args:
            alarms: The end alarm of each run.
            begin: Time in seconds.
        """
        pairs = zip(self._composers, alarms)
        scores = [composer.finish([alarm], begin) for composer, alarm in pairs]
        duration = max(float(score.durations[0]) for score in scores)
        score = _merge_scores(scores, np.array([duration]))
        # All runs end with the same sound, which together is as loud as that of two.
        is_alarm = score.notes["track"] < 0
        score.notes["level"][is_alarm] *= min(1.0, 2 / len(scores))
        return score


def _merge_scores(scores: Sequence[Score], durations: NDArray[np.float64]) -> Score:
    """Returns simultaneous scores as one, with the voices and slots of each run apart."""
    if len(scores) == 1:
        return scores[0]
    voices: tuple[Program, ...] = ()
    notes, slots = [], 0
    for score in scores:
        score.notes["voice"] += len(voices)
        score.notes["slot"] += slots
        voices += score.voices
        slots += SLOTS_PER_RUN
        notes.append(score.notes)
    return Score(voices, np.concatenate(notes), durations)
