"""The stems of a sound: the part of a score that each track plays, and the alarm sounds."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.score import SLOTS_PER_RUN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradsound.synth.score import Score


class Stems:
    """Splits scores into stems: one for each track of each run, one for alarms of all runs.

    Args:
        tracks: Names of the tracks of each run.

    Attributes:
        names: Names of the stems.

    Example:
        >>> Stems([["fc1", "fc2"]]).names
        ['fc1', 'fc2', 'alarms']
    """

    def __init__(self, tracks: Sequence[Sequence[str]]) -> None:
        self.names = [*chain.from_iterable(tracks), "alarms"]
        self._firsts = np.cumsum([0, *map(len, tracks)])  # stems of the runs

    def split(self, score: Score) -> list[Score]:
        """Returns the part of a score that each stem plays."""
        tracks, runs = score.notes["track"], score.notes["slot"] // SLOTS_PER_RUN
        stems = np.where(tracks < 0, self._firsts[-1], self._firsts[runs] + tracks)
        return [
            replace(score, notes=score.notes[stems == stem])
            for stem in range(len(self.names))
        ]
