"""Measures what live sound costs the training, how much of it is lost, and its delay.

It plays on a sound server of its own without hardware (PulseAudio's null sink). A monitor
records every sample. There are two loads: a CNN in training; and the same CNN with calls of
50 to 100 ms that hold Python's lock (the GIL). Both cores are busy, in one of two ways:

- A second training uses the other core.
- The training has two threads. They wait for each other at every operation, in loops that
  take the processor; a step may take ten times as long while both are on one core.

Besides ``gradsound.listen``, it measures two simpler players: the training loop writes to
the device, as the script of 2019 does; and a thread of the training process does.

    python benchmarks/live.py [--seconds 60] [times gaps delays start]
    python benchmarks/live.py --seconds 3600 soak

It needs ``pip install '.[live]'``, pulseaudio and pulseaudio-utils.
"""

from __future__ import annotations

import argparse
import os
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
from machine import check_parts, machine, threads
from models import cnn, mlp

import gradsound
from gradsound.music.presets import PRESETS
from gradsound.output.sound_device import BLOCK_FRAMES
from gradsound.runs.model import Header, Step
from gradsound.runs.writer import RunWriter
from gradsound.workers.sinks import DeviceSink, Player

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.sound_server import RATE, SoundServer

TURN_SECONDS = 3.0  # of a measurement
SETTLE_SECONDS = 3.0  # of training before it; a player has compiled its voices then
DRAIN_SECONDS = 1.0  # of training after it, until the device has played its last block
GAP_FRAMES = 32  # of zeros in a row, at least; a tone has fewer
# Notes without rests or fades, so all silence is lost sound.
DENSE = replace(
    PRESETS["notes"], voice="sine", note_seconds=0.05, rest_seconds=0.0, fade_seconds=0.0
)
# Notes that end before the next of twenty steps a second.
SHORT = replace(PRESETS["notes"], note_seconds=0.02, rest_seconds=0.015, fade_seconds=0.002)
Call = Callable[[], object]


