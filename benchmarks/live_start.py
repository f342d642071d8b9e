"""The part of live.py that times the start of live sound and the emission of a step."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import torch
from cpu_load import Call, Load
from models import mlp
from player_process import SHORT
from runs import new_log
from sound_monitor import Monitor

import gradsound

if TYPE_CHECKING:
    from helpers.sound_server import SoundServer

    from gradsound import Step


def print_first_sound(server: SoundServer, load: Load, label: str, work: Call) -> None:
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


def print_start(server: SoundServer) -> None:
    """Prints the times to start, and how long the loop takes to emit a step."""
    load = Load(holds_lock=False)
    print_first_sound(server, load, "both cores busy", lambda: load.step(lambda: None))
    print_first_sound(server, load, "nothing else to do", lambda: time.sleep(0.01))
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
