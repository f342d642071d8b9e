"""Scripts that tests run, by Python and by `gradsound run`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

RUN = ["-m", "gradsound", "run"]
LOOP = """
import torch

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.125)
losses = []
for _ in range(5):
    optimizer.zero_grad()
    loss = model(torch.rand(8, 3)).square().mean()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
"""


def execute(
    words: Sequence[object], folder: Path, text: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs Python with these words in a folder; returns status and output.

    Args:
        words: Arguments of Python.
        folder: Working directory.
        text: Standard input.
        **environment: Further environment variables.
    """
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=os.environ | environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run(
    *words: object, folder: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs `gradsound run` with these words."""
    return execute([*RUN, *words], folder, **environment)


def run_code(
    code: str, folder: Path, *options: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a script with this code, which must succeed."""
    (folder / "train.py").write_text(code)
    process = run(*options, "train.py", folder=folder, **environment)
    assert process.returncode == 0, process.stderr
    return process
