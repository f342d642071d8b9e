"""Measures time and memory to read logs of other tools.

It makes synthetic logs with 20 norms and a loss a step. A process of its own reads each
log, and prints the seconds to open it (which reads it whole), the seconds to iterate over
its steps, and its peak resident memory. TensorBoard's own readers read the same event file
for comparison.

    python benchmarks/logs.py [--megabytes 300] [--peers 30]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from gradsound.logs.tensorboard import masked_crc32c

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = [*(f"grad_norm/layers.{k}.weight" for k in range(20)), "loss"]
KINDS = ("trainer_state.json", "tfevents", "x.wandb", "x.csv", "shuffled.csv", "mlflow")


def rows(megabytes: float, file: BinaryIO) -> Iterator[tuple[int, list[float]]]:
    """Yields steps with their values until a file has the wanted size."""
    random = np.random.default_rng(0)
    step = 0
    while file.tell() < megabytes * 1e6:
        for values in random.random((1000, len(NAMES))).tolist():
            yield step, values
            step += 1


def trainer_state(path: Path, megabytes: float) -> None:
    """Writes a ``trainer_state.json`` as Transformers does."""
    with path.open("wb") as file:
        file.write(b'{\n  "global_step": 1,\n  "log_history": [')
        for step, values in rows(megabytes, file):
            entry = json.dumps({**dict(zip(NAMES, values)), "step": step}, indent=2)
            file.write((",\n" if step else "\n").encode() + entry.encode())
        file.write(b"\n  ]\n}\n")


def field(number: int, data: bytes) -> bytes:
    """Returns a field of a protocol buffer that contains bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(number: int) -> bytes:
    """Returns a whole number as a protocol buffer encodes it."""
    groups = []  # of seven bits
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def events(path: Path, megabytes: float) -> None:
    """Writes an event file as torch.utils.tensorboard does: an event for every value."""
    with path.open("wb") as file:
        for step, values in rows(megabytes, file):
            head = b"\x09" + struct.pack("<d", 1.7e9 + step) + b"\x10" + varint(step)
            for name, value in zip(NAMES, values):
                entry = field(1, name.encode()) + b"\x15" + struct.pack("<f", value)
                event = head + field(5, field(1, entry))
                length = struct.pack("<Q", len(event))
                check = struct.pack("<I", masked_crc32c(length))
                file.write(length + check + event + struct.pack("<I", masked_crc32c(event)))


def wandb_run(path: Path, megabytes: float) -> None:
    """Writes a run file as W&B does: a record for every call of its log()."""
    with path.open("wb") as file:
        file.write(b":W&B\xe1\xbe\0")
        for step, values in rows(megabytes, file):
            named = {**dict(zip(NAMES, values)), "_step": step, "_timestamp": 1.7e9 + step}
            items = b"".join(
                field(1, field(2, name.encode()) + field(16, json.dumps(value).encode()))
                for name, value in named.items()
            )
            rest, kind = field(2, items), 1
            while rest:
                left = (1 << 15) - file.tell() % (1 << 15)
                if left < 7:
                    file.write(bytes(left))
                    continue
                piece, rest = rest[: left - 7], rest[left - 7 :]
                if rest:
                    kind = 2 if kind == 1 else 3
                elif kind != 1:
                    kind = 4
                check = zlib.crc32(piece, zlib.crc32(bytes([kind])))
                file.write(struct.pack("<IHB", check, len(piece), kind) + piece)


def table(path: Path, megabytes: float) -> None:
    """Writes a table as Lightning does; with shuffled steps if the file's name says so."""
    with path.open("wb") as file:
        file.write(",".join([*NAMES, "step"]).encode() + b"\n")
        shuffled = path.name.startswith("shuffled")
        for step, values in rows(megabytes, file):
            number = step ^ 0x5A5A if shuffled else step
            file.write(f"{','.join(map(repr, values))},{number}\n".encode())


def mlflow(path: Path, megabytes: float) -> None:
    """Writes a run as MLflow's file store does: a file for every name."""
    for name in NAMES:
        file = path / "metrics" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as opened:
            for step, values in rows(megabytes / len(NAMES), opened):
                opened.write(f"{1700000000000 + step} {values[0]} {step}\n".encode())
    (path / "meta.yaml").write_text("run_id: x\n")


WRITERS: dict[str, Callable[[Path, float], None]] = {
    "trainer_state.json": trainer_state,
    "tfevents": events,
    "x.wandb": wandb_run,
    "x.csv": table,
    "shuffled.csv": table,
    "mlflow": mlflow,
}


def read(path: str) -> None:
    """Reads a log with gradsound and prints time and memory."""
    from gradsound import read_run

    begin = time.perf_counter()
    run = read_run(path)
    opened = time.perf_counter()
    steps = sum(1 for _ in run.steps)
    report(steps, opened - begin, time.perf_counter() - opened)


def loader(path: str) -> None:
    """Reads events with TensorBoard's loader, which keeps none in memory."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    begin = time.perf_counter()
    count = sum(1 for _ in EventFileLoader(path).Load())
    report(count, time.perf_counter() - begin)


def accumulator(path: str) -> None:
    """Reads events with TensorBoard's accumulator, which tbparse uses too."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    begin = time.perf_counter()
    events = EventAccumulator(path, size_guidance={"scalars": 0})
    events.Reload()
    count = sum(len(events.Scalars(name)) for name in events.Tags()["scalars"])
    report(count, time.perf_counter() - begin)


def report(count: int, *seconds: float) -> None:
    """Prints how many steps or values were read, the times, and the peak memory."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times = " + ".join(f"{time:6.1f} s" for time in seconds)
    print(f"{count:9,}  {times}  {resident:6.0f} MiB at most", flush=True)


def main() -> None:
    """Prints a line for each log and reader."""
    parser = argparse.ArgumentParser(description="Reading logs of other tools.")
    parser.add_argument("--megabytes", type=float, default=300)
    parser.add_argument(
        "--peers",
        type=float,
        default=30,
        help="of the event file for TensorBoard's readers",
    )
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    parser.add_argument("--of", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.of:
        globals()[options.of[0]](options.of[1])
        return
    print(
        f"{platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    )
    with tempfile.TemporaryDirectory() as folder:

        def measure(kind: str, megabytes: float, *readers: str) -> None:
            path = Path(folder, kind)
            WRITERS[kind](path, megabytes)
            for reader in readers:
                print(f"{kind:18} {megabytes:6.0f} MB  {reader:11}", end=" ", flush=True)
                command = [sys.executable, __file__, "--of", reader, str(path)]
                subprocess.run(command, check=True)
            subprocess.run(["rm", "-r", path], check=True)  # noqa: S607

        for kind in options.kinds:
            for megabytes in (options.megabytes / 10, options.megabytes):
                measure(kind, megabytes, "read")
        if options.peers:
            measure("tfevents", options.peers, "read", "loader", "accumulator")


if __name__ == "__main__":
    main()
