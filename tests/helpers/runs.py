"""Makes runs from plain lists of norms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from gradsound.runs.model import Header, Run
from gradsound.runs.step import Step


def make_run(
    norms: list[list[float | None]],
    layers: tuple[str, ...] | None = None,
    comment: str = "",
) -> Run:
    """Returns a run with one step for each row of norms; None makes a layer absent."""
    names = layers or tuple(f"layer{k}" for k in range(len(norms[0]) if norms else 2))
    header = Header(
        layers=names,
        parameters=(7,) * len(names),
        start="2019-08-01T12:00:00+00:00",
        comment=comment,
    )
    steps = [
        Step(
            number,
            number / 3,
            np.array(row, np.float32),
            np.array([norm is None for norm in row]),
        )
        for number, row in enumerate(norms)
    ]
    return Run(header, steps, "made")


def with_signals(run: Run, **signals: list[float] | Callable[[int], list[float]]) -> Run:
    """Returns a run with signals at every step: equal rows, or functions of its number."""

    def of_step(number: int) -> Mapping[str, np.ndarray]:
        rows = {n: row(number) if callable(row) else row for n, row in signals.items()}
        return {name: np.array(row, np.float32) for name, row in rows.items()}

    steps = [replace(step, signals=of_step(step.number)) for step in run.steps]
    header = replace(run.header, signals=dict.fromkeys(signals, "from the weights"))
    return replace(run, header=header, steps=steps)
