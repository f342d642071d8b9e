"""The limiter: compresses samples above a knee, so that no sum of notes clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KNEE = 0.8  # linear; softer samples pass unchanged
_INFINITE = 1e30  # linear; stands for infinity, which has no quotient


def limit(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns samples of any shape, compressed into -1..1 above the knee.

    NaN becomes 0 and infinity full scale: a user's voice may produce both.
    """
    if samples.size and max(samples.max(), -samples.min()) <= _KNEE:
        return samples
    size = np.abs(np.nan_to_num(samples, posinf=_INFINITE, neginf=-_INFINITE))
    excess = (size - np.float32(_KNEE)) / np.float32(1 - _KNEE)
    compressed = np.float32(_KNEE) + np.float32(1 - _KNEE) * (excess / (1 + excess))
    limited = np.where(size > _KNEE, compressed, size)
    return np.copysign(limited, samples).astype(np.float32)
