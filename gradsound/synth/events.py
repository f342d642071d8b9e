"""What the kernels render: notes as figures of frames, phases and gains.

A kernel is a function ``kernel(out, start, period, events)``: it adds events to ``out``,
float32 of shape (C, N + ROOM), which holds the N frames from ``start`` on; ``period`` is a
frame in seconds. Each sample of an event is a function of its frame alone, so a block may
begin and end anywhere, and a live block and a whole run have the same samples.

Shapes: C channels, N frames, K events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


TURN = 2.0**32  # a turn of phase: it wraps by itself, and exactly

# Pairs are the values at the event's beginning and end; between, they are on a line.
EVENT = np.dtype(
    [
        ("first", "i8"),  # frame
        ("count", "i4"),  # frames, 1 to 2**24
        ("slot", "u4"),  # seed of its noise
        ("phase", "u4"),  # 2**-32 turns, at the first frame
        ("increment", "u4"),  # 2**-32 turns a frame, at the beginning
        ("glide", "i4"),  # half of what a frame adds to the increment
        ("fade", "i4"),  # frames of raised cosine at each end
        ("gain", "f4", 2),  # linear
        ("pan", "f4", 2),  # gains of the left and right channel; of one, the left's
        ("controls", "f4", (len(CONTROLS), 2)),
    ],
    align=True,
)
Kernel: TypeAlias = "Callable[[NDArray[np.float32], int, float, NDArray[np.void]], None]"
