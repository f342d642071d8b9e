"""Trains for a day with gradsound and prints memory, files and lost steps every hour.

A small model makes 20 steps a second. They go to a run file, a WAV file and a page with one
listener. libfaketime shortens the day: every process except the listener sees a clock that
runs ``--speed`` times as fast, and does in that time what it does in a day.

    python tests/stress/soak.py [--hours 24] [--speed 50] [--folder FOLDER]

It needs ``pip install '.[web]'`` and libfaketime (``apt install libfaketime``).
``--speed 1`` takes a real day and needs no libfaketime. It writes some 4.5 GB.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import soundfile
import torch
from torch import nn
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import gradsound

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
from machine import machine

RATE = 20  # steps a second
HOUR = 3600 * RATE  # steps
NOTES, HEAD = 1, struct.Struct("<IIddII")  # kind and head of a message: docs/web.md
COLUMN = struct.Struct("<dII")


def train(hours: float) -> None:
    """Runs the trainer; prints a line of JSON at the beginning and every hour."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    batches = torch.randn(64, 8, 16)
    steps, warned = round(hours * HOUR), []
    warnings.showwarning = lambda message, *_, **__: warned.append(str(message))
    attachment = gradsound.listen(model, optimizer, web=True, wav="run.wav")
    begin = time.monotonic()

    def report(step: int, traced: int | None = None) -> None:
        delay = time.monotonic() - begin - step / RATE
        gc.collect()
        numbers = {"step": step, "delay": delay, "blocks": sys.getallocatedblocks()}
        row = {**numbers, "traced": traced, "url": attachment.url, "warned": warned}
        print(json.dumps(row), flush=True)
        warned.clear()

    report(0)
    for step in range(steps):
        if step % HOUR == 0 and step // HOUR in (1, (steps - 1) // HOUR):
            tracemalloc.start()  # traces the second hour and the last
        optimizer.zero_grad()
        model(batches[step % 64]).square().mean().backward()
        optimizer.step()
        if (step + 1) % HOUR == 0 or step + 1 == steps:
            gc.collect()
            traced = (
                tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else None
            )
            tracemalloc.stop()
            report(step + 1, traced)
        ahead = begin + (step + 1) / RATE - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    attachment.close()
    report(steps)


@dataclass(slots=True)
class Listener:
    """A client of the page's socket that counts messages and keeps none.

    Attributes:
        url: Address of the page.
        moments: Number of moments with sound.
        merged: Number of moments that merge several steps.
        steps: Number of steps in all moments.
        before: Number of steps before the first moment.
        missed: Number of steps between two moments that are in neither.
        pictured: Number of the last step in the picture.
        last: Number of the last step with sound.
        received: Bytes received.
        captions: Number of captions.
        reconnects: Number of connections after the first.
        over: Whether the server sent the end of the run.
    """

    url: str
    moments: int = 0
    merged: int = 0
    steps: int = 0
    before: int = 0
    missed: int = 0
    pictured: int = -1
    last: int = -1
    received: int = 0
    captions: int = 0
    reconnects: int = -1
    over: bool = False

    def listen(self) -> None:
        """Receives messages until the run is over or the server is gone."""
        origin = f"http://{urlsplit(self.url).netloc}"
        address = self.url.replace("http", "ws", 1) + "socket"
        with suppress(OSError):
            while not self.over:
                self.reconnects += 1
                since = f"{address}?since={self.pictured}"
                with (
                    connect(since, origin=origin, max_size=None) as page,
                    suppress(ConnectionClosed),
                ):
                    for message in page:
                        self._count(message)
                time.sleep(0.1)

    def _count(self, message: str | bytes) -> None:
        self.received += len(message)
        if isinstance(message, str):
            kind = json.loads(message)["kind"]
            self.captions += kind == "caption"
            self.over |= kind == "over"
        elif struct.unpack_from("<I", message) == (NOTES,):
            *_, first, last = HEAD.unpack_from(message)
            if first <= last:
                if not self.moments:
                    self.before, self.last = first, first - 1
                self.moments += 1
                self.merged += first < last
                self.steps += last - first + 1
                self.missed += max(0, first - self.last - 1)
                self.last = last
        elif (count := struct.unpack_from("<II", message)[1]) > 0:
            size = (len(message) - 8) // count
            self.pictured = COLUMN.unpack_from(message, 8 + size * (count - 1))[2]


def processes(trainer: int) -> dict[str, int]:
    """Returns the process numbers of the trainer and its workers, by name."""
    pids = {"trainer": trainer}
    for task in Path(f"/proc/{trainer}/task").iterdir():
        for pid in (task / "children").read_text().split():
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
            for name in "render_file", "serve_page":
                if f"{name} import main" in command:
                    pids[name] = int(pid)
    return pids


