"""The process that plays a run live: its start, its steps, its memory and its time."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from runs import make_header, new_log

from gradsound.music.presets import PRESETS
from gradsound.runs.step import Step
from gradsound.runs.step_block import make_block
from gradsound.runs.writer import RunWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradsound.music.presets import Preset
    from gradsound.workers.sinks import DeviceSink, PageSink, Player

# Notes that end before the next of twenty steps a second.
SHORT = replace(PRESETS["notes"], note_seconds=0.02, rest_seconds=0.015, fade_seconds=0.002)


@contextmanager
def start_player(
    sink: DeviceSink | PageSink, layers: int, preset: Preset
) -> Iterator[tuple[RunWriter, Player]]:
    """Starts a player of an empty run; yields the writer of the run, and the player."""
    path = Path(new_log())
    writer = RunWriter(path, make_header(layers), 1)
    player = sink.start(path, writer.reader_files[0].fileno(), preset)
    yield writer, player
    print(player.close(), end="")
    writer.close()


def write_step(writer: RunWriter, player: Player, number: int) -> None:
    """Writes a step and wakes the player, as a training does."""
    norms, absent = np.array([1.0], np.float32), np.array([False])
    writer.write(make_block([Step(number, 0.1 * number, norms, absent)]))
    player.wake()


def processes(player: Player) -> Iterator[Path]:
    """Yields the folders in /proc of the player's process and of its children."""
    pids = [player._process._process.pid]
    while pids:
        process = Path(f"/proc/{pids.pop()}")
        yield process
        for task in (process / "task").iterdir():
            pids += map(int, (task / "children").read_text().split())


def resident_mb(player: Player) -> float:
    """Returns the resident memory of all processes of a player in MB."""
    pages = [int((p / "statm").read_text().split()[1]) for p in processes(player)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_seconds(player: Player) -> float:
    """Returns the processor time of all processes of a player in seconds."""
    stats = [(p / "stat").read_text().rpartition(")")[2] for p in processes(player)]
    ticks = [int(tick) for stat in stats for tick in stat.split()[11:13]]
    return sum(ticks) / os.sysconf("SC_CLK_TCK")
