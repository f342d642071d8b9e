"""The power spectrum of samples."""

from __future__ import annotations

import numpy as np


def spectrum(samples: np.ndarray, rate: int = 44_100) -> tuple[np.ndarray, np.ndarray]:
    """Returns bins in Hz and their power, by a Hann window."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return np.fft.rfftfreq(len(samples), 1 / rate), power
