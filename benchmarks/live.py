"""What listening live costs, what is lost of the sound, and how late it is.

Played on a sound server of its own without hardware (PulseAudio's null sink), of which a
monitor hears every sample. Two loads: a CNN in training, and the same with calls of 50 to
100 ms that hold Python's lock. Both cores are busy: either with another training beside it,
or because it has two threads; these wait for each other at every operation, in loops that
take the processor, and a step may take ten times as long while both are on one core.
Beside ``gradsound.listen``: writing to the device in the loop, which is the shape of the
script of 2019, and in a thread.

    python benchmarks/live.py [--seconds 60] [times gaps delays start]
    python benchmarks/live.py --seconds 3600 soak

Needs ``pip install gradsound[live]``, pulseaudio and pulseaudio-utils.
"""

from __future__ import annotations

import argparse
import os
import platform
import queue
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from models import cnn, mlp

import gradsound
from gradsound.music.presets import PRESETS
from gradsound.output.sound_device import FRAMES
from gradsound.runs.model import Header, Step
from gradsound.runs.writer import RunWriter
from gradsound.workers.sinks import DeviceSink, Player

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.sound_server import RATE, SoundServer

TURN = 3.0  # seconds
SETTLED = 3.0  # seconds of training before; a player has begun then, its voices compiled
GONE = 1.0  # seconds of training after, until nothing is left of what was played
GAP = 32  # zeros that follow each other; a tone has fewer
# Notes without pauses or edges: what is silent then was lost.
DENSE = replace(
    PRESETS["notes"], voice="sine", note_seconds=0.05, rest_seconds=0.0, fade_seconds=0.0
)
# A note that is over before the next step comes, at twenty a second.
SHORT = replace(PRESETS["notes"], note_seconds=0.02, rest_seconds=0.015, fade_seconds=0.002)
Act = Callable[[], object]


