"""The signals of a sound's run for the page that plays it.

Shapes: B bands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradsound.rendering.packed_arrays import differences
from gradsound.web.band_signals import BandSignals
from gradsound.web.layer_places import page_bands

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.music.moments import Moment
    from gradsound.rendering.sound import Sound


class RecordedSignals:
    """Keeps the medians of bands, four times a second of sound at most.

    Of several runs, it keeps none: a table has the bands of one.

    Args:
        sound: The sound.
    """

    def __init__(self, sound: Sound) -> None:
        self._several, self._sample_rate = len(sound.runs) > 1, sound.sample_rate
        self._bands = page_bands(sound.runs[0].header.layers, sound.preset)
        self._signals = BandSignals(self._bands)
        self._medians: list[dict[str, NDArray[np.float32]]] = []
        self._frames: list[int] = []
        self._steps: list[int] = []

    def add(self, moment: Moment, onset: float) -> None:
        """Adds the next moment, which begins at a time in seconds."""
        if self._several:
            return
        self._signals.add_moments([moment])
        if self._signals.are_due(onset):
            self._medians.append(self._signals.medians())
            self._frames.append(round(onset * self._sample_rate))
            self._steps.append(moment.step.number)

    def facts(self) -> dict[str, Any]:
        """Returns the names of signals and bands as data for the page."""
        return {"names": self._names(), "bands": [band.name for band in self._bands]}

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Returns the arrays of a recording, by name."""
        names, unknown = self._names(), np.full(len(self._bands), np.nan)
        numbers = [[one.get(name, unknown) for name in names] for one in self._medians]
        shape = len(self._medians), len(names), len(self._bands)
        return {
            "signal_frames": differences(np.array(self._frames, np.int64)),
            "signal_steps": differences(np.array(self._steps, np.int64)),
            "signal_numbers": np.array(numbers, "<f4").reshape(shape).swapaxes(1, 2),
        }

    def _names(self) -> list[str]:
        return [*dict.fromkeys(name for medians in self._medians for name in medians)]
