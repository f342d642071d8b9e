"""Measures what it costs to read logs of other tools: processor seconds and peak memory.

It makes logs with 20 norms and a loss a step. For each, it prints the median over rounds.
In a round, this build and another one (``--base``, the Python of an environment that has
it) read the log in turns, and the other one reads it a second time as the control. Without
``--base``, this build is its own control. Below each log come the readers of the tools
themselves, with how many times this build is as fast. The seconds do not include imports.

    python benchmarks/logs.py [--base PYTHON] [--peers PYTHON] [--rounds 3] [LOG ...]

A log is one of those in the table, such as ``tfevents``. ``--peers`` is the Python of an
environment with TensorBoard, W&B, pandas and ijson; a reader that it lacks is said.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from log_files import WRITERS
from log_readers import MISSING
from machine import check_choices, machine
from pairs import measure_pairs, surroundings

PEERS = {
    "tfevents": ("loader", "accumulator"),
    "x.wandb": ("datastore",),
    "x.csv": ("pandas",),
    "trainer_state.json": ("json", "ijson"),
}
_READERS = Path(__file__).with_name("log_readers.py")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", nargs="*", metavar="LOG")
    parser.add_argument("--base", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--megabytes", type=float, nargs="*", default=[30, 300], help="sizes of the logs"
    )
    options = parser.parse_args()
    check_choices(parser, "log", options.logs, WRITERS)
    print(machine(f"{options.rounds} rounds"))
    head = f"{'':27} {'base':>8} {'this':>8} {'faster':>8} {'control':>8}"
    print(f"{head} {'base MB':>8} {'this MB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for megabytes in options.megabytes:
            for kind in options.logs or WRITERS:
                path = Path(folder, kind)
                WRITERS[kind](path, megabytes)
                print_lines(path, megabytes, options, Path(folder))
                subprocess.run(["rm", "-r", path], check=True)  # noqa: S607


def print_lines(
    path: Path, megabytes: float, options: argparse.Namespace, folder: Path
) -> None:
    """Measures the readers of a log and prints their lines."""

    def measure(python: str, reader: str = "gradsound") -> tuple[float, float]:
        return measure_reader([python, str(_READERS), reader, str(path)], folder)

    pairs = measure_pairs(measure, options.base, options.rounds)
    print(
        f"{path.name:20} {megabytes:3.0f} MB {pairs.base:7.2f}s {pairs.this:7.2f}s "
        f"{1 / pairs.ratio:7.1f}x {pairs.control:8.3f} "
        f"{pairs.base_peak:8.0f} {pairs.this_peak:8.0f}",
        flush=True,
    )
    for reader in PEERS.get(path.name, ()):
        try:
            seconds, peak = measure(options.peers, reader)
        except ModuleNotFoundError:
            print(f"  {reader}: not installed, or the tool has it no more")
            continue
        print(
            f"  {reader:25} {seconds:7.2f}s {'':8} {seconds / pairs.this:7.1f}x {'':8} "
            f"{peak:8.0f}",
            flush=True,
        )


def measure_reader(command: list[str], folder: Path) -> tuple[float, float]:
    """Returns the processor seconds and the peak megabytes of a reader.

    Args:
        command: The words of its command line.
        folder: For compiled modules, which Python may have been told not to keep.

    Raises:
        ModuleNotFoundError: If its tool is not installed.
    """
    read = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        **surroundings(folder / "modules"),
    )
    if read.stdout.strip() == MISSING:
        raise ModuleNotFoundError(command[2])
    seconds, peak = map(float, read.stdout.split()[-2:])
    return seconds, peak


if __name__ == "__main__":
    main()
