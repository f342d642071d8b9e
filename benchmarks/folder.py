"""Measures what a folder with many runs costs: bytes, files, `list`, the page of the list.

    python benchmarks/folder.py [--runs 1000] [--steps 1000] [--minutes 1]

Each run has four layers, and a value with each step. The page is a WebSocket client that
has the list open. The server's processor seconds count once it has found all alarms: first
while no run grows, then while ten more runs grow by a step a second.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from machine import machine
from websockets.sync.client import connect

from gradsound.runs.header_line import encode_header
from gradsound.runs.model import Header
from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block
from gradsound.runs.step_line import encode_block
from gradsound.runs.writer import RunWriter

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.pages import served

_LAYERS = 4, 100, 1000
_FOLDERS = 10  # in which the runs lie
_GROWING = 10
_RNG = np.random.default_rng(0)


def make_steps(layers: int, count: int) -> list[Step]:
    """Returns steps with log-normal norms and a loss."""
    norms = _RNG.lognormal(0.0, 0.3, (count, layers)).astype(np.float32)
    return [
        Step(k, k / 10, row, np.zeros(layers, bool), values={"loss": float(row[0])})
        for k, row in enumerate(norms)
    ]


def make_header(layers: int, comment: str = "") -> Header:
    """Returns the header of a run whose layers have names as those of a transformer."""
    names = tuple(f"blocks.{k}.attention" for k in range(layers))
    start = "2026-11-29T12:00:00+00:00"
    return Header(layers=names, parameters=(65_536,) * layers, start=start, comment=comment)


def print_bytes() -> None:
    """Prints the bytes of a step, also by gzip, and those of a header."""
    print("bytes               a step  gzip: whole  a member a step  a header")
    for layers in _LAYERS:
        text = encode_block(make_block(make_steps(layers, 1000)))
        lines = text.splitlines(keepends=True)
        sizes = [
            sum(map(len, parts)) / len(lines)
            for parts in (
                lines,
                [gzip.compress(b"".join(lines))],
                map(gzip.compress, lines),
            )
        ]
        plain, whole, member = (f"{size:,.0f}" for size in sizes)
        header = len(encode_header(make_header(layers)))
        print(f"{layers:5,} layers {plain:>13} {whole:>12} {member:>16} {header:9,}")


def write_runs(folder: Path, runs: int, steps: int) -> None:
    """Writes run files of four layers in a few folders."""
    body = encode_block(make_block(make_steps(4, steps)))
    for k in range(runs):
        path = folder / f"lr{k % _FOLDERS}" / f"seed{k // _FOLDERS}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode_header(make_header(4, f"seed {k}")) + body)


def time_command(*arguments: str) -> float:
    """Returns the processor seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "gradsound", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def processor_seconds(pid: int) -> float:
    """Returns the processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100  # the unit of Linux


def measure_page(folder: Path, runs: int, seconds: float) -> None:
    """Prints the processor seconds of a server whose list a page has open."""
    with served(folder, "--port", 0) as (url, server):
        origin = url[: url.index("/", len("http://"))]
        address = url.replace("http://", "ws://") + "socket"
        start = time.monotonic()
        with connect(address, origin=origin, max_size=None) as page:
            known = dict[str, bool]()
            first = 0.0
            while len(known) < runs or not all(known.values()):
                message = json.loads(page.recv(60))
                first = first or time.monotonic() - start
                for run in message.get("runs", ()):
                    known[run["id"]] = run["alarms"] is not None
            print(f"page: list of {runs:,} runs after {first:.2f} s, ", end="")
            print(f"alarms of all after {processor_seconds(server.pid):.1f} s of processor")

            def wait(work: str, action: object = None) -> None:
                before, end = processor_seconds(server.pid), time.monotonic() + seconds
                while time.monotonic() < end:
                    if callable(action):
                        action()
                    with suppress(TimeoutError):
                        page.recv(1)
                minute = (processor_seconds(server.pid) - before) * 60 / seconds
                print(f"page: {minute:.2f} s of processor a minute, {work}")

            wait("no run grows")
            writers = [
                RunWriter(folder / f"growing{k}.jsonl", make_header(4))
                for k in range(_GROWING)
            ]
            steps = iter(make_steps(4, 10_000))
            due = time.monotonic()

            def grow() -> None:
                nonlocal due
                while time.monotonic() > due:
                    due += 1.0
                    step = next(steps)
                    for writer in writers:
                        writer.write(make_block([step]))

            wait(f"{_GROWING} more runs grow by a step a second", grow)
            for writer in writers:
                writer.close()


def main() -> None:
    """Runs the measurements and prints them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=1.0)
    options = parser.parse_args()
    print(machine())
    print_bytes()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_runs(folder, options.runs, options.steps)
        size = sum(path.stat().st_size for path in folder.glob("*/*.jsonl"))
        print(f"{options.runs:,} runs of {options.steps:,} steps: {size / 1e6:,.0f} MB")
        time_command("--help")
        print(f"info of one run  {time_command('info', f'{folder}/lr0/seed0.jsonl'):.2f} s")
        print(f"list             {time_command('list', name):.2f} s")
        print(f"list --alarms    {time_command('list', name, '--alarms'):.2f} s")
        measure_page(folder, options.runs, 60 * options.minutes)


if __name__ == "__main__":
    main()