class Monitor:
    """Records the output of a sound server and finds onsets and gaps in it.

    Args:
        server: The sound server.
        latency: Milliseconds of sound that arrive together; shorter ones load the machine.

    Attributes:
        onsets: Times at which sound began after 10 ms of silence, in seconds of the clock.
        frames: Frames from the first sound to the last.
        lost: Silent frames among them.
        gaps: Number of stretches of silent frames.
    """

    def __init__(self, server: SoundServer, latency: float = 50) -> None:
        self.onsets: list[float] = []
        self.frames = self.lost = self.gaps = 0
        self._silent = RATE  # frames of silence up to now
        options = f"--device=gs.monitor --raw --latency-msec={latency} --format=float32le"
        self._process = subprocess.Popen(
            ["/usr/bin/env", "parec", *options.split(), f"--rate={RATE}", "--channels=1"],
            env=os.environ | server.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._thread = threading.Thread(target=self._record, daemon=True)
        self._thread.start()

    def _record(self) -> None:
        remainder = b""
        while data := os.read(self._process.stdout.fileno(), 1 << 16):
            now = time.monotonic()
            data = remainder + data
            whole = len(data) // 4 * 4
            samples, remainder = np.frombuffer(data[:whole], np.float32), data[whole:]
            self._analyse(samples, now)

    def _analyse(self, samples: np.ndarray, now: float) -> None:
        begin = 0
        for first, last in _stretches(np.flatnonzero(samples)):
            silent = self._silent + first - begin
            if silent > RATE // 100:
                self.onsets.append(now - (len(samples) - first) / RATE)
            if self.frames:
                self.frames += silent
                if silent >= GAP_FRAMES:
                    self.lost += silent
                    self.gaps += 1
            self.frames += last + 1 - first
            begin, self._silent = last + 1, 0
        self._silent += len(samples) - begin

    def end(self) -> None:
        """Ends the recording."""
        time.sleep(0.3)
        self._process.kill()
        self._process.wait()
        self._thread.join()


def _stretches(indices: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields the first and the last number of each stretch of consecutive numbers."""
    cuts = np.flatnonzero(np.diff(indices) > 1) + 1
    for part in np.split(indices, cuts):
        if len(part):
            yield int(part[0]), int(part[-1])


class Load:
    """A CNN in training.

    Args:
        holds_lock: Whether it holds Python's lock for a while after each step.
    """

    def __init__(self, *, holds_lock: bool) -> None:
        torch.manual_seed(0)
        self.model, self._x, self._y = cnn(64)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.0)
        self._loss_function = torch.nn.CrossEntropyLoss()
        self._holds_lock = holds_lock
        self._numbers = [random.random() for _ in range(150_000)]

    def step(self, measure: Call) -> None:
        """Trains one step; calls ``measure`` before the optimizer's step."""
        self.optimizer.zero_grad()
        self._loss_function(self.model(self._x), self._y).backward()
        measure()
        self.optimizer.step()
        if self._holds_lock:
            sum(k * k for k in range(50_000))
            sorted(self._numbers)  # does not release the lock before its end

    def turn(self, measure: Call, seconds: float) -> float:
        """Trains for some seconds; returns the seconds that a step takes."""
        steps, begin = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - begin) < seconds:
            self.step(measure)
            steps += 1
        return elapsed / steps


@contextmanager
def bare(_: Load, frames: int) -> Iterator[Call]:
    """Plays nothing."""
    yield lambda: None


@contextmanager
def with_listen(load: Load, frames: int) -> Iterator[Call]:
    """Plays by ``gradsound.listen``."""
    latency = next(name for name, size in BLOCK_FRAMES.items() if size == frames)
    with gradsound.listen(
        load.model, load.optimizer, log=new_log(), preset=DENSE, latency=latency
    ):
        yield lambda: None


def tones(load: Load) -> Iterator[bytes]:
    """Yields the tones of the script of 2019 for a step: 10 ms for each weight."""
    for module in load.model.modules():
        if hasattr(module, "weight"):
            hertz = 200.0 + 100.0 * module.weight.grad.norm().item()
            angles = 2 * np.pi * hertz / RATE * np.arange(441)
            yield np.cos(angles).astype(np.float32).tobytes()


@contextmanager
def stream(frames: int) -> Iterator[object]:
    """Opens the sound device in this process."""
    import pyaudio

    errors = os.dup(2)
    with Path(os.devnull).open("w") as nothing:  # PortAudio prints its problems
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
def in_the_loop(load: Load, frames: int) -> Iterator[Call]:
    """Lets the training loop write each tone to the device, and wait for it."""
    with stream(frames) as device:

        def measure() -> None:
            for tone in tones(load):
                device.write(tone)

        yield measure


@contextmanager
def in_a_thread(load: Load, frames: int) -> Iterator[Call]:
    """Lets a thread play a tone, block by block; the loop sets its pitch."""
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
    "gradsound.listen": with_listen,
    "written in the loop": in_the_loop,
    "a thread": in_a_thread,
}


def new_log() -> str:
    """Returns a new name for a run file."""
    return f"{time.monotonic_ns()}.jsonl"


@contextmanager
def second_training() -> Iterator[None]:
    """Runs another training on the other core; both trainings have one thread."""
    thread_count = torch.get_num_threads()
    torch.set_num_threads(1)
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import live; live.train()"
    other = subprocess.Popen([sys.executable, "-c", code])
    time.sleep(5.0)  # it has started then
    yield
    other.kill()
    other.wait()
    torch.set_num_threads(thread_count)


def train() -> None:
    """Trains without end, in one thread."""
    torch.set_num_threads(1)
    Load(holds_lock=False).turn(lambda: None, np.inf)


def step_times(load: Load, rounds: int) -> None:
    """Prints the time of a step, as a ratio to bare steps just after."""
    ratios: dict[str, list[float]] = {case: [] for case in CASES}
    bare_steps = []
    for _ in range(rounds):
        for case in random.sample([*CASES], len(CASES)):
            with CASES[case](load, BLOCK_FRAMES["safe"]) as measure:
                load.turn(measure, SETTLE_SECONDS)
                seconds = load.turn(measure, TURN_SECONDS)
            load.turn(lambda: None, DRAIN_SECONDS)
            bare_steps.append(load.turn(lambda: None, TURN_SECONDS))
            ratios[case].append(seconds / bare_steps[-1])
    low, middle, high = (1e3 * s for s in statistics.quantiles(bare_steps))
    print(f"  a bare step takes {middle:.1f} ms, half of them {low:.1f} to {high:.1f}")
    for case, values in ratios.items():
        low, middle, high = statistics.quantiles(values)
        print(f"  {case:28} {middle:6.3f} x, half of them {low:.3f} to {high:.3f}")


