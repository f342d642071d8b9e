"""Queue of measured steps, emitted in order and in batches.

To emit one step costs more than to measure it, because its code has left the processor's
caches. To emit ten steps together costs little more than to emit one.
"""

from __future__ import annotations

import time
from collections import deque
from threading import RLock
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from gradsound.measure.pending_step import PendingBlock, gather_plain
from gradsound.runs.step_block import concatenate, make_block

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradsound.measure.pending_step import PendingStep
    from gradsound.runs.step import Step
    from gradsound.runs.step_block import StepBlock

    Emit: TypeAlias = Callable[[StepBlock], None]

_TIME_SHARE = 0.005  # of the loop's time for emitting; slow loops emit every step at once
# Steps that a device which does not signal has to compute besides, when the host reads one.
# With one of them, it has work while the host reads.
_STEPS_BEHIND = 2
_MAX_DELAY_SECONDS = 0.1  # between two emissions; a SIGKILL loses at most this much


class StepQueue:
    """Keeps measured steps until it emits them.

    Args:
        emit: Called with one or more steps, in the thread that calls the queue.
        max_delay: The longest pause between two emissions of ready steps, in seconds.

    Attributes:
        emit: As given.
        pending: Steps in order, not emitted yet.

    Example:
        >>> queue = StepQueue(lambda steps: print(len(steps), "steps"))
        >>> queue.flush()
        >>> len(queue.pending)
        0
    """

    def __init__(self, emit: Emit, *, max_delay: float = _MAX_DELAY_SECONDS) -> None:
        self.emit = emit
        self.pending: deque[PendingStep | PendingBlock] = deque()
        self._max_delay = max_delay
        # A notebook flushes from another thread than the one that trains.
        self._emit_lock = RLock()
        self._is_emitting = False
        self._next_emission = 0.0  # seconds on time.perf_counter()

    @property
    def next_emission(self) -> float:
        """When `emit_if_due` emits steps again, in seconds of ``time.perf_counter()``."""
        return self._next_emission

    def emit_if_due(self, now: float) -> None:
        """Emits the ready steps unless the last emission was too recent.

        Args:
            now: Seconds on ``time.perf_counter()``.
        """
        if now < self._next_emission:
            return
        begin = time.perf_counter()
        self.emit_ready()
        spent = time.perf_counter() - begin
        self._next_emission = begin + min(self._max_delay, spent / _TIME_SHARE)

    def flush(self) -> None:
        """Emits all steps and waits for those that are still on an accelerator."""
        self.emit_ready(wait=True)

    @np.errstate(over="ignore")  # norms above 3.4e38 become infinite
    def emit_ready(self, *, wait: bool = False) -> None:
        """Emits the ready steps in order, however recent the last emission was.

        Args:
            wait: Whether to emit all steps, and to wait for those that are not ready.
                Otherwise it does nothing while steps are being emitted, by another thread
                or by the code that a signal interrupted.
        """
        if self._is_emitting and not wait:
            return
        if not self._emit_lock.acquire(blocking=wait):
            return
        try:
            self._is_emitting = True
            ready: list[PendingStep | PendingBlock] = []
            while self.pending and (wait or self._is_ready(self.pending[0])):
                ready.append(self.pending.popleft())
            if ready:
                self._emit(ready)
        finally:
            self._is_emitting = False
            self._emit_lock.release()

    def _emit(self, ready: list[PendingStep | PendingBlock]) -> None:
        """Emits steps; if one fails, the steps before it."""
        blocks: list[StepBlock] = []
        steps: list[PendingStep] = []
        try:
            for one in ready:
                if isinstance(one, PendingBlock):
                    _complete(steps, blocks)
                    steps = []
                    blocks.append(one.block())
                else:
                    steps.append(one)
            _complete(steps, blocks)
        finally:
            if blocks:
                self.emit(concatenate(blocks))

    def _is_ready(self, oldest: PendingStep | PendingBlock) -> bool:
        return (oldest.exact or len(self.pending) > _STEPS_BEHIND) and oldest.ready


def _complete(pending: Sequence[PendingStep], blocks: list[StepBlock]) -> None:
    """Adds steps to blocks; if one fails, the steps before it."""
    if not pending:
        return
    if (block := gather_plain(pending)) is not None:
        blocks.append(block)
        return
    steps: list[Step] = []
    try:
        steps.extend(step.step() for step in pending)
    finally:
        if steps:
            blocks.append(make_block(steps))
