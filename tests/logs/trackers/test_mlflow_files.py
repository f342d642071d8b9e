"""Runs in MLflow's file store: lines of any form, and metrics that grow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.logs import mlflow_run

from gradsound.logs.trackers import mlflow_files


def read(
    run: Path, grow: list[Callable[[], object]]
) -> tuple[list[list[tuple[str, float, float, float]]], list[str]]:
    """Reads a run; before each further reading, calls the next function.

    Returns:
        Name, step, time and value of what each reading yields; and the damage.
    """
    calls, reports = iter(grow), list[str]()

    def wait_for_more() -> bool:
        call = next(calls, None)
        if call is not None:
            call()
        return call is not None

    readings: list[list[tuple[str, float, float, float]]] = [[]]
    for scalars in mlflow_files.read(run, reports.append, wait_for_more):
        if scalars is None:
            readings.append([])
            continue
        names = [scalars.names[place] for place in scalars.places]
        columns = (scalars.steps, scalars.times, scalars.values)
        readings[-1] += zip(names, *(column.tolist() for column in columns))
    return readings[:-1], reports


@pytest.mark.parametrize("piece", [20, 1 << 18])
@pytest.mark.parametrize(
    ("lines", "steps", "reports"),
    [
        ("5000 0.5 3\n6000 1.5 4\n", [3, 4], 0),
        ("5000 0.5 3\r\n6000 1.5 4\r\n", [3, 4], 0),
        ("5000 0.5\n6000 1.5 4\n", [0, 4], 0),
        ("5000 0.5 3 model 7\n6000 1.5 4\n", [3, 4], 0),
        ("5000 0.5\n6000 1.5 4 9\n", [0, 4], 0),
        ("5000  0.5 3\n\n 6000 1.5 4\n", [3, 4], 0),
        ("5000  0.5\n6000 1.5 4\n", [0, 4], 0),
        ("5000 0.5 3\n6000 x 4\n7000 1.5 5\n", [3, 5], 1),
        ("5000 0.5 3\n6000\n7000 1.5 5\n", [3, 5], 1),
        ("5000 0.5 3\n6000 1.5 4", [3], 1),
        ("", [], 0),
        ("\n\n", [], 0),
    ],
)
def test_lines_of_any_form(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    piece: int,
    lines: str,
    steps: list[float],
    reports: int,
) -> None:
    """Old versions wrote no step, new ones may write more; other lines are reported."""
    monkeypatch.setattr(mlflow_files, "_PIECE", piece)
    run = mlflow_run(tmp_path)
    (run / "metrics" / "loss").unlink()
    for file in (run / "metrics" / "grad_norm").iterdir():
        file.write_bytes(lines.encode())
    (found,), damage = read(run, [])

    assert [step for name, step, _, _ in found if name.endswith("10")] == steps
    assert len(damage) == 2 * reports
    if 3 in steps:
        assert ("grad_norm/layers.2", 3.0, 5.0, 0.5) in found


def test_a_long_metric_is_read_whole(tmp_path: Path) -> None:
    """In pieces that end within lines; numbers are exact."""
    values = np.random.default_rng(0).lognormal(size=30_000).tolist()
    run = mlflow_run(tmp_path)
    lines = [f"{1700000000000 + k} {value!r} {k}\n" for k, value in enumerate(values)]
    (run / "metrics" / "loss").write_text("".join(lines))
    (found,), damage = read(run, [])

    assert [value for name, _, _, value in found if name == "loss"] == values
    assert damage == []


def test_metrics_that_grow_are_read_on(tmp_path: Path) -> None:
    """Appended lines, halves of lines, and new metrics come once."""
    run = mlflow_run(tmp_path)
    loss = run / "metrics" / "loss"

    def append(text: str) -> None:
        with loss.open("a") as file:
            file.write(text)

    new = run / "metrics" / "other"
    readings, damage = read(
        run,
        [
            lambda: append("1700000003000 0.2"),
            lambda: append("5 5\n1700000004000 0.125 6\n"),
            lambda: new.write_text("1700000004000 7 8\n"),
            lambda: append("17"),
        ],
    )

    assert len(readings[0]) == 12
    assert readings[1:] == [
        [],
        [("loss", 5.0, 1700000003.0, 0.25), ("loss", 6.0, 1700000004.0, 0.125)],
        [("other", 8.0, 1700000004.0, 7.0)],
        [],
    ]
    assert damage == ["line 5 of loss is torn or damaged, left out"]
