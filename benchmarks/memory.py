"""Measures whether the memory of a recording grows over 100,000 steps.

It prints two numbers before the first step and after every tenth of the steps: the memory
that Python allocated (tracemalloc), and the resident set of the process.

    python benchmarks/memory.py [--steps 100000]
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import tempfile
import tracemalloc
from pathlib import Path

import torch
from torch import nn

import gradsound


def resident() -> int:
    """Returns the resident set of this process in bytes (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Memory over many recorded steps.")
    parser.add_argument("--steps", type=int, default=100_000)
    steps = parser.parse_args().steps
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x = torch.randn(8, 16)
    print(f"{platform.machine()}, Python {platform.python_version()}, {steps} steps")
    with tempfile.TemporaryDirectory() as folder:
        attachment = gradsound.attach(model, optimizer, log=Path(folder) / "run.jsonl")
        tracemalloc.start()
        first = None
        for step in range(steps + 1):
            if step % (steps // 10) == 0:
                gc.collect()
                now = tracemalloc.get_traced_memory()[0], resident()
                if step == steps // 10:
                    first = now
                since = first or now
                print(
                    f"step {step:8}  Python {now[0] / 1e6:8.3f} MB "
                    f"({(now[0] - since[0]) / 1e3:+8.1f} kB)  resident "
                    f"{now[1] / 1e6:8.1f} MB ({(now[1] - since[1]) / 1e3:+8.1f} kB)"
                )
            optimizer.zero_grad()
            model(x).square().mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        attachment.close()


if __name__ == "__main__":
    main()
