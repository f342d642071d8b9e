"""Measures what long and deep runs cost: processor seconds and peak memory of commands.

Each line is the median over rounds. In a round, this build and another one (``--base``, the
Python of an environment that has it) run the same command in turns, and the other one runs
it a second time as the control. Without ``--base``, this build is its own control.

    python benchmarks/scale.py [--base PYTHON] [--rounds 3] [--long] [WORK ...]

A work is the beginning of a line of the table, such as ``info`` or ``"plot 100,000"``.
``--long`` adds a run of a million steps. `serve` is measured until a client has the first
picture of the page. Before the rounds, each build runs the command once, so that Python has
compiled its modules.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from machine import machine, threads
from pairs import measure_pairs, surroundings
from runs import write_run

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.pages import Page

_FIRST_PICTURE_SECONDS = 120.0
_PICTURE = 2  # the first byte of a message with slices of the picture


@dataclass(frozen=True)
class Work:
    """One line of the table.

    Attributes:
        name: What the line says.
        size: Steps and layers of the run.
        arguments: Of the command; RUN and OUT stand for files.
    """

    name: str
    size: tuple[int, int]
    arguments: tuple[str, ...]


_SHORT, _LONG, _DEEP, _WIDE = (200, 4), (100_000, 4), (20_000, 300), (10_000, 100)
_RENDER = ("render", "RUN", "-o", "OUT.wav")
_MINUTE = (*_RENDER, "--duration", "60")
_MILLION = Work("info 1,000,000 x 4", (1_000_000, 4), ("info", "RUN"))
WORKS = (
    Work("info 200 x 4", _SHORT, ("info", "RUN")),
    Work("help", _SHORT, ("--help",)),
    Work("info 100,000 x 4", _LONG, ("info", "RUN")),
    Work("info 20,000 x 300", _DEEP, ("info", "RUN")),
    Work("plot 100,000 x 4", _LONG, ("plot", "RUN", "-o", "OUT.png")),
    Work("render 60 s of 100,000 x 4", _LONG, _MINUTE),
    Work("render 60 s of 20,000 x 300", _DEEP, _MINUTE),
    Work("render 10,000 x 100", _WIDE, _RENDER),
    Work("serve 100,000 x 4", _LONG, ("serve", "RUN", "--port", "0")),
)
# Runs a command from a small process, because a child counts the memory of its parent.
_LAUNCHER = """
import os, signal, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
signal.signal(signal.SIGINT, lambda *_: process.send_signal(signal.SIGINT))
_, status, usage = os.wait4(process.pid, 0)
with open(sys.argv[1], "w") as file:
    print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, file=file)
os._exit(os.waitstatus_to_exitcode(status) & 255)
"""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("works", nargs="*", metavar="WORK")
    parser.add_argument("--base", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    works = [*WORKS, *([_MILLION] if options.long else [])]
    if options.works:
        works = [work for work in works if work.name.startswith(tuple(options.works))]
    print(machine(threads(), f"{options.rounds} rounds"))
    print(f"{'':30} {'base':>8} {'this':>8} {'ratio':>7} {'control':>8} {'base MB':>9} MB")
    with tempfile.TemporaryDirectory() as folder:
        for work in works:
            print_line(work, options.base, options.rounds, Path(folder))


def print_line(work: Work, base: str, rounds: int, folder: Path) -> None:
    """Measures a work in all builds and prints its line."""
    path = folder / f"{work.size[0]}-{work.size[1]}.jsonl"
    if not path.exists():
        write_run(path, *work.size)
    arguments = [
        str(path) if part == "RUN" else part.replace("OUT", str(folder / "out"))
        for part in work.arguments
    ]
    pairs = measure_pairs(
        lambda python: measure([python, "-m", "gradsound", *arguments], folder / "modules"),
        base,
        rounds,
    )
    print(
        f"{work.name:30} {pairs.base:7.2f}s {pairs.this:7.2f}s {pairs.ratio:7.3f} "
        f"{pairs.control:8.3f} {pairs.base_peak:9.0f} {pairs.this_peak:.0f}",
        flush=True,
    )


def measure(command: list[str], modules: Path) -> tuple[float, float]:
    """Returns the processor seconds and the peak megabytes of a command.

    Args:
        command: The words of its command line.
        modules: A folder for compiled modules, which Python may have been told not to keep.

    Raises:
        RuntimeError: If the command fails.
    """
    serves = "serve" in command
    with tempfile.NamedTemporaryFile("r") as usage:
        process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", _LAUNCHER, usage.name, *command],
            stdout=subprocess.PIPE if serves else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if serves else None,
            text=True,
            **surroundings(modules),
        )
        if serves:
            wait_for_picture(process)
            process.send_signal(signal.SIGINT)
        ended = process.wait()
        if ended not in ((0, 130, 254) if serves else (0,)):
            raise RuntimeError(f"{' '.join(command)} ended with {ended}")
        seconds, peak = map(float, usage.read().split())
    return seconds, peak


def wait_for_picture(process: subprocess.Popen[str]) -> None:
    """Waits until the page of a server that starts has the first slices of its picture.

    Raises:
        RuntimeError: If the server ends before.
        TimeoutError: If there is no picture in time.
    """
    url = None
    for line in process.stdout or ():
        if url := re.search(r"http://\S+", line):
            break
    if url is None:
        raise RuntimeError("the server ended")
    page = Page(url[0])
    end = time.monotonic() + _FIRST_PICTURE_SECONDS
    while time.monotonic() < end:
        for message in page.receive_raw():
            if not isinstance(message, str) and message[0] == _PICTURE:
                return
        time.sleep(0.01)
    raise TimeoutError("no picture came")


if __name__ == "__main__":
    main()
