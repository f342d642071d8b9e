"""The note event: a note in frames, phases and gains, as the kernels synthesize it.

A kernel is a function ``kernel(out, start, period, events)``. It adds the samples of the
events to ``out``, float32 of shape (C, N + PADDING). ``out`` holds the N frames that begin
at frame ``start``; ``period`` is the length of a frame in seconds. A sample of an event
depends on its frame number alone. So blocks of any size, and a whole run at once, have the
same samples.

Shapes: C channels, N frames, K events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gradsound.synth.voices.program import CONTROLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gradsound.synth.voices.program import Program

TURN = 2.0**32  # phase units a turn: uint32 arithmetic wraps there, without rounding

# A pair holds the values at the event's two ends; between them the value is linear.
EVENT = np.dtype(
    [
        ("first", "i8"),  # frame
        ("count", "i4"),  # frames, 1 to 2**24
        ("slot", "u4"),  # seed of the event's noise
        ("phase", "u4"),  # 2**-32 turns, at the first frame
        ("increment", "u4"),  # 2**-32 turns a frame, at the first frame
        ("glide", "i4"),  # half of the change of the increment from frame to frame
        ("fade", "i4"),  # frames of raised cosine at each end
        ("gain", "f4", 2),  # linear
        ("pan", "f4", 2),  # gains of the left and right channel; mono uses the first
        ("controls", "f4", (len(CONTROLS), 2)),
    ],
    align=True,
)
Kernel: TypeAlias = "Callable[[NDArray[np.float32], int, float, NDArray[np.void]], None]"
KernelMaker: TypeAlias = "Callable[[Program, int], Kernel]"  # of a program and C
