"""Fuzzing of damaged databases and offline runs: each reads in part or is refused.

The suite makes 300 mutations of each format. 10,000 of each take some minutes:

    GRADSOUND_FUZZ=10000 python -m pytest tests/logs/test_damaged_databases.py
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.mutations import damage
from helpers.tracker_logs import (
    add_mlflow_run,
    clearml_event,
    clearml_lines,
    comet_lines,
    log_mlflow,
    log_neptune,
    log_trackio,
    make_mlflow_database,
    make_neptune_database,
    make_trackio_database,
    make_zip,
    swanlab_file,
    swanlab_line,
    swanlab_scalar,
)

from gradsound.errors import RunFormatError
from gradsound.logs.databases import database_formats
from gradsound.logs.scalars import Scalars
from gradsound.logs.trackers import clearml, comet, swanlab
from gradsound.logs.trackers.zip_file import read_names

MUTATIONS = int(os.environ.get("GRADSOUND_FUZZ", "300"))
SECONDS_MAX = 5.0  # seconds of this process
MEMORY_MAX = 300_000  # KiB by which all mutations together may raise peak memory
STEPS = range(60)

Reader = Callable[[Path, Callable[[str], None]], "list[Scalars]"]


def read_database(path: Path, on_damage: Callable[[str], None]) -> list[Scalars]:
    """Reads all runs of a database."""
    known = database_formats.find_format(path)
    pieces = [known.read(path, run, on_damage) for run, _ in known.list_runs(path)]
    return [piece for run in pieces for piece in run if piece is not None]


def read_zip(path: Path, on_damage: Callable[[str], None]) -> list[Scalars]:
    """Reads an offline run in a zip file."""
    known = clearml if clearml.is_offline_run(read_names(path)) else comet
    return [*filter(None, known.read(path, on_damage))]


def make_mlflow(path: Path) -> None:
    """Makes a database of two runs."""
    make_mlflow_database(path)
    for run in ("aa", "bb"):
        add_mlflow_run(path, run, f"run {run}")
        log_mlflow(path, run, "grad_norm/fc1", {k: k / 7 for k in STEPS})


def make_trackio(path: Path) -> None:
    """Makes a database of two runs."""
    make_trackio_database(path)
    values = {k: {"grad_norm": k / 7, "nested": {"loss": "NaN"}} for k in STEPS}
    for run in ("aa", "bb"):
        log_trackio(path, run, f"run {run}", values)


def make_neptune(path: Path) -> None:
    """Makes the database of a run."""
    make_neptune_database(path, "run", "experiment")
    log_neptune(path, {k: {"grad_norm": k / 7, "loss": 1 / 3} for k in STEPS})


def make_swanlab(path: Path) -> None:
    """Makes a run file with records of both kinds."""
    lines = [swanlab_line("loss", k, k / 3) for k in STEPS]
    path.write_bytes(
        swanlab_file([*lines, *(swanlab_scalar("grad_norm", k, k / 7) for k in STEPS)])
    )


def make_clearml(path: Path) -> None:
    """Makes a zip file that is not compressed, so that damage reaches the lines."""
    batches = [[clearml_event("grad_norm", "fc1", k, k / 7)] for k in STEPS]
    make_zip(path, {"task.json": b"{}", "metrics.jsonl": clearml_lines(*batches)})


def make_comet(path: Path) -> None:
    """Makes the file of messages."""
    path.write_bytes(comet_lines("grad_norm", {k: k / 7 for k in STEPS}))


KINDS: dict[str, tuple[Callable[[Path], None], Reader]] = {
    "mlflow": (make_mlflow, read_database),
    "trackio": (make_trackio, read_database),
    "neptune": (make_neptune, read_database),
    "swanlab": (make_swanlab, lambda *args: [*filter(None, swanlab.read(*args))]),
    "clearml": (make_clearml, read_zip),
    "comet": (make_comet, lambda *args: [*filter(None, comet.read(*args))]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_does_harm(tmp_path: Path, kind: str) -> None:
    """A damaged log gives numbers and lines of text, in bounded memory and time."""
    make, read = KINDS[kind]
    path = tmp_path / "log"
    make(path)
    content = path.read_bytes()
    reports: list[str] = []
    whole = sum(len(piece.values) for piece in read(path, reports.append))
    assert whole >= len(STEPS)
    assert reports == []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = {"whole": 0, "part": 0, "nothing": 0}
    for number in range(MUTATIONS):
        reports.clear()
        path.write_bytes(damage(f"{kind} {number}", content))
        begin = time.process_time()
        count = 0
        try:
            for piece in read(path, reports.append):
                count += len(piece.values)
                assert len(piece.places) == len(piece.steps) == len(piece.values)
                assert len({*piece.names}) == len(piece.names)
                assert not len(piece.places) or piece.places.max() < len(piece.names)
        except (RunFormatError, OSError) as error:
            reports.append(str(error))
        except BaseException:
            path.rename(tmp_path / "failed")  # for a look at it
            raise
        took = time.process_time() - begin
        assert took < SECONDS_MAX, f"mutation {number} took {took:.1f} s"
        assert all(len(report.splitlines()) == 1 for report in reports), reports
        assert all(len(report) < 4_000 for report in reports)
        outcomes["nothing" if not count else "part" if reports else "whole"] += 1
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MEMORY_MAX, f"{grown} KiB more"
    # Otherwise the mutations miss the parts that are read.
    assert outcomes["part"] + outcomes["nothing"] > MUTATIONS // 10, outcomes
