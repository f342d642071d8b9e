"""Reads a log in one of several ways, and prints processor seconds and peak megabytes.

    python benchmarks/log_readers.py READER PATH

The seconds do not include the imports. `MISSING` is printed if a tool is not installed.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MISSING = "missing"


def gradsound(path: str) -> Callable[[], object]:
    """Opens a run and iterates over its steps; in blocks, if the build has them."""
    from gradsound import read_run

    def read() -> int:
        run = read_run(path)
        if hasattr(run, "blocks"):
            return sum(len(block) for block in run.blocks())
        return sum(1 for _ in run.steps)

    return read


def loader(path: str) -> Callable[[], object]:
    """Reads events with TensorBoard's loader, which keeps none in memory."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    return lambda: sum(1 for _ in EventFileLoader(path).Load())


def accumulator(path: str) -> Callable[[], object]:
    """Reads events with TensorBoard's accumulator, which tbparse uses too."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read() -> int:
        events = EventAccumulator(path, size_guidance={"scalars": 0})
        events.Reload()
        return sum(len(events.Scalars(name)) for name in events.Tags()["scalars"])

    return read


def datastore(path: str) -> Callable[[], object]:
    """Reads records with W&B's own class, and their numbers with json."""
    import json

    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    def read() -> int:
        store, count = DataStore(), 0
        store.open_for_scan(path)
        while data := store.scan_data():
            record = Record()
            record.ParseFromString(data)
            count += sum(
                json.loads(item.value_json) is not None for item in record.history.item
            )
        return count

    return read


def pandas(path: str) -> Callable[[], object]:
    """Reads a table with pandas."""
    from pandas import read_csv

    return lambda: read_csv(path).to_numpy().sum()


def json(path: str) -> Callable[[], object]:
    """Reads a state with json of the standard library, which keeps all in memory."""
    from json import loads

    return lambda: len(loads(Path(path).read_bytes())["log_history"])


def ijson(path: str) -> Callable[[], object]:
    """Reads a state with ijson, entry by entry."""
    from ijson import items

    def read() -> int:
        with Path(path).open("rb") as file:
            return sum(1 for _ in items(file, "log_history.item", use_float=True))

    return read


def main() -> None:
    """Prints the two numbers."""
    try:
        read = globals()[sys.argv[1]](sys.argv[2])
    except ImportError:
        print(MISSING)
        return
    begin = time.process_time()
    read()
    seconds = time.process_time() - begin
    status = Path("/proc/self/status").read_text()
    kilobytes = int(status.split("VmHWM:")[1].split()[0])
    print(seconds, kilobytes / 1024)


if __name__ == "__main__":
    main()
