"""Makes logs of other tools, as each tool writes them: 20 norms and a loss a step."""

from __future__ import annotations

import json
import struct
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from gradsound.logs.tensorboard.crc32c import masked_crc32c

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAMES = [*(f"grad_norm/layers.{k}.weight" for k in range(20)), "loss"]


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
                check = struct.pack("<I", masked_crc32c(event))
                file.write(record_head(len(event)) + event + check)


@lru_cache
def record_head(size: int) -> bytes:
    """Returns the head of a record with so many bytes of data."""
    length = struct.pack("<Q", size)
    return length + struct.pack("<I", masked_crc32c(length))


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
