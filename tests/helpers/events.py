"""Random events for kernels."""

from __future__ import annotations

import numpy as np

from gradsound.synth.events import EVENT

PERIOD = 1 / 44_100  # seconds


def by_chance(count: int) -> np.ndarray:
    """Events of all lengths, pitches, glides, edges and controls."""
    random = np.random.default_rng(count)
    made = np.zeros(count, EVENT)
    made["first"] = random.integers(0, 20_000, count)
    made["count"] = random.integers(1, 600, count)
    made["slot"] = random.integers(0, 37, count)
    made["phase"] = random.integers(0, 2**32, count, dtype=np.uint32)
    ends = random.uniform(20, 19_845, (2, count)) * PERIOD * 2**32
    made["increment"] = ends[0]
    made["glide"] = (ends[1] - ends[0]) / (2 * made["count"])
    made["fade"] = np.minimum(random.choice([0, 1, 88, 200], count), made["count"] // 2)
    made["gain"] = random.uniform(0, 0.1, (count, 2))
    made["pan"] = random.uniform(0, 1, (count, 2))
    made["controls"] = random.uniform(0, 1, (count, 3, 2))
    return made
