"""Measures what live sound costs the training, how much of it is lost, and its delay.

It plays on a sound server of its own without hardware, PulseAudio or PipeWire with a null
sink. A monitor records every sample. There are two loads: a CNN in training; and the same
CNN with calls of 50 to 100 ms that hold Python's lock (the GIL). Both cores are busy, in
one of two ways:

- A second training uses the other core.
- The training has two threads. They wait for each other at every operation, in loops that
  take the processor; a step may take ten times as long while both are on one core.

Besides ``gradsound.listen``, it measures two simpler players: the training loop writes to
the device, as the script of 2019 does; and a thread of the training process does.

    python benchmarks/live.py [--seconds 60] [times gaps delays start]
    python benchmarks/live.py --server pipewire gaps
    python benchmarks/live.py --seconds 3600 soak

It needs ``pip install '.[live]'``, pulseaudio and pulseaudio-utils.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cpu_load import Load, second_training
from live_players import DENSE, PLAYERS
from live_start import print_start
from machine import check_choices, machine, threads
from pipewire_server import PipeWireServer
from player_process import (
    SHORT,
    processor_seconds,
    resident_mb,
    start_player,
    write_step,
)
from runs import new_log
from sound_monitor import Monitor, delays_ms

import gradsound
from gradsound.output.sound_device_process import BLOCK_FRAMES
from gradsound.workers.sinks import DeviceSink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.runs.writer import RunWriter
    from gradsound.workers.sinks import Player

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from helpers.sound_server import RATE, SoundServer

SERVERS = {"pulseaudio": SoundServer, "pipewire": PipeWireServer}
TURN_SECONDS = 3.0  # of a measurement
SETTLE_SECONDS = 3.0  # of training before it; a player has compiled its voices then
DRAIN_SECONDS = 1.0  # of training after it, until the device has played its last block


def step_times(load: Load, rounds: int) -> None:
    """Prints the time of a step, as a ratio to bare steps just after."""
    ratios: dict[str, list[float]] = {case: [] for case in PLAYERS}
    bare_steps = []
    for _ in range(rounds):
        for case in random.sample([*PLAYERS], len(PLAYERS)):
            with PLAYERS[case](load, BLOCK_FRAMES["safe"]) as measure:
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
    for case in [*PLAYERS][1:]:
        for frames in BLOCK_FRAMES.values():
            with PLAYERS[case](load, frames) as measure:
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
    with play_on_device(str(frames)) as (writer, player):
        for number in range(round(seconds / 0.1)):
            # Closer steps would be delayed: gradsound starts 15 a second at most.
            time.sleep(random.uniform(0.09, 0.17))
            times.append(time.monotonic())
            write_step(writer, player, number)
    monitor.end()
    return delays_ms(times, monitor.onsets)


@contextmanager
def play_on_device(latency: str) -> Iterator[tuple[RunWriter, Player]]:
    """Plays an empty run on the device; yields the writer of the run, and the player."""
    with start_player(DeviceSink(latency=latency), 1, SHORT) as (writer, player):
        time.sleep(1.5)  # it has opened the device then
        yield writer, player
        time.sleep(0.5)  # until it has played the last step


def soak(server: SoundServer, seconds: float) -> None:
    """Prints delay and memory once a minute, at twenty steps a second."""
    monitor, times = Monitor(server, 10), []
    minute, start = 0, time.monotonic()
    with play_on_device("safe") as (writer, player):
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
                    f"heard, {delay:5.1f} ms late, {resident_mb(player):6.1f} MB resident",
                    flush=True,
                )
                minute += 1
    monitor.end()


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


def main() -> None:
    """Prints the tables of the chosen parts."""
    parser = argparse.ArgumentParser(description="Cost, losses and delay of live sound.")
    parts = ["times", "gaps", "delays", "start", "soak"]
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(parts))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--server", choices=SERVERS, default="pulseaudio")
    arguments = parser.parse_args()
    wanted = arguments.parts or parts[:-1]
    check_choices(parser, "part", wanted, parts)
    print(machine(threads()))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        server = SERVERS[arguments.server]()
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
                for frames in (128, 256, 512, 1024):
                    delays = latencies(server, frames, arguments.seconds)
                    p50, p99 = np.percentile(delays, [50, 99])
                    print(f"  {frames} frames: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
            if "start" in wanted:
                print("\nStart")
                print_start(server)
            if "soak" in wanted:
                print("\nTwenty steps a second")
                soak(server, arguments.seconds)
        finally:
            server.remove()
            os.chdir("/")


if __name__ == "__main__":
    main()