class Monitor:
    """Hears what the server plays.

    Args:
        server: Where to listen.
        exact: Milliseconds that come together; fewer keep the machine busy.

    Attributes:
        onsets: When sound began after 10 ms of silence, in seconds of the clock.
        frames: How many were heard from the first sound to the last.
        lost: How many of them were silent.
        gaps: How often.
    """

    def __init__(self, server: SoundServer, exact: float = 50) -> None:
        self.onsets: list[float] = []
        self.frames = self.lost = self.gaps = 0
        self._silent = RATE  # frames, up to now
        options = f"--device=gs.monitor --raw --latency-msec={exact} --format=float32le"
        self._process = subprocess.Popen(
            ["/usr/bin/env", "parec", *options.split(), f"--rate={RATE}", "--channels=1"],
            env=os.environ | server.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        left = b""
        while data := os.read(self._process.stdout.fileno(), 1 << 16):
            now = time.monotonic()
            left += data
            whole = len(left) // 4 * 4
            samples, left = np.frombuffer(left[:whole], np.float32), left[whole:]
            self._hear(samples, now)

    def _hear(self, samples: np.ndarray, now: float) -> None:
        loud = np.flatnonzero(samples)
        begin = 0
        for first, last in _runs(loud):
            silent = self._silent + first - begin
            if silent > RATE // 100:
                self.onsets.append(now - (len(samples) - first) / RATE)
            if self.frames:
                self.frames += silent
                if silent >= GAP:
                    self.lost += silent
                    self.gaps += 1
            self.frames += last + 1 - first
            begin, self._silent = last + 1, 0
        self._silent += len(samples) - begin

    def end(self) -> None:
        """Hears no more."""
        time.sleep(0.3)
        self._process.kill()
        self._process.wait()
        self._thread.join()


def _runs(indices: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and last of numbers that follow each other."""
    cuts = np.flatnonzero(np.diff(indices) > 1) + 1
    for part in np.split(indices, cuts):
        if len(part):
            yield int(part[0]), int(part[-1])


class Load:
    """A CNN in training on all cores.

    Args:
        nasty: Whether Python's lock is held between its steps.
    """

    def __init__(self, *, nasty: bool) -> None:
        torch.manual_seed(0)
        self.model, self._x, self._y = cnn(64)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.0)
        self._loss_function, self._nasty = torch.nn.CrossEntropyLoss(), nasty
        self._numbers = [random.random() for _ in range(150_000)]

    def step(self, measure: Act) -> None:
        """One step of the optimizer."""
        self.optimizer.zero_grad()
        self._loss_function(self.model(self._x), self._y).backward()
        measure()
        self.optimizer.step()
        if self._nasty:
            sum(k * k for k in range(50_000))
            sorted(self._numbers)  # holds the lock from beginning to end

    def turn(self, measure: Act, seconds: float) -> float:
        """Seconds that a step takes."""
        steps, begin = 0, time.perf_counter()
        while (passed := time.perf_counter() - begin) < seconds:
            self.step(measure)
            steps += 1
        return passed / steps


@contextmanager
def bare(_: Load, frames: int) -> Iterator[Act]:
    """Nothing is played."""
    yield lambda: None


@contextmanager
def listening(load: Load, frames: int) -> Iterator[Act]:
    """Our own."""
    latency = next(name for name, size in FRAMES.items() if size == frames)
    with gradsound.listen(
        load.model, load.optimizer, log=fresh(), preset=DENSE, latency=latency
    ):
        yield lambda: None


def tones(load: Load) -> Iterator[bytes]:
    """What the script of 2019 plays for a step: 10 ms for each weight."""
    for module in load.model.modules():
        if hasattr(module, "weight"):
            hertz = 200.0 + 100.0 * module.weight.grad.norm().item()
            turn = 2 * np.pi * hertz / RATE * np.arange(441)
            yield np.cos(turn).astype(np.float32).tobytes()


@contextmanager
def stream(frames: int) -> Iterator[object]:
    """The device, in this process."""
    import pyaudio

    errors = os.dup(2)
    with Path(os.devnull).open("w") as nothing:  # PortAudio prints what it misses
        os.dup2(nothing.fileno(), 2)
    try:
        audio = pyaudio.PyAudio()
        opened = audio.open(
            RATE, 1, pyaudio.paFloat32, output=True, frames_per_buffer=frames
        )
        yield opened
        opened.close()
        audio.terminate()
    finally:
        os.dup2(errors, 2)
        os.close(errors)


@contextmanager
def in_the_loop(load: Load, frames: int) -> Iterator[Act]:
    """Each tone is written to the device by the loop, which waits."""
    with stream(frames) as device:

        def measure() -> None:
            for tone in tones(load):
                device.write(tone)

        yield measure


@contextmanager
def in_a_thread(load: Load, frames: int) -> Iterator[Act]:
    """A thread plays a tone, block by block, whose pitch the loop sets."""
    hertz: queue.Queue[float | None] = queue.Queue()

    def play(device: object) -> None:
        phase, pitch = 0.0, 440.0
        while True:
            while not hertz.empty():
                if (pitch := hertz.get()) is None:
                    return
            turns = phase + pitch / RATE * np.arange(1, frames + 1)
            phase = turns[-1] % 1
            device.write(np.cos(2 * np.pi * turns).astype(np.float32).tobytes())

    with stream(frames) as device:
        thread = threading.Thread(target=play, args=(device,))
        thread.start()
        weight = load.model[0].weight
        yield lambda: hertz.put(200.0 + 100.0 * weight.grad.norm().item())
        hertz.put(None)
        thread.join()


CASES = {
    "bare (control)": bare,
    "gradsound.listen": listening,
    "written in the loop": in_the_loop,
    "a thread": in_a_thread,
}


def fresh() -> str:
    """A name for a run file."""
    return f"{time.monotonic_ns()}.jsonl"


@contextmanager
def neighbour() -> Iterator[None]:
    """Another training, in one thread, has the second core; ours has one thread too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import live; live.train()"
    other = subprocess.Popen([sys.executable, "-c", code])
    time.sleep(5.0)  # until it has begun
    yield
    other.kill()
    other.wait()
    torch.set_num_threads(threads)


def train() -> None:
    """Trains for ever, in one thread."""
    torch.set_num_threads(1)
    Load(nasty=False).turn(lambda: None, np.inf)


def step_times(load: Load, rounds: int) -> None:
    """Prints what a step takes, against bare ones just after."""
    ratios: dict[str, list[float]] = {case: [] for case in CASES}
    bare_steps = []
    for _ in range(rounds):
        for case in random.sample([*CASES], len(CASES)):
            with CASES[case](load, FRAMES["safe"]) as measure:
                load.turn(measure, SETTLED)
                taken = load.turn(measure, TURN)
            load.turn(lambda: None, GONE)
            bare_steps.append(load.turn(lambda: None, TURN))
            ratios[case].append(taken / bare_steps[-1])
    low, middle, high = (1e3 * s for s in statistics.quantiles(bare_steps))
    print(f"  a bare step takes {middle:.1f} ms, half of them {low:.1f} to {high:.1f}")
    for case, found in ratios.items():
        low, middle, high = statistics.quantiles(found)
        print(f"  {case:28} {middle:6.3f} x, half of them {low:.3f} to {high:.3f}")


def gaps(load: Load, server: SoundServer, seconds: float) -> None:
    """Prints what is lost of a sound without pauses."""
    for case in [*CASES][1:]:
        for frames in FRAMES.values():
            with CASES[case](load, frames) as measure:
                load.turn(measure, SETTLED)
                monitor = Monitor(server)
                load.turn(measure, seconds)
                monitor.end()
            share = monitor.lost / max(1, monitor.frames)
            print(
                f"  {case:28} {frames:4} frames: {monitor.gaps:5} gaps in "
                f"{monitor.frames / RATE:.0f} s, {share:7.2%} lost",
                flush=True,
            )


def latencies(server: SoundServer, frames: int, seconds: float) -> list[float]:
    """Milliseconds from step to sound, of steps at random moments."""
    FRAMES[str(frames)] = frames
    monitor, begun = Monitor(server, 1), []
    with feeding(str(frames)) as (writer, player):
        for number in range(round(seconds / 0.1)):
            # No sooner after another than the ear can follow, or it would wait for that.
            time.sleep(random.uniform(0.09, 0.17))
            begun.append(time.monotonic())
            tell(writer, player, number)
    monitor.end()
    return late(begun, monitor.onsets)


@contextmanager
def feeding(latency: str) -> Iterator[tuple[RunWriter, Player]]:
    """A player, and the file that it plays."""
    path = Path(fresh())
    writer = RunWriter(path, Header(layers=("layer",), parameters=(1,), start=""), 1)
    reading = writer.readings[0].fileno()
    player = DeviceSink(latency=latency).begin(path, reading, SHORT)
    time.sleep(1.5)
    yield writer, player
    time.sleep(0.5)
    print(player.close(), end="")
    writer.close()


def tell(writer: RunWriter, player: Player, number: int) -> None:
    """Emits a step, as the training does."""
    norms, absent = np.array([1.0], np.float32), np.array([False])
    writer.write([Step(number, 0.1 * number, norms, absent)])
    player.ring()


def late(begun: list[float], onsets: list[float]) -> list[float]:
    """Milliseconds from each step to the first sound after it."""
    found = np.searchsorted(onsets, begun)
    return [
        1e3 * (onsets[index] - begin)
        for begin, index in zip(begun, found.tolist())
        if index < len(onsets)
    ]


def soak(server: SoundServer, seconds: float) -> None:
    """Prints what becomes of memory and delay, at twenty steps a second."""
    monitor, begun = Monitor(server, 10), []
    minute, start = 0, time.monotonic()
    with feeding("safe") as (writer, player):
        first = time.monotonic()
        while time.monotonic() - start < seconds:
            begun.append(time.monotonic())
            tell(writer, player, len(begun))
            time.sleep(max(0.0, first + 0.05 * len(begun) - time.monotonic()))
            if time.monotonic() - first > 60 * minute:
                recent = late(begun[-600:-20], monitor.onsets)
                delay = statistics.median(recent) if recent else float("nan")
                print(
                    f"  {minute:3} min: {len(begun):6} steps, {len(monitor.onsets):6} "
                    f"heard, {delay:5.1f} ms late, {resident(player):6.1f} MB resident",
                    flush=True,
                )
                minute += 1
    monitor.end()


def processes(player: Player) -> Iterator[Path]:
    """What the system says of the process that plays, and of that which has the device."""
    found = [player._process._process.pid]
    while found:
        process = Path(f"/proc/{found.pop()}")
        yield process
        for task in (process / "task").iterdir():
            found += map(int, (task / "children").read_text().split())


def resident(player: Player) -> float:
    """Megabytes of both."""
    pages = [int((p / "statm").read_text().split()[1]) for p in processes(player)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def at_work(player: Player) -> float:
    """Seconds of a processor that both have taken."""
    stats = [(p / "stat").read_text().rpartition(")")[2] for p in processes(player)]
    ticks = [int(tick) for stat in stats for tick in stat.split()[11:13]]
    return sum(ticks) / os.sysconf("SC_CLK_TCK")


def share(load: Load) -> None:
    """Prints how much of a core what plays takes, while the training goes on."""
    with gradsound.listen(
        load.model, load.optimizer, log=fresh(), preset=DENSE
    ) as attachment:
        load.turn(lambda: None, SETTLED)
        player, begin = attachment._recorder.player, time.monotonic()
        before = at_work(player)
        load.turn(lambda: None, 10.0)
        taken = (at_work(player) - before) / (time.monotonic() - begin)
        print(f"  what plays takes {taken:.1%} of a core", flush=True)


def first_sound(server: SoundServer, load: Load, when: str, go_on: Act) -> None:
    """Prints how long it takes to begin, if after one step the loop goes on like that."""
    begun, heard = [], []
    for _ in range(10):
        monitor, begin = Monitor(server, 10), time.monotonic()
        with gradsound.listen(load.model, load.optimizer, log=fresh(), preset=SHORT):
            begun.append(1e3 * (time.monotonic() - begin))
            load.step(lambda: None)
            while not monitor.onsets:
                go_on()
            heard.append(1e3 * (monitor.onsets[0] - begin))
        monitor.end()
    for what, taken in {"listen() takes": begun, "first sound after": heard}.items():
        middle, most = statistics.median(taken), max(taken)
        print(f"  {when}: {what} {middle:.0f} ms, {most:.0f} at most", flush=True)


def start(server: SoundServer) -> None:
    """Prints how long it takes to begin, and what a step of 100 layers costs the loop."""
    load = Load(nasty=False)
    first_sound(server, load, "both cores busy", lambda: load.step(lambda: None))
    first_sound(server, load, "nothing else to do", lambda: time.sleep(0.01))
    torch.set_num_threads(1)  # or what is timed is who else has the processor
    model, x, y = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    spent, steps = 0.0, 0
    with gradsound.listen(model, optimizer, log=fresh()) as attachment:
        record = attachment._monitor.queue.emit

        def timed(emitted: list[Step]) -> None:
            nonlocal spent, steps
            begin = time.perf_counter()
            record(emitted)
            spent += time.perf_counter() - begin
            steps += len(emitted)

        attachment._monitor.queue.emit = timed
        for _ in range(2000):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    print(f"  telling it of a step of 100 layers takes {1e6 * spent / steps:.0f} us")


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description="What listening live costs.")
    parts = ["times", "gaps", "delays", "start", "soak"]
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(parts))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    wanted = arguments.parts or parts[:-1]
    if unknown := {*wanted} - {*parts}:
        parser.error(f"no part {', '.join(unknown)}; there are: {', '.join(parts)}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        server = SoundServer()
        os.environ.update(server.environment)
        try:
            for name, nasty in {"CNN": False, "CNN and Python's lock": True}.items():
                load = Load(nasty=nasty)
                if "times" in wanted:
                    print(f"\n{name}, and another training beside it: time of a step")
                    with neighbour():
                        step_times(load, arguments.rounds)
                        share(load)
                    print(f"\n{name}, in two threads: time of a step")
                    step_times(load, arguments.rounds)
                    share(load)
                if "gaps" in wanted:
                    print(f"\n{name}: sound lost")
                    gaps(load, server, arguments.seconds)
            if "delays" in wanted:
                print("\nFrom step to sound")
                for frames in (128, 256, 512):
                    found = latencies(server, frames, arguments.seconds)
                    p50, p99 = np.percentile(found, [50, 99])
                    print(f"  {frames} frames: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
            if "start" in wanted:
                print("\nTo begin with")
                start(server)
            if "soak" in wanted:
                print("\nTwenty steps a second")
                soak(server, arguments.seconds)
        finally:
            server.remove()
            os.chdir("/")


if __name__ == "__main__":
    main()