def gaps(load: Load, server: SoundServer, seconds: float) -> None:
    """Prints how much of a sound without pauses is lost."""
    for case in [*CASES][1:]:
        for frames in BLOCK_FRAMES.values():
            with CASES[case](load, frames) as measure:
                load.turn(measure, SETTLE_SECONDS)
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
    """Returns the delays of the sound of steps at random moments, in milliseconds."""
    BLOCK_FRAMES[str(frames)] = frames
    monitor, times = Monitor(server, 1), []
    with device_player(str(frames)) as (writer, player):
        for number in range(round(seconds / 0.1)):
            # Closer steps would be delayed: gradsound starts 15 a second at most.
            time.sleep(random.uniform(0.09, 0.17))
            times.append(time.monotonic())
            write_step(writer, player, number)
    monitor.end()
    return delays_ms(times, monitor.onsets)


@contextmanager
def device_player(latency: str) -> Iterator[tuple[RunWriter, Player]]:
    """Starts a player on the device; yields the writer of its run file, and the player."""
    path = Path(new_log())
    writer = RunWriter(path, Header(layers=("layer",), parameters=(1,), start=""), 1)
    descriptor = writer.reader_files[0].fileno()
    player = DeviceSink(latency=latency).start(path, descriptor, SHORT)
    time.sleep(1.5)
    yield writer, player
    time.sleep(0.5)
    print(player.close(), end="")
    writer.close()


def write_step(writer: RunWriter, player: Player, number: int) -> None:
    """Writes a step and wakes the player, as a training does."""
    norms, absent = np.array([1.0], np.float32), np.array([False])
    writer.write([Step(number, 0.1 * number, norms, absent)])
    player.wake()


def delays_ms(times: list[float], onsets: list[float]) -> list[float]:
    """Returns the milliseconds from each step to the first onset after it."""
    indices = np.searchsorted(onsets, times)
    return [
        1e3 * (onsets[index] - time)
        for time, index in zip(times, indices.tolist())
        if index < len(onsets)
    ]


def soak(server: SoundServer, seconds: float) -> None:
    """Prints delay and memory once a minute, at twenty steps a second."""
    monitor, times = Monitor(server, 10), []
    minute, start = 0, time.monotonic()
    with device_player("safe") as (writer, player):
        first = time.monotonic()
        while time.monotonic() - start < seconds:
            times.append(time.monotonic())
            write_step(writer, player, len(times))
            time.sleep(max(0.0, first + 0.05 * len(times) - time.monotonic()))
            if time.monotonic() - first > 60 * minute:
                recent = delays_ms(times[-600:-20], monitor.onsets)
                delay = statistics.median(recent) if recent else float("nan")
                print(
                    f"  {minute:3} min: {len(times):6} steps, {len(monitor.onsets):6} "
                    f"heard, {delay:5.1f} ms late, {resident(player):6.1f} MB resident",
                    flush=True,
                )
                minute += 1
    monitor.end()


def processes(player: Player) -> Iterator[Path]:
    """Yields the folders in /proc of the player's process and of the device's process."""
    pids = [player._process._process.pid]
    while pids:
        process = Path(f"/proc/{pids.pop()}")
        yield process
        for task in (process / "task").iterdir():
            pids += map(int, (task / "children").read_text().split())


