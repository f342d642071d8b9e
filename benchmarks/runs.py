"""Runs of benchmarks: synthetic norms, headers, and names for run files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from gradsound import Run, Step
from gradsound.runs.header_line import encode_header
from gradsound.runs.model import Header
from gradsound.runs.step_line import encode_block
from gradsound.runs.step_stream import make_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


def write_run(path: Path, steps: int, layers: int) -> None:
    """Writes the file of a healthy run of 20 steps a second, with a falling loss."""
    with path.open("wb") as file:
        file.write(encode_header(make_header(layers)))
        for block in make_blocks(_healthy_steps(steps, layers)):
            file.write(encode_block(block))


def _healthy_steps(steps: int, layers: int) -> Iterator[Step]:
    random = np.random.default_rng(0)
    absent = np.zeros(layers, bool)
    for number in range(steps):
        norms = random.lognormal(0.0, 0.5, layers).astype(np.float32)
        noise = 0.05 * random.standard_normal()
        loss = round(0.5 + 3 / (1 + number / 500) ** 0.3 + noise, 4)
        yield Step(number, number / 20, norms, absent, values={"loss": loss})
