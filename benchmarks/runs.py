"""Runs of benchmarks: synthetic norms, headers, and names for run files."""

from __future__ import annotations

import time

import numpy as np

from gradsound import Run, Step
from gradsound.runs.model import Header


def new_log() -> str:
    """Returns a new name for a run file; to keep an existing file would take time."""
    return f"{time.monotonic_ns()}.jsonl"


def make_header(layers: int) -> Header:
    """Returns a header with layers of one parameter each."""
    names = tuple(f"layer{k}" for k in range(layers))
    return Header(layers=names, parameters=(1,) * layers, start="")


def make_run(steps: int, layers: int) -> Run:
    """Returns a run of log-normal norms around 1, as in a training."""
    norms = np.random.default_rng(0).lognormal(size=(steps, layers)).astype(np.float32)
    absent = np.zeros(layers, bool)
    return Run(
        make_header(layers), [Step(k, float(k), row, absent) for k, row in enumerate(norms)]
    )
