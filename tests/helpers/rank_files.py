"""Makes the run files of several ranks from arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from helpers.step_lines import encode_step

from gradsound.runs.header_line import encode_header
from gradsound.runs.model import Header
from gradsound.runs.rank_layers import WAIT
from gradsound.runs.step import Step

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def write_rank(
    folder: Path,
    rank: int,
    norms: NDArray[np.floating],
    *,
    times: NDArray[np.float64] | None = None,
    waits: NDArray[np.float64] | None = None,
    layers: tuple[str, ...] = ("conv", "fc"),
    training: str = "",
    start: str = "2026-11-24T08:00:00+00:00",
    first: int = 0,
    stages: tuple[int, ...] = (),
) -> Path:
    """Writes run.rankK.jsonl and returns its path.

    Args:
        folder: Where to write it.
        rank: K.
        norms: Norms of the layers, shape (S, L), or of a single layer, shape (S,).
        times: Seconds of the steps, shape (S,); 0.1 s apart if None.
        waits: Seconds for which the rank waited for others, shape (S,); unknown if None.
        layers: Names of the layers; as many as the norms have.
        training: As in `Header`.
        start: As in `Header`.
        first: Number of the first step.
        stages: As in `Header`.
    """
    table = np.atleast_2d(norms.T).T.astype(np.float32)
    names = layers[: table.shape[1]]
    header = Header(
        layers=names,
        parameters=(3,) * len(names),
        start=start,
        training=training,
        stages=stages,
    )
    path = folder / f"run.rank{rank}.jsonl"
    with path.open("wb") as file:
        file.write(encode_header(header))
        for k, row in enumerate(table):
            values = {} if waits is None else {WAIT: float(waits[k])}
            time = k / 10 if times is None else float(times[k])
            absent = np.zeros(len(row), bool)
            file.write(encode_step(Step(first + k, time, row, absent, values=values)))
    return path


def write_ranks(
    folder: Path,
    norms: NDArray[np.floating],
    times: NDArray[np.float64] | None = None,
    waits: NDArray[np.float64] | None = None,
) -> list[Path]:
    """Writes the files of all ranks of a model with one layer, and returns their paths.

    Args:
        folder: Where to write them.
        norms: Shape (S, R).
        times: As for `write_rank`, shape (S, R).
        waits: As for `write_rank`, shape (S, R).
    """
    return [
        write_rank(
            folder,
            rank,
            norms[:, rank],
            times=None if times is None else times[:, rank],
            waits=None if waits is None else waits[:, rank],
        )
        for rank in range(norms.shape[1])
    ]
