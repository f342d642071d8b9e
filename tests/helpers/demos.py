"""Demos in tests: run as a user runs them; the tables that they print."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

DEMOS = Path(__file__).parents[2] / "demos"


def run_demo(
    name: str, *options: object, folder: Path, status: int = 0
) -> subprocess.CompletedProcess[str]:
    """Runs a demo in a process of its own, in a folder."""
    process = subprocess.run(
        [sys.executable, str(DEMOS / f"{name}.py"), *map(str, options)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == status, process.stderr
    return process


def refusal(
    name: str,
    options: Sequence[object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    """Returns the last line of a demo that ends at once, run in this process."""
    monkeypatch.syspath_prepend(DEMOS)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, options)])
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # this is not its process
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(DEMOS / f"{name}.py"), run_name="__main__")
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def read_tables(output: str) -> list[dict[str, dict[str, float]]]:
    """Returns the Markdown tables of an output: numbers by row and column."""
    tables = []
    for text in re.findall(r"(?:^\|.*\n)+", output, re.MULTILINE):
        (_, *columns), _, *rows = (
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in text.splitlines()
        )
        tables.append(
            {
                name: dict(zip(columns, map(float, numbers), strict=True))
                for name, *numbers in rows
            }
        )
    return tables
