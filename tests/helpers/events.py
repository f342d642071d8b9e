"""Random events, for tests of kernels."""

from __future__ import annotations

import numpy as np

from gradsound.synth.events import EVENT

PERIOD = 1 / 44_100  # seconds


def random_events(count: int) -> np.ndarray:
    """Returns events of all lengths, pitches, glides, fades and controls."""
    random = np.random.default_rng(count)
    events = np.zeros(count, EVENT)
    events["first"] = random.integers(0, 20_000, count)
    events["count"] = random.integers(1, 600, count)
    events["slot"] = random.integers(0, 37, count)
    events["phase"] = random.integers(0, 2**32, count, dtype=np.uint32)
    ends = random.uniform(20, 19_845, (2, count)) * PERIOD * 2**32
    events["increment"] = ends[0]
    events["glide"] = (ends[1] - ends[0]) / (2 * events["count"])
    fades = random.choice([0, 1, 88, 200], count)
    events["fade"] = np.minimum(fades, events["count"] // 2)
    events["gain"] = random.uniform(0, 0.1, (count, 2))
    events["pan"] = random.uniform(0, 1, (count, 2))
    events["controls"] = random.uniform(0, 1, (count, 3, 2))
    return events
