"""A day of training, heard: whether anything grows, is lost, or ends.

Twenty steps a second of a small model go to a run file, a WAV file and a page with one
listener. The day is shortened by libfaketime, which has every process (not the listener)
see a clock that is ``--speed`` times as fast; what they do is what they do in a day.

    python benchmarks/soak.py [--hours 24] [--speed 50] [--folder FOLDER]

Needs ``pip install gradsound[web]`` and libfaketime (``apt install libfaketime``);
``--speed 1`` takes a real day, and needs none. Some 4.5 GB are written.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
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

RATE = 20  # steps a second
HOUR = 3600 * RATE  # steps
NOTES, HEAD = 1, struct.Struct("<IIddII")  # of a message: docs/web.md
COLUMN = struct.Struct("<dII")


def train(hours: float) -> None:
    """What the trainer does; it prints a line of JSON at the beginning and every hour."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    batches = torch.randn(64, 8, 16)
    steps, said = round(hours * HOUR), []
    warnings.showwarning = lambda message, *_, **__: said.append(str(message))
    attachment = gradsound.listen(model, optimizer, web=True, wav="run.wav")
    begin = time.monotonic()

    def tell(step: int, traced: int | None = None) -> None:
        late = time.monotonic() - begin - step / RATE
        gc.collect()
        figures = {"step": step, "late": late, "blocks": sys.getallocatedblocks()}
        told = {**figures, "traced": traced, "url": attachment.url, "warned": said}
        print(json.dumps(told), flush=True)
        said.clear()

    tell(0)
    for step in range(steps):
        if step % HOUR == 0 and step // HOUR in (1, (steps - 1) // HOUR):
            tracemalloc.start()  # of an hour at the beginning, and of the last
        optimizer.zero_grad()
        model(batches[step % 64]).square().mean().backward()
        optimizer.step()
        if (step + 1) % HOUR == 0 or step + 1 == steps:
            gc.collect()
            traced = (
                tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else None
            )
            tracemalloc.stop()
            tell(step + 1, traced)
        ahead = begin + (step + 1) / RATE - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    attachment.close()
    tell(steps)


@dataclass(slots=True)
class Listener:
    """A page, as far as its socket is concerned: it takes all it is told, and keeps none.

    Attributes:
        url: Where.
        moments: How many sounded.
        several: How many of them were of several steps.
        steps: How many steps sounded in them.
        before: How many steps had sounded when it began to listen.
        missed: How many steps did not sound, between two that did.
        seen: Number of the last step in the picture.
        last: Number of the last step that sounded.
        sent: Bytes that came.
        captions: How many.
        again: How often it had to connect again.
        over: Whether it was told that the run is over.
    """

    url: str
    moments: int = 0
    several: int = 0
    steps: int = 0
    before: int = 0
    missed: int = 0
    seen: int = -1
    last: int = -1
    sent: int = 0
    captions: int = 0
    again: int = -1
    over: bool = False

    def listen(self) -> None:
        """Until the run is over, or nobody answers."""
        origin = f"http://{urlsplit(self.url).netloc}"
        address = self.url.replace("http", "ws", 1) + "socket"
        with suppress(OSError):
            while not self.over:
                self.again += 1
                since = f"{address}?since={self.seen}"
                with (
                    connect(since, origin=origin, max_size=None) as page,
                    suppress(ConnectionClosed),
                ):
                    for message in page:
                        self._take(message)
                time.sleep(0.1)

    def _take(self, message: str | bytes) -> None:
        self.sent += len(message)
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
                self.several += first < last
                self.steps += last - first + 1
                self.missed += max(0, first - self.last - 1)
                self.last = last
        elif (count := struct.unpack_from("<II", message)[1]) > 0:
            size = (len(message) - 8) // count
            self.seen = COLUMN.unpack_from(message, 8 + size * (count - 1))[2]


