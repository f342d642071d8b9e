"""One run, or several at the same time, step by step: composers whose scores are one.

Shapes: S rows of moments, L layers.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.composer import Composer
from gradsound.music.timeline import Timeline
from gradsound.synth.score import PART, Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.alarms.thresholds import Alarm
    from gradsound.music.captions import Caption
    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset
    from gradsound.synth.voices.program import Program


class Ensemble:
    """Composes one run, or one run for each ear.

    Args:
        runs: The names of the layers of each.
        preset: How they sound.
        names: What to call each in captions, if there are two.
        until: Seconds at which the sound is over at the latest.

    Attributes:
        channels: How many there are.
        timeline: Which steps sound when, of what was composed; of two runs, the first's.
    """

    def __init__(
        self,
        runs: Sequence[Sequence[str]],
        preset: Preset,
        names: Sequence[str] = (),
        until: float = inf,
    ) -> None:
        if len(runs) == 1:
            self._composers = [Composer(runs[0], preset, until=until)]
        else:
            self._composers = [
                Composer(layers, preset, place, name, until)
                for layers, place, name in zip(runs, (-1.0, 1.0), names)
            ]
        self.channels = preset.channels if len(runs) == 1 else 2
        first = self._composers[0]
        self.timeline = Timeline.of(first.described(), first.layout)

    @property
    def captions(self) -> list[Caption]:
        """What there is to read, in order of time."""
        told = [caption for one in self._composers for caption in one.captions]
        return sorted(told, key=lambda caption: caption.time)

    @property
    def duration(self) -> float:
        """Seconds that a row of usual length takes."""
        return max(one.layout.duration for one in self._composers)

    def compose(self, rows: Sequence[Sequence[Moment]], begin: float) -> Score:
        """Returns the score of rows, which have a moment of each run.

        Args:
            rows: At least one.
            begin: Seconds at which the first sounds.
        """
        columns = [[*column] for column in zip(*rows)]
        both = [*zip(self._composers, columns)]
        longer = np.max([one.longer(column) for one, column in both], axis=0)
        durations = self.duration * longer
        # One after the other, as if they came one by one, so that they are rounded alike.
        begins = np.add.accumulate([begin, *durations])[:-1]
        scores = [one.compose(column, begins, durations) for one, column in both]
        self.timeline.add(columns[0], begins, durations)
        return _joined(scores, durations)

    def finish(self, alarms: Sequence[Alarm], begin: float) -> Score:
        """The score of the end; ``alarms`` has one of each run."""
        both = zip(self._composers, alarms)
        scores = [one.finish([alarm], begin) for one, alarm in both]
        lasting = max(float(score.durations[0]) for score in scores)
        return _joined(scores, np.array([lasting]))


def _joined(scores: Sequence[Score], durations: NDArray[np.float64]) -> Score:
    """Scores of the same time, as one."""
    if len(scores) == 1:
        return scores[0]
    voices: tuple[Program, ...] = ()
    notes, slots = [], 0
    for score in scores:
        score.notes["voice"] += len(voices)
        score.notes["slot"] += slots
        voices += score.voices
        slots += PART
        notes.append(score.notes)
    return Score(voices, np.concatenate(notes), durations)