def resident(pid: int | None) -> float:
    """Returns the resident memory of a process in MB; NaN if it has ended."""
    with suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6 or float("nan")
    return float("nan")


def open_files(*pids: int | None) -> int:
    """Returns the number of open files of all processes."""
    count = 0
    for pid in pids:
        with suppress(OSError):
            count += len([*Path(f"/proc/{pid}/fd").iterdir()])
    return count


def watch(trainer: subprocess.Popen[str], peaks: dict[str, float]) -> None:
    """Keeps the peak memory of each process in MB; polls every second."""
    while trainer.poll() is None:
        with suppress(OSError):
            for name, pid in processes(trainer.pid).items():
                peaks[name] = np.nanmax([peaks.get(name, 0.0), resident(pid)])
        time.sleep(1)


def faster(speed: float) -> dict[str, str]:
    """Returns environment variables that make clocks run faster by a factor."""
    if speed == 1:
        return {}
    for folder in Path("/usr/lib").glob("*/faketime"):
        clock = {"LD_PRELOAD": str(folder / "libfaketime.so.1")}
        return {**clock, "FAKETIME": f"+0 x{speed:g}"}
    raise SystemExit("libfaketime is not installed: apt install libfaketime, or --speed 1")


def soak(hours: float, speed: float) -> None:
    """Trains in a process of its own; prints a line for each hour and a summary."""
    begin = time.monotonic()
    command = [sys.executable, str(Path(__file__).resolve()), "--train", str(hours)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | faster(speed)
    ) as trainer:
        listener, peaks = None, {}
        watcher = threading.Thread(target=watch, args=(trainer, peaks))
        watcher.start()
        print(
            "  hour      steps  delay    trainer  objects     renderer    page  files"
            "     log     WAV moments  in real time"
        )
        for line in trainer.stdout:
            row = json.loads(line)
            if listener is None:
                listener = Listener(row["url"])
                thread = threading.Thread(target=listener.listen)
                thread.start()
            pids = processes(trainer.pid)
            sizes = [
                sum(p.stat().st_size for p in Path().glob(f"run*.{end}*")) / 1e6
                for end in ("jsonl", "wav")
            ]
            print(
                f"  {row['step'] / HOUR:4.1f} {row['step']:10,} {row['delay']:5.0f} s "
                f"{resident(trainer.pid):7.1f} MB {row['blocks']:8,} "
                f"{resident(pids.get('render_file')):9.1f} MB "
                f"{resident(pids.get('serve_page')):6.1f} "
                f"{open_files(*pids.values()):6} {sizes[0]:7.1f} {sizes[1]:7.1f} "
                f"{listener.moments:7,} {(time.monotonic() - begin) / 60:6.1f} min",
                flush=True,
            )
            if row["traced"] is not None:
                print(f"       not freed in this hour: {row['traced'] / 1e3:.1f} kB")
            for warned in row["warned"]:
                print(f"       warned: {warned}")
    thread.join()
    watcher.join()
    print("peaks: " + ", ".join(f"{name} {size:.1f} MB" for name, size in peaks.items()))
    print(f"the trainer ended with {trainer.returncode}; {listener}")


def check(steps: int) -> None:
    """Checks run file and sound file; prints what they hold."""
    run, count, last = gradsound.read_run("run.jsonl"), 0, -1
    in_order = True
    for step in run.steps:
        in_order &= step.number == last + 1
        count, last = count + 1, step.number
    print(f"run.jsonl: {count:,} steps of {steps:,}, the last {last:,}, {in_order=}")
    info = soundfile.info("run.wav")
    end, _ = soundfile.read("run.wav", start=info.frames - info.samplerate)
    size = Path("run.wav").stat().st_size
    print(
        f"run.wav: {size:,} bytes, {info.frames:,} frames, {info.channels} channels, "
        f"{info.duration / 3600:.2f} hours, opens; its last second peaks at "
        f"{abs(end).max():.3f}"
    )
    print(f"left in the folder: {', '.join(sorted(p.name for p in Path().iterdir()))}")


def main() -> None:
    """Parses the command line and runs the soak."""
    parser = argparse.ArgumentParser(description="Train for a day with gradsound.")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--speed", type=float, default=50.0)
    parser.add_argument("--folder", type=Path, help="folder for the files, which stays")
    parser.add_argument("--train", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train is not None:
        train(arguments.train)
        return
    print(machine(f"{arguments.hours:g} hours", f"{arguments.speed:g} times as fast"))
    with tempfile.TemporaryDirectory() as folder:
        where = arguments.folder or Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        os.chdir(where)
        soak(arguments.hours, arguments.speed)
        check(round(arguments.hours * HOUR))


if __name__ == "__main__":
    main()
