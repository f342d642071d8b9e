"""The ensemble: composes one run, or two runs in one score, one in each ear.

Shapes: S rows of moments, L layers.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.composer import Composer
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
    """Composes one run in stereo, or two runs with one in each ear.

    Args:
        runs: Names of the layers of each run; one or two runs.
        preset: How the runs sound.
        names: Name of each run in captions, if there are two.
        time_limit: End of the whole sound in seconds.
        follow: As for `Tracks`.

    Attributes:
        channels: Number of channels, 1 or 2.
        timeline: The times of the composed steps; of two runs, the first run's.
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
            self._composers = [
                Composer(layers, preset, pan, name, time_limit)
                for layers, pan, name in zip(runs, (-1.0, 1.0), names)
            ]
        self.channels = preset.channels if len(runs) == 1 else 2
        first = self._composers[0]
        self.timeline = Timeline.for_layout(first.track_descriptions(), first.layout)

    @property
    def captions(self) -> list[Caption]:
        """The captions of all runs in order of time, each once."""
        captions = [caption for one in self._composers for caption in one.captions]
        return sorted(dict.fromkeys(captions), key=lambda caption: caption.time)

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
        return _merge_scores(scores, np.array([duration]))


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