def resident(player: Player) -> float:
    """Returns the resident memory of both processes in MB."""
    pages = [int((p / "statm").read_text().split()[1]) for p in processes(player)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_seconds(player: Player) -> float:
    """Returns the processor time of both processes in seconds."""
    stats = [(p / "stat").read_text().rpartition(")")[2] for p in processes(player)]
    ticks = [int(tick) for stat in stats for tick in stat.split()[11:13]]
    return sum(ticks) / os.sysconf("SC_CLK_TCK")


def player_share(load: Load) -> None:
    """Prints the share of a core that the player takes during a training."""
    with gradsound.listen(
        load.model, load.optimizer, log=new_log(), preset=DENSE
    ) as attachment:
        load.turn(lambda: None, SETTLE_SECONDS)
        player, begin = attachment._recorder.player, time.monotonic()
        before = processor_seconds(player)
        load.turn(lambda: None, 10.0)
        share = (processor_seconds(player) - before) / (time.monotonic() - begin)
        print(f"  the player takes {share:.1%} of a core", flush=True)


def first_sound(server: SoundServer, load: Load, label: str, work: Call) -> None:
    """Prints the times until ``listen`` returns and until the first sound.

    Args:
        server: The sound server.
        load: Trains one step.
        label: Label of the lines.
        work: Called again and again after the step, until the first sound.
    """
    listen_ms, sound_ms = [], []
    for _ in range(10):
        monitor, begin = Monitor(server, 10), time.monotonic()
        with gradsound.listen(load.model, load.optimizer, log=new_log(), preset=SHORT):
            listen_ms.append(1e3 * (time.monotonic() - begin))
            load.step(lambda: None)
            while not monitor.onsets:
                work()
            sound_ms.append(1e3 * (monitor.onsets[0] - begin))
        monitor.end()
    for text, times in {"listen() takes": listen_ms, "first sound after": sound_ms}.items():
        middle, most = statistics.median(times), max(times)
        print(f"  {label}: {text} {middle:.0f} ms, {most:.0f} at most", flush=True)


def start(server: SoundServer) -> None:
    """Prints the times to start, and what emitting a step of 100 layers costs the loop."""
    load = Load(holds_lock=False)
    first_sound(server, load, "both cores busy", lambda: load.step(lambda: None))
    first_sound(server, load, "nothing else to do", lambda: time.sleep(0.01))
    torch.set_num_threads(1)  # more threads would wait for a processor in the timed part
    model, x, y = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    spent, steps = 0.0, 0
    with gradsound.listen(model, optimizer, log=new_log()) as attachment:
        emit = attachment._monitor.queue.emit

        def timed(emitted: list[Step]) -> None:
            nonlocal spent, steps
            begin = time.perf_counter()
            emit(emitted)
            spent += time.perf_counter() - begin
            steps += len(emitted)

        attachment._monitor.queue.emit = timed
        for _ in range(2000):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    print(f"  emitting a step of 100 layers takes {1e6 * spent / steps:.0f} us")


def main() -> None:
    """Prints the tables of the chosen parts."""
    parser = argparse.ArgumentParser(description="Cost, losses and delay of live sound.")
    parts = ["times", "gaps", "delays", "start", "soak"]
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(parts))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    wanted = arguments.parts or parts[:-1]
    check_parts(parser, wanted, parts)
    print(machine(threads()))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        server = SoundServer()
        os.environ.update(server.environment)
        try:
            loads = {"CNN": False, "CNN and Python's lock": True}
            for name, holds_lock in loads.items():
                load = Load(holds_lock=holds_lock)
                if "times" in wanted:
                    print(f"\n{name}, and another training: time of a step")
                    with second_training():
                        step_times(load, arguments.rounds)
                        player_share(load)
                    print(f"\n{name}, in two threads: time of a step")
                    step_times(load, arguments.rounds)
                    player_share(load)
                if "gaps" in wanted:
                    print(f"\n{name}: sound lost")
                    gaps(load, server, arguments.seconds)
            if "delays" in wanted:
                print("\nFrom step to sound")
                for frames in (128, 256, 512):
                    delays = latencies(server, frames, arguments.seconds)
                    p50, p99 = np.percentile(delays, [50, 99])
                    print(f"  {frames} frames: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
            if "start" in wanted:
                print("\nStart")
                start(server)
            if "soak" in wanted:
                print("\nTwenty steps a second")
                soak(server, arguments.seconds)
        finally:
            server.remove()
            os.chdir("/")


if __name__ == "__main__":
    main()
