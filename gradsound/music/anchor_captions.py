"""The captions of the anchor: one wherever the norm at the anchor of the pitches changes.

Shapes: S moments.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gradsound.music.captions import Caption
from gradsound.music.pitch_sentence import pitch_sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gradsound.music.moments import Moment
    from gradsound.music.presets import Preset

_USUAL_NORM = 1.0  # needs no caption


class AnchorCaptions:
    """Makes the captions of a run's successive moments.

    Args:
        preset: How the run sounds.
        bands: Number of bands.
    """

    def __init__(self, preset: Preset, bands: int) -> None:
        self._preset, self._bands = preset, bands
        self._norm = _USUAL_NORM  # at the anchor, at the last moment

    def make(
        self,
        norms: NDArray[np.float64],
        begins: NDArray[np.float64],
        moments: Sequence[Moment],
    ) -> list[Caption]:
        """Returns the captions of the next moments.

        Args:
            norms: The norm at the anchor at each moment, shape (S,).
            begins: Begin of each moment in seconds, shape (S,).
            moments: The moments.
        """
        captions = []
        for k in np.flatnonzero(np.diff(norms, prepend=self._norm)).tolist():
            pitch = replace(self._preset.pitch, norm=float(norms[k]))
            text = pitch_sentence(replace(self._preset, pitch=pitch), self._bands)
            captions.append(Caption(float(begins[k]), text, "pitch", moments[k].first))
        self._norm = float(norms[-1])
        return captions
