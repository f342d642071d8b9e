"""Benchmarks: what they print must be true, since the documentation quotes it."""

import subprocess
import sys
from pathlib import Path

import numpy as np

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def write_norms(path: Path, norms: list[float]) -> None:
    path.write_text("step,grad_norm\n" + "".join(f"{k},{n}\n" for k, n in enumerate(norms)))


def count_alarms(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BENCHMARKS / "alarms.py", "--seeds", "0", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_alarms_of_a_folder(tmp_path: Path) -> None:
    """Alarms of a run count for 1,000 rows; recoveries and observations count apart."""
    write_norms(tmp_path / "calm.csv", [1.5, 1.25] * 10)
    write_norms(tmp_path / "drift.csv", list(np.geomspace(0.01, 1, 2000)))
    write_norms(tmp_path / "nan.csv", [1.5] * 9 + [np.nan] + [1.5] * 30)
    (tmp_path / "readme.md").write_text("not a run\n")
    process = count_alarms("--runs", tmp_path)

    assert process.returncode == 0, process.stderr
    *_, calm, drift, nan, readme = process.stdout.splitlines()
    assert calm.split() == ["calm.csv", "20", "0.0", "-", "-"]
    assert drift.split() == ["drift.csv", "2000", "0.0", "-", "drift", "1"]
    assert nan.split() == ["nan.csv", "40", "25.0", "nonfinite", "1", "-"]
    assert readme.startswith("no run: ")
    assert "readme.md" in readme


def test_alarms_of_no_folder(tmp_path: Path) -> None:
    """A path that is no folder is an error of one line with that path."""
    process = count_alarms("--runs", tmp_path / "missing")

    assert process.returncode == 2
    assert process.stderr.splitlines()[-1].endswith(
        f"--runs needs a folder with runs, got {tmp_path / 'missing'}"
    )
