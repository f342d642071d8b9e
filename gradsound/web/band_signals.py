"""The last signals of each band of a run, as a page shows them.

Shapes: B bands.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.articulation import band_medians
from gradsound.runs.signals import hold_last
from gradsound.runs.step_block import make_block
from gradsound.synth.sample_rate import SAMPLE_RATE
from gradsound.web.messages import encode_signals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.layer_groups import Band
    from gradsound.music.moments import Moment
    from gradsound.runs.step_block import StepBlock

_SECONDS = 0.25  # of sound between two messages, at least; nobody reads faster


class BandSignals:
    """Keeps the last number of each layer, and tells pages the medians of bands.

    Args:
        bands: The bands of the run.
    """

    def __init__(self, bands: Sequence[Band]) -> None:
        self._bands = bands
        self._last: dict[str, NDArray[np.float32]] = {}  # of each layer, shape (L,)
        self._step, self._sent = -1, -np.inf  # the last step; seconds

    def add(self, steps: StepBlock) -> None:
        """Adds successive steps."""
        for name, numbers in steps.signals.items():
            self._last[name] = hold_last(numbers, self._last.get(name))[-1]
        if len(steps):
            self._step = int(steps.numbers[-1])

    def add_moments(self, moments: Sequence[Moment]) -> None:
        """Adds successive moments, one or more."""
        if steps := [moment.step for moment in moments if moment.step.signals]:
            self.add(make_block(steps))
        self._step = moments[-1].step.number

    def due(self, onset: float) -> str | None:
        """Returns the message for a step that sounds at a time in seconds.

        None if the run has no signals, or if the last message sounds at nearly that time.
        """
        return self.message(onset) if self.are_due(onset) else None

    def are_due(self, onset: float) -> bool:
        """Returns whether there are signals, and a page shows them at a time in seconds.

        A page does not, if it shows others at nearly that time.
        """
        if not self._last or onset < self._sent + _SECONDS:
            return False
        self._sent = onset
        return True

    def medians(self) -> dict[str, NDArray[np.float32]]:
        """Returns the last numbers of all bands by signal, each of shape (B,)."""
        return {n: band_medians(own[None], self._bands)[0] for n, own in self._last.items()}

    def message(self, onset: float = 0.0) -> str | None:
        """Returns the message with the last numbers; None if the run has no signals."""
        if not self._last:
            return None
        medians = self.medians()
        rows = [
            {"name": band.name, **{n: _known(own[k]) for n, own in medians.items()}}
            for k, band in enumerate(self._bands)
        ]
        return encode_signals(round(onset * SAMPLE_RATE), self._step, rows)


def _known(number: np.float32) -> float | None:
    return float(str(number)) if isfinite(number) else None
