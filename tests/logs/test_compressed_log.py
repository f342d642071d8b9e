"""Logs that a user compressed."""

import gzip
from pathlib import Path

import pytest
from helpers.logs import wandb_entry, wandb_file

from gradsound import read_run
from gradsound.errors import GradsoundWarning, RunFormatError

LOGS = {
    "metrics.csv": b"step,grad_norm\n1,0.5\n2,0.25\n",
    "log.jsonl": b'{"step": 1, "grad_norm": 0.5}\n{"step": 2, "grad_norm": 0.25}\n',
    "run-1.wandb": wandb_file(
        wandb_entry({"grad_norm": str(0.5 / k), "_step": str(k)}, k) for k in (1, 2)
    ),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_compressed_log_is_read_as_it_was(name: str, tmp_path: Path) -> None:
    """Its content and its name without .gz tell the format."""
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gzip.compress(LOGS[name]))
    run = read_run(path)

    assert [(step.number, *step.norms.tolist()) for step in run.steps] == [
        (1, 0.5),
        (2, 0.25),
    ]
    assert run.name == str(path)


def test_messages_name_the_compressed_file(tmp_path: Path) -> None:
    """The copy is in a temporary folder, which no message shows."""
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"no log\n"))
    with pytest.raises(RunFormatError, match=f"^{path}: expected a header, split by"):
        read_run(path)
    path.write_bytes(gzip.compress(LOGS["metrics.csv"]))
    with pytest.raises(RunFormatError, match=f"^{path}: has no column 'n' for --step"):
        read_run(path, step="n")
    path.write_bytes(gzip.compress(b"step 1 gnorm 2\n"))
    with pytest.warns(GradsoundWarning, match=f"^{path}: is read as a console"):
        read_run(path)
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(RunFormatError, match="empty, expected a run"):
        read_run(path)
