"""How long logs of other tools take to read, and in how much memory.

Logs are made up, of 20 norms and a loss a step, and each is read by a process of its own:
seconds to open it (which reads it whole) and to go through its steps, and the most that was
resident. Beside it, what TensorBoard's own readers take for the same event file.

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

from gradsound.logs.tensorboard import _masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = [*(f"grad_norm/layers.{k}.weight" for k in range(20)), "loss"]
KINDS = ("trainer_state.json", "tfevents", "x.wandb", "x.csv", "shuffled.csv", "mlflow")


def rows(megabytes: float, file: BinaryIO) -> Iterator[tuple[int, list[float]]]:
    """Steps with their numbers, until a file is that long."""
    random = np.random.default_rng(0)
    step = 0
    while file.tell() < megabytes * 1e6:
        for numbers in random.random((1000, len(NAMES))).tolist():
            yield step, numbers
            step += 1


def trainer_state(path: Path, megabytes: float) -> None:
    """As Transformers writes it."""
    with path.open("wb") as file:
        file.write(b'{\n  "global_step": 1,\n  "log_history": [')
        for step, numbers in rows(megabytes, file):
            entry = json.dumps({**dict(zip(NAMES, numbers)), "step": step}, indent=2)
            file.write((",\n" if step else "\n").encode() + entry.encode())
        file.write(b"\n  ]\n}\n")


def field(number: int, data: bytes) -> bytes:
    """A field of a protocol buffer that is bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(number: int) -> bytes:
    """A number of a protocol buffer."""
    some = []
    while number > 0x7F:
        some.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*some, number])


def events(path: Path, megabytes: float) -> None:
    """As torch.utils.tensorboard writes it: an event for every number."""
    with path.open("wb") as file:
        for step, numbers in rows(megabytes, file):
            head = b"\x09" + struct.pack("<d", 1.7e9 + step) + b"\x10" + varint(step)
            for name, number in zip(NAMES, numbers):
                value = field(1, name.encode()) + b"\x15" + struct.pack("<f", number)
                event = head + field(5, field(1, value))
                length = struct.pack("<Q", len(event))
                check = struct.pack("<I", _masked(length))
                file.write(length + check + event + struct.pack("<I", _masked(event)))


def wandb_run(path: Path, megabytes: float) -> None:
    """As W&B writes it, a record for every call of its log()."""
    with path.open("wb") as file:
        file.write(b":W&B\xe1\xbe\0")
        for step, numbers in rows(megabytes, file):
            named = {**dict(zip(NAMES, numbers)), "_step": step, "_timestamp": 1.7e9 + step}
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
    """As Lightning writes it; if it is to be shuffled, with steps in another order."""
    with path.open("wb") as file:
        file.write(",".join([*NAMES, "step"]).encode() + b"\n")
        shuffled = path.name.startswith("shuffled")
        for step, numbers in rows(megabytes, file):
            place = step ^ 0x5A5A if shuffled else step
            file.write(f"{','.join(map(repr, numbers))},{place}\n".encode())


def mlflow(path: Path, megabytes: float) -> None:
    """As MLflow's file store has it: a file for every name."""
    for name in NAMES:
        file = path / "metrics" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as opened:
            for step, numbers in rows(megabytes / len(NAMES), opened):
                opened.write(f"{1700000000000 + step} {numbers[0]} {step}\n".encode())
    (path / "meta.yaml").write_text("run_id: x\n")


MAKERS: dict[str, Callable[[Path, float], None]] = {
    "trainer_state.json": trainer_state,
    "tfevents": events,
    "x.wandb": wandb_run,
    "x.csv": table,
    "shuffled.csv": table,
    "mlflow": mlflow,
}


def read(path: str) -> None:
    """Reads a log, and prints what it took."""
    from gradsound import read_run

    begin = time.perf_counter()
    run = read_run(path)
    opened = time.perf_counter()
    steps = sum(1 for _ in run.steps)
    tell(steps, opened - begin, time.perf_counter() - opened)


def loader(path: str) -> None:
    """Reads events with TensorBoard's loader, which keeps none."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    begin = time.perf_counter()
    count = sum(1 for _ in EventFileLoader(path).Load())
    tell(count, time.perf_counter() - begin)


def accumulator(path: str) -> None:
    """Reads events with TensorBoard's accumulator, of which tbparse makes its tables."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    begin = time.perf_counter()
    found = EventAccumulator(path, size_guidance={"scalars": 0})
    found.Reload()
    count = sum(len(found.Scalars(name)) for name in found.Tags()["scalars"])
    tell(count, time.perf_counter() - begin)


def tell(count: int, *seconds: float) -> None:
    """Prints figures of this process."""
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    took = " + ".join(f"{some:6.1f} s" for some in seconds)
    print(f"{count:9,}  {took}  {resident:6.0f} MiB at most", flush=True)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Reading logs of other tools.")
    parser.add_argument("--megabytes", type=float, default=300)
    parser.add_argument("--peers", type=float, default=30, help="for TensorBoard's readers")
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

        def measure(kind: str, megabytes: float, *how: str) -> None:
            path = Path(folder, kind)
            MAKERS[kind](path, megabytes)
            for one in how:
                print(f"{kind:18} {megabytes:6.0f} MB  {one:11}", end=" ", flush=True)
                line = [sys.executable, __file__, "--of", one, str(path)]
                subprocess.run(line, check=True)
            subprocess.run(["rm", "-r", path], check=True)  # noqa: S607

        for kind in options.kinds:
            for megabytes in (options.megabytes / 10, options.megabytes):
                measure(kind, megabytes, "read")
        if options.peers:
            measure("tfevents", options.peers, "read", "loader", "accumulator")


if __name__ == "__main__":
    main()
