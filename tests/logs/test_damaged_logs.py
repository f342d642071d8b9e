"""Fuzzing of damaged logs: each reads in part or is refused, with one line of text.

The suite makes 300 mutations of each format. 10,000 of each take some minutes:

    GRADSOUND_FUZZ=10000 python -m pytest tests/logs/test_damaged_logs.py
"""

from __future__ import annotations

import os
import resource
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.logs import PUBLISHED, mlflow_run, write_events
from helpers.mutations import damage

from gradsound import read_run
from gradsound.errors import GradsoundWarning, RunFormatError

MUTATIONS = int(os.environ.get("GRADSOUND_FUZZ", "300"))
SECONDS_MAX = 5.0  # seconds of this process; the longest line or nest takes under one
MEMORY_MAX = 300_000  # KiB by which all mutations together may raise peak memory

KINDS = ("huggingface", "tensorboard", "wandb", "mlflow", "csv", "windows")


@pytest.fixture(scope="module")
def seeds(tmp_path_factory, wandb_runs) -> dict[str, tuple[Path, Path]]:
    """Returns by format the path to read, and its file that mutations damage."""
    folder = tmp_path_factory.mktemp("seeds")
    (folder / "trainer_state.json").write_text(PUBLISHED)
    write_events(folder / "events", range(30))
    (events,) = (folder / "events").iterdir()
    run = mlflow_run(folder)
    lines = [f"{k},{k / 7},{'' if k % 3 else 'nan'},{1 / 3},{k}" for k in range(40)]
    header = 'step,grad_norm/a,"grad_norm/b",loss,time'
    (folder / "metrics.csv").write_text("\n".join([header, *lines, ""]))
    table = (folder / "metrics.csv").read_text()
    (folder / "windows.csv").write_text(table, encoding="utf-16")
    (trainer,) = wandb_runs[1].rglob("*.wandb")
    (folder / "x.wandb").write_bytes(trainer.read_bytes())
    return {
        "huggingface": (folder / "trainer_state.json",) * 2,
        "tensorboard": (events, events),
        "wandb": (folder / "x.wandb",) * 2,
        "mlflow": (run, run / "metrics" / "grad_norm" / "layers.2"),
        "csv": (folder / "metrics.csv",) * 2,
        "windows": (folder / "windows.csv",) * 2,
    }


def read(path: Path) -> tuple[int, str]:
    """Reads a log; returns the number of steps, and the text of its warning or error."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            run = read_run(path)
            before, count = -1, 0
            for step in run.steps:
                assert before < step.number <= 2**53
                assert np.isfinite(step.time)
                assert 0 <= step.time <= 2e12
                assert step.norms.dtype == np.float32
                assert not (step.norms < 0).any()
                before, count = step.number, count + 1
        except (RunFormatError, OSError, ValueError) as error:
            return 0, str(error)
    assert len(warned) <= 1
    assert all(issubclass(warning.category, GradsoundWarning) for warning in warned)
    return count, "".join(str(warning.message) for warning in warned)


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_does_harm(seeds, kind: str) -> None:
    """A damaged log gives steps and at most one line, in bounded memory and time."""
    path, file = seeds[kind]
    content = file.read_bytes()
    count, message = read(path)
    assert (count > 2, message) == (True, "")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = {"whole": 0, "part": 0, "nothing": 0}
    for number in range(MUTATIONS):
        damaged = damage(f"{kind} {number}", content)
        file.write_bytes(damaged)
        begin = time.process_time()
        try:
            count, message = read(path)
        except BaseException:
            file.with_name("failed").write_bytes(damaged)  # for a look at it
            raise
        took = time.process_time() - begin
        assert took < SECONDS_MAX, f"mutation {number} took {took:.1f} s"
        assert len(message.splitlines()) <= 1, message
        assert len(message) < 4_000
        outcomes["nothing" if not count else "part" if message else "whole"] += 1
    file.write_bytes(content)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MEMORY_MAX, f"{grown} KiB more"
    # Otherwise the mutations miss the parts that are read.
    assert outcomes["part"] + outcomes["nothing"] > MUTATIONS // 10, outcomes
