"""What the cells of a measured notebook run: trainings that write their figures as JSON."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from cpu_load import Load
from memory import resident
from player_process import SHORT, resident_mb
from runs import new_log
from torch import nn

import gradsound

if TYPE_CHECKING:
    from collections.abc import Iterator

TURN_SECONDS = 1.0  # of a measurement
PAUSE_SECONDS = 0.2  # in which a player ends what it has of the last turn
CASES = ("control", "control again", "page", "widget")
_WEB = {"page": 0, "widget": "notebook"}  # 0: any free port
_TENTHS = 10


def write(name: str, value: object) -> None:
    """Writes a file whole, for the process that measures."""
    part = Path(f"{name}.part")
    part.write_text(json.dumps(value))
    part.rename(name)


def listen(
    model: nn.Module, optimizer: torch.optim.Optimizer, case: str
) -> gradsound.Attachment | None:
    """Attaches a page or a widget, and writes the address of a page; None for a control."""
    if case not in _WEB:
        return None
    attachment = gradsound.listen(
        model, optimizer, log=new_log(), preset=SHORT, web=_WEB[case]
    )
    if attachment.url is not None:
        write("url", attachment.url)
    return attachment


class SmallTraining:
    """A training whose steps take no time, attached to a page or to a widget.

    Args:
        case: "page" or "widget".
        width: Inputs of the model.
    """

    def __init__(self, case: str, width: int = 1) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(0)
        self._model = nn.Linear(width, 1, bias=False)
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=0.0)
        self._x = torch.ones(1, width)
        self.attachment = listen(self._model, self._optimizer, case)

    def step(self) -> None:
        """Trains one step."""
        self._optimizer.zero_grad()
        self._model(self._x).square().sum().backward()
        self._optimizer.step()

    def train_at_random(self, steps: int, least: float, most: float) -> None:
        """Trains at random moments, some seconds apart, and writes these moments."""
        moments = []
        for _ in range(steps):
            time.sleep(random.uniform(least, most))
            moments.append(time.monotonic())
            self.step()
        write("moments", moments)

    def train_fast(self, steps: int) -> None:
        """Trains without a pause; writes steps, seconds and memory after each tenth."""
        begin = time.monotonic()
        for tenth in range(_TENTHS + 1):
            player = resident_mb(self.attachment._recorder.player)
            done = tenth * (steps // _TENTHS)
            seconds = time.monotonic() - begin
            write(f"tenth{tenth}", [done, seconds, resident() / 1e6, player])
            if tenth < _TENTHS:
                for _ in range(steps // _TENTHS):
                    self.step()


class Turns:
    """Trainings of the same kind, one for each case, of which one trains at a time."""

    def __init__(self) -> None:
        torch.set_num_threads(1)  # browsers have the other cores
        self._loads = {case: Load(holds_lock=False) for case in CASES}
        self._attachments = [
            listen(load.model, load.optimizer, case) for case, load in self._loads.items()
        ]

    def train(self, rounds: int) -> None:
        """Trains all of them in each round, in random order; writes seconds of a step."""
        write("seconds", [dict(self._round()) for _ in range(rounds)])

    def _round(self) -> Iterator[tuple[str, float]]:
        for case in random.sample(CASES, len(CASES)):
            time.sleep(PAUSE_SECONDS)
            yield case, self._loads[case].turn(lambda: None, TURN_SECONDS)
