"""The kernel in numpy: the definition of the right samples, to which others are compared.

Shapes: C channels, N frames, K events of a batch, M frames of the longest of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.voices.functions import EDGE, polynomial
from gradsound.synth.voices.program import CONTROLS, PADDING, evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.synth.events import Kernel
    from gradsound.synth.voices.program import Program

_BATCH = 1 << 14  # samples; larger batches leave the processor's cache
_f, _u = np.float32, np.uint32
_EDGE = tuple(map(_f, EDGE))


def make_kernel(program: Program, channels: int) -> Kernel:
    """Returns the kernel of a program; `gradsound.synth.events` defines kernels."""

    def render(
        out: NDArray[np.float32], start: int, period: float, events: NDArray[np.void]
    ) -> None:
        end = start + out.shape[1] - PADDING
        last = np.minimum(events["count"], end - events["first"])
        first = np.maximum(0, start - events["first"])
        audible = np.flatnonzero(first < last)
        begin = 0
        while begin < len(audible):  # as many events as fit the batch at the longest's size
            candidates = audible[begin : begin + _BATCH]
            longest = np.maximum.accumulate((last - first)[candidates])
            sizes = longest * np.arange(1, len(longest) + 1)
            end = begin + max(1, int(np.searchsorted(sizes, _BATCH, side="right")))
            batch = audible[begin:end]
            with np.errstate(all="ignore"):
                tones = _tones(program, events[batch], first[batch], longest, period)
            for k, event in enumerate(batch):
                frames = last[event] - first[event]
                offset = events["first"][event] + first[event] - start
                for channel in range(channels):
                    tone = tones[k, :frames]
                    if channels > 1:
                        tone = tone * events["pan"][event, channel]
                    out[channel, offset : offset + frames] += tone
            begin = end

    return render


def _tones(
    program: Program,
    events: NDArray[np.void],
    first: NDArray[np.int64],
    longest: NDArray[np.int64],
    period: float,
) -> NDArray[np.float32]:
    """Returns the samples of events from their frame ``first`` on, shape (K, M)."""
    column = {name: events[name][:, None] for name in events.dtype.names or ()}
    frame = first[:, None] + np.arange(longest[len(events) - 1])  # (K, M)
    i, x = frame.astype(_u), frame.astype(_f)
    glide = column["glide"].view(_u)
    phase = column["phase"] + i * (column["increment"] - glide + glide * i)
    count = column["count"].astype(_f)
    share = _f(1) / count

    def ramp(pair: NDArray[np.float32]) -> NDArray[np.float32]:
        start, end = pair[..., :1], pair[..., 1:]
        return np.asarray(start + ((end - start) * share) * x)

    inputs = {}
    if "phase" in program.inputs:
        inputs["phase"] = phase.view(np.int32).astype(_f) * _f(2.0**-32)
    if "dt" in program.inputs:
        increment = column["increment"] + (glide + glide) * i
        inputs["dt"] = increment.view(np.int32).astype(_f) * _f(2.0**-32)
    if "time" in program.inputs:
        inputs["time"] = x * _f(period)
    if "noise" in program.inputs:
        clock = column["first"].astype(_u) + i
        inputs["noise"] = _noise(clock ^ (column["slot"] * _u(0x9E3779B9)))
    for k, name in enumerate(CONTROLS):
        if name in program.inputs:
            inputs[name] = ramp(events["controls"][:, k])
    slope = _f(1) / column["fade"].astype(_f)
    rise = (x + _f(0.5)) * slope
    fall = (count - _f(0.5) - x) * slope
    nearer = np.where(rise < fall, rise, fall)
    edge = np.where(nearer < _f(1), _raised_cosine(nearer), _f(1))
    tones = evaluate(program, inputs) * (ramp(events["gain"]) * edge)
    return np.broadcast_to(tones, frame.shape)


def _raised_cosine(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the raised cosine from 0 at 0 to 1 at 1."""
    angle = share - _f(0.5)
    return np.asarray(_f(0.5) + angle * polynomial(angle * angle, _EDGE))


def _noise(seed: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Returns white noise in -1..1: a 32-bit hash (C. Wellons' lowbias32, 2018)."""
    seed = (seed ^ (seed >> _u(16))) * _u(0x7FEB352D)
    seed = (seed ^ (seed >> _u(15))) * _u(0x846CA68B)
    seed = seed ^ (seed >> _u(16))
    return np.asarray(seed.view(np.int32).astype(_f) * _f(2.0**-31))
