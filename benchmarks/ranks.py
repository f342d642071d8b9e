"""Measures what the runs of many ranks cost: `gradsound info` of all ranks of a training.

Each line is the median over rounds: seconds by the clock, processor seconds, peak memory.

    python benchmarks/ranks.py [--rounds 3] [--ranks 512] [--steps 1000 10000] [--layers 1]

The files are made: norms of the ranks differ by 5 %, rank 5 has 8 times the norm in the
last half, and rank 3 makes the others wait in the last third. The command must name both.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import machine, threads
from runs import make_header
from scale import measure

from gradsound.runs.header_line import encode_header

_STEP_SECONDS, _WAIT_SECONDS = 0.05, 0.2
_BAD, _SLOW = 5, 3  # ranks


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranks", type=int, default=512)
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--layers", type=int, default=1)
    options = parser.parse_args()
    print(machine(threads(), f"{options.rounds} rounds"))
    print(f"{'info of':24} {'lines':>11} {'MB':>6} {'clock':>8} {'processor':>10} peak MB")
    for steps in options.steps:
        with tempfile.TemporaryDirectory() as folder:
            print_line(Path(folder), options.ranks, steps, options.layers, options.rounds)


def print_line(folder: Path, ranks: int, steps: int, layers: int, rounds: int) -> None:
    """Makes the files of all ranks, measures the command and prints its line."""
    paths = [folder / f"run.rank{rank}.jsonl" for rank in range(ranks)]
    for rank, path in enumerate(paths):
        write_rank(path, rank, steps, layers)
    command = [sys.executable, "-m", "gradsound", "info", *map(str, paths)]
    check(command)
    seconds, usages = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        usages.append(measure(command, folder / "modules"))
        seconds.append(time.perf_counter() - begin)
    processor, peak = (statistics.median(one) for one in zip(*usages))
    size = sum(path.stat().st_size for path in paths) / 1e6
    name = f"{ranks:,} ranks x {steps:,} x {layers}"
    print(
        f"{name:24} {ranks * steps:11,} {size:6.0f} {statistics.median(seconds):7.1f}s "
        f"{processor:9.1f}s {peak:.0f}",
        flush=True,
    )


def write_rank(path: Path, rank: int, steps: int, layers: int) -> None:
    """Writes the run file of one rank as gradsound does, with its waits and a loss."""
    random = np.random.default_rng(rank)
    norms = np.exp(0.05 * random.standard_normal((steps, layers)))
    waits = np.maximum(0.0, 0.01 + 0.002 * random.standard_normal(steps))
    if rank == _BAD:
        norms[steps // 2 :] *= 8
    if rank != _SLOW:
        waits[-steps // 3 :] += _WAIT_SECONDS
    with path.open("wb") as file:
        file.write(encode_header(make_header(layers)))
        for number, (row, wait) in enumerate(zip(norms.tolist(), waits.tolist())):
            listed = ", ".join(f"{norm:.9g}" for norm in row)
            loss = 0.5 + 3 / (1 + number / 500) ** 0.3
            file.write(
                f'{{"step": {number}, "time": {number * _STEP_SECONDS:.6f}, '
                f'"norms": [{listed}], "values": {{"loss": {loss:.6f}, '
                f'"reduction_wait": {wait:.6f}}}}}\n'.encode()
            )


def check(command: list[str]) -> None:
    """Raises RuntimeError if the command does not name the two ranks."""
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    if not re.search(rf"rank {_BAD} deviates; rank {_SLOW} is late", result.stdout):
        raise RuntimeError(f"the ranks are not named:\n{result.stdout}")


if __name__ == "__main__":
    main()
