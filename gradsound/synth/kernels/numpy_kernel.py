"""The kernel by numpy, which says what the right samples are.

Shapes: C channels, N frames, K events that are rendered together, M frames of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradsound.synth.voices.functions import EDGE, polynomial
from gradsound.synth.voices.program import CONTROLS, ROOM, evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gradsound.synth.events import Kernel
    from gradsound.synth.voices.program import Program

_AT_ONCE = 1 << 14  # samples; more leave the processor's cache
_f, _u = np.float32, np.uint32
_EDGE = tuple(map(_f, EDGE))


def kernel(program: Program, channels: int) -> Kernel:
    """Returns the kernel of a program; `gradsound.synth.events` says what that is."""

    def render(
        out: NDArray[np.float32], start: int, period: float, events: NDArray[np.void]
    ) -> None:
        end = start + out.shape[1] - ROOM
        last = np.minimum(events["count"], end - events["first"])
        first = np.maximum(0, start - events["first"])
        heard = np.flatnonzero(first < last)
        begin = 0
        while begin < len(heard):  # as many as are within the limit, whatever their lengths
            longest = np.maximum.accumulate((last - first)[heard[begin : begin + _AT_ONCE]])
            sizes = longest * np.arange(1, len(longest) + 1)
            end = begin + max(1, int(np.searchsorted(sizes, _AT_ONCE, side="right")))
            some = heard[begin:end]
            with np.errstate(all="ignore"):
                tones = _tones(program, events[some], first[some], longest, period)
            for k, event in enumerate(some):
                frames = last[event] - first[event]
                at = events["first"][event] + first[event] - start
                for channel in range(channels):
                    tone = tones[k, :frames]
                    if channels > 1:
                        tone = tone * events["pan"][event, channel]
                    out[channel, at : at + frames] += tone
            begin = end

    return render


def _tones(
    program: Program,
    events: NDArray[np.void],
    first: NDArray[np.int64],
    longest: NDArray[np.int64],
    period: float,
) -> NDArray[np.float32]:
    """Events from their frame ``first`` on, shape (K, M)."""
    column = {name: events[name][:, None] for name in events.dtype.names or ()}
    frame = first[:, None] + np.arange(longest[len(events) - 1])  # (K, M)
    i, at = frame.astype(_u), frame.astype(_f)
    glide = column["glide"].view(_u)
    phase = column["phase"] + i * (column["increment"] - glide + glide * i)
    whole = column["count"].astype(_f)
    share = _f(1) / whole

    def line(pair: NDArray[np.float32]) -> NDArray[np.float32]:
        start, end = pair[..., :1], pair[..., 1:]
        return np.asarray(start + ((end - start) * share) * at)

    inputs = {}
    if "phase" in program.inputs:
        inputs["phase"] = phase.view(np.int32).astype(_f) * _f(2.0**-32)
    if "dt" in program.inputs:
        increment = column["increment"] + (glide + glide) * i
        inputs["dt"] = increment.view(np.int32).astype(_f) * _f(2.0**-32)
    if "time" in program.inputs:
        inputs["time"] = at * _f(period)
    if "noise" in program.inputs:
        clock = column["first"].astype(_u) + i
        inputs["noise"] = _noise(clock ^ (column["slot"] * _u(0x9E3779B9)))
    for k, name in enumerate(CONTROLS):
        if name in program.inputs:
            inputs[name] = line(events["controls"][:, k])
    slope = _f(1) / column["fade"].astype(_f)
    rise = (at + _f(0.5)) * slope
    fall = (whole - _f(0.5) - at) * slope
    nearer = np.where(rise < fall, rise, fall)
    edge = np.where(nearer < _f(1), _edge(nearer), _f(1))
    tones = evaluate(program, inputs) * (line(events["gain"]) * edge)
    return np.broadcast_to(tones, frame.shape)


def _edge(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Raised cosine, from 0 at 0 to 1 at 1."""
    angle = share - _f(0.5)
    return np.asarray(_f(0.5) + angle * polynomial(angle * angle, _EDGE))


def _noise(seed: NDArray[np.uint32]) -> NDArray[np.float32]:
    """White noise within -1..1: a hash of 32 bits (C. Wellons' lowbias32, 2018)."""
    seed = (seed ^ (seed >> _u(16))) * _u(0x7FEB352D)
    seed = (seed ^ (seed >> _u(15))) * _u(0x846CA68B)
    seed = seed ^ (seed >> _u(16))
    return np.asarray(seed.view(np.int32).astype(_f) * _f(2.0**-31))
