"""Native code for four processors: its samples equal numpy's to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.events import PERIOD, random_events
from helpers.native_code import Job, render_natively

from gradsound.synth.kernels import numpy_kernel
from gradsound.synth.kernels.native_code import TARGETS
from gradsound.synth.voices.builtin import VOICES, clang, trace_builtin
from gradsound.synth.voices.program import PADDING, Program
from gradsound.synth.voices.tracer import trace

FRAMES = 100_000


def everything(phase, time, noise, dt, norm, deviation, depth):
    """A voice of a user, with all inputs and all operations."""
    steps = np.floor(9 * norm) + np.round(7 * phase) + np.trunc(5 * deviation)
    edge = np.where((phase < depth) & ~(noise <= norm) | (steps == 3), 1.0, np.exp(-time))
    return edge * np.sqrt(np.abs(np.tan(phase * dt) + noise)) / (1 + 9 * steps**2)


PROGRAMS = [*map(trace_builtin, [*VOICES.values(), clang]), trace(everything)]


def numpys(program: Program, job: Job) -> np.ndarray:
    """Returns the samples of a job by numpy, shape (C, N)."""
    out = np.zeros((job.channels, job.frames + PADDING), np.float32)
    numpy_kernel.make_kernel(program, job.channels)(out, job.start, PERIOD, job.events)
    return out[:, : job.frames]


def all_frames(start: int) -> np.ndarray:
    """Returns events in 100,000 frames: one that lasts longer, and short ones over it."""
    events = random_events(120)
    events["first"] = start + events["first"] * 5
    events["first"][0], events["count"][0], events["fade"][0] = start - 77, FRAMES + 99, 441
    events["glide"][0] = -20
    return events


def odd() -> np.ndarray:
    """Returns events one after the other, each with a number that is not as others are."""
    numbers = (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -1e-39, 0)
    events = random_events(8 * len(numbers))
    events["first"], events["count"] = np.arange(len(events)) * 25, 23
    events["fade"] = np.minimum(events["fade"], 11)
    values = np.concatenate([events["gain"], events["controls"].reshape(-1, 6)], axis=1)
    for k, event in enumerate(values):
        event[k % 8] = numbers[k // 8]
    events["gain"], events["controls"] = values[:, :2], values[:, 2:].reshape(-1, 3, 2)
    return events


@pytest.mark.parametrize("target", TARGETS)
def test_native_code_is_numpy(target: str, tmp_path: Path) -> None:
    """Every voice has numpy's samples, for one channel and two, in blocks of any size.

    NaN is NaN: a processor chooses its sign and its payload.
    """
    jobs = []
    for number in range(len(PROGRAMS)):
        jobs.append(Job(number, 1, 0, FRAMES, 441, all_frames(0)))
        far = 2**33 + 5
        jobs.append(Job(number, 2, far, FRAMES // 5, 8193, all_frames(far)))
        jobs.append(Job(number, 2, 0, 1700, 1, random_events(40)))
        jobs.append(Job(number, 1, 0, 1700, 17, odd()))
    samples = render_natively(target, PROGRAMS, jobs, PERIOD, tmp_path)

    for job, native in zip(jobs, samples):
        program = PROGRAMS[job.program]
        with np.errstate(all="ignore"):
            expected = numpys(program, job)
        np.testing.assert_array_equal(native, expected, f"{program.name}: {job}")
        if job.frames >= FRAMES // 5:
            assert np.count_nonzero(expected) > 0.9 * expected.size
            assert np.isfinite(expected).all()
        if job.block == 17:
            assert 20 < np.count_nonzero(np.isnan(expected)) < 1000
