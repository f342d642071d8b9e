"""The limiter: bends samples that are too loud, so that no sum of notes clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KNEE = 0.8  # linear; the limiter leaves softer samples as they are


def limited(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples of any shape, bent to within -1..1 where they are beyond the knee.

    What is not a number, as a user's voice may make, is silence.
    """
    if samples.size and max(samples.max(), -samples.min()) <= _KNEE:
        return samples
    size = np.abs(np.nan_to_num(samples, posinf=1e30, neginf=-1e30))
    over = (size - np.float32(_KNEE)) / np.float32(1 - _KNEE)
    bent = np.float32(_KNEE) + np.float32(1 - _KNEE) * (over / (1 + over))
    return np.copysign(np.where(size > _KNEE, bent, size), samples).astype(np.float32)