def processes(trainer: int) -> dict[str, int]:
    """The pids of the trainer and of what it started, by name."""
    found = {"trainer": trainer}
    for task in Path(f"/proc/{trainer}/task").iterdir():
        for pid in (task / "children").read_text().split():
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
            for name in "render_file", "serve_page":
                if f"{name} import main" in command:
                    found[name] = int(pid)
    return found


def resident(pid: int | None) -> float:
    """Megabytes of a process; not a number if it has ended."""
    with suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6 or float("nan")
    return float("nan")


def open_files(*pids: int | None) -> int:
    """How many files processes have open."""
    count = 0
    for pid in pids:
        with suppress(OSError):
            count += len([*Path(f"/proc/{pid}/fd").iterdir()])
    return count


def watch(trainer: subprocess.Popen[str], most: dict[str, float]) -> None:
    """Keeps the most megabytes that each process had, a look a second."""
    while trainer.poll() is None:
        with suppress(OSError):
            for name, pid in processes(trainer.pid).items():
                most[name] = np.nanmax([most.get(name, 0.0), resident(pid)])
        time.sleep(1)


def faster(speed: float) -> dict[str, str]:
    """An environment in which clocks are as much faster."""
    if speed == 1:
        return {}
    for folder in Path("/usr/lib").glob("*/faketime"):
        clock = {"LD_PRELOAD": str(folder / "libfaketime.so.1")}
        return {**clock, "FAKETIME": f"+0 x{speed:g}"}
    raise SystemExit("libfaketime is not installed: apt install libfaketime, or --speed 1")


def soak(hours: float, speed: float) -> None:
    """Prints a line an hour, and what there is in the end."""
    begin = time.monotonic()
    command = [sys.executable, str(Path(__file__).resolve()), "--train", str(hours)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | faster(speed)
    ) as trainer:
        listener, most = None, {}
        watching = threading.Thread(target=watch, args=(trainer, most))
        watching.start()
        print(
            "  hour      steps   late    trainer  objects     follower    page  files"
            "     log     WAV   heard  in real time"
        )
        for line in trainer.stdout:
            told = json.loads(line)
            if listener is None:
                listener = Listener(told["url"])
                thread = threading.Thread(target=listener.listen)
                thread.start()
            pids = processes(trainer.pid)
            sizes = [
                sum(p.stat().st_size for p in Path().glob(f"run*.{end}*")) / 1e6
                for end in ("jsonl", "wav")
            ]
            print(
                f"  {told['step'] / HOUR:4.1f} {told['step']:10,} {told['late']:5.0f} s "
                f"{resident(trainer.pid):7.1f} MB {told['blocks']:8,} "
                f"{resident(pids.get('render_file')):9.1f} MB "
                f"{resident(pids.get('serve_page')):6.1f} "
                f"{open_files(*pids.values()):6} {sizes[0]:7.1f} {sizes[1]:7.1f} "
                f"{listener.moments:7,} {(time.monotonic() - begin) / 60:6.1f} min",
                flush=True,
            )
            if told["traced"] is not None:
                print(f"       left behind in this hour: {told['traced'] / 1e3:.1f} kB")
            for warned in told["warned"]:
                print(f"       warned: {warned}")
    thread.join()
    watching.join()
    print("at most " + ", ".join(f"{name} {size:.1f} MB" for name, size in most.items()))
    print(f"the trainer ended with {trainer.returncode}; {listener}")


def check(steps: int) -> None:
    """Prints whether everything is there."""
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
    """Prints the table."""
    parser = argparse.ArgumentParser(description="A day of training, heard.")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--speed", type=float, default=50.0)
    parser.add_argument("--folder", type=Path, help="where to write; it is kept")
    parser.add_argument("--train", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train is not None:
        train(arguments.train)
        return
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}; "
        f"{arguments.hours:g} hours, {arguments.speed:g} times as fast"
    )
    with tempfile.TemporaryDirectory() as folder:
        where = arguments.folder or Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        os.chdir(where)
        soak(arguments.hours, arguments.speed)
        check(round(arguments.hours * HOUR))


if __name__ == "__main__":
    main()
