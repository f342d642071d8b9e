"""Trainings that keep both cores busy while a benchmark measures live sound."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from models import cnn

Call = Callable[[], object]


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
def second_training() -> Iterator[None]:
    """Runs another training on the other core; both trainings have one thread."""
    thread_count = torch.get_num_threads()
    torch.set_num_threads(1)
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import cpu_load; cpu_load.train()"
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
