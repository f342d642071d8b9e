"""Steps are emitted in order once their figures are here, many at a time."""

from __future__ import annotations

import time
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradsound.measure.pending_step import PendingStep
    from gradsound.runs.model import Step

    Emit: TypeAlias = Callable[[Sequence[Step]], None]

# Emitting a step costs more than measuring it, because whatever it needs has left the
# caches; many at a time cost little more than one.
_SHARE = 0.005  # of the time may be taken; where steps are slow, each is emitted at once
_LAG = 0.1  # seconds that a step may wait for the next ones, at most


class StepQueue:
    """Keeps steps until they are emitted.

    Args:
        emit: Called with one or several steps, in the thread that adds or flushes them.

    Attributes:
        emit: As given.
        pending: The steps that are not emitted yet.
    """

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self.pending: deque[PendingStep] = deque()
        # A thread that shows the run is another than trains it.
        self._emitting = RLock()
        self._next = 0.0  # when to emit, on the clock

    def emit_if_due(self, now: float) -> None:
        """Emits what has arrived, unless it was just done; a time is on the clock."""
        if now < self._next:
            return
        begin = time.perf_counter()
        self._emit_arrived()
        spent = time.perf_counter() - begin
        self._next = begin + min(_LAG, spent / _SHARE)

    def flush(self) -> None:
        """Emits everything, and waits for it if need be."""
        self._emit_arrived(wait=True)

    @np.errstate(over="ignore")  # norms above 3.4e38 become infinite
    def _emit_arrived(self, *, wait: bool = False) -> None:
        """While another thread flushes, training leaves steps for the next time."""
        if not self._emitting.acquire(blocking=wait):
            return
        steps: list[Step] = []
        try:
            while self.pending and (wait or self.pending[0].ready):
                steps.append(self.pending.popleft().step())
        finally:  # those before one that failed are good
            try:
                if steps:
                    self.emit(steps)
            finally:
                self._emitting.release()
