"""Emits measured steps, and ends when a training ends or at the first error."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from gradsound.errors import warn
from gradsound.measure.hooks.guards import never_raises, uncompiled, warn_of_error
from gradsound.measure.hooks.repeated_steps import RepeatedSteps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gradsound.measure.gradient_reader import GradientReader
    from gradsound.measure.logged_values import LoggedValues
    from gradsound.measure.parameter_tracker import ParameterTracker
    from gradsound.measure.step_queue import StepQueue


class EmittingMonitor:
    """The part of a monitor that emits its steps and ends it.

    Args:
        tracker: The layers to measure.
        queue: Emits measured steps.
        logged_values: Keeps values for the next measured step.
        reader: Reads the norms of the layers.

    Attributes:
        tracker: As given.
        queue: As given.
        logged_values: As given.
        reader: As given.
        repeated: Measures steps by machine code alone, while each is like the one before.
        handles: Handles of hooks, each with a ``remove()``.
        start: When the run began, in seconds of ``time.perf_counter()``.
        joined: Whether the steps are those of other ranks, because this one has no inputs
            any more.
        between_steps: Called in the training thread once a step is measured, before it
            begins or after it ended; None for nothing. Its exceptions reach the training.
    """

    def __init__(
        self,
        tracker: ParameterTracker,
        queue: StepQueue,
        logged_values: LoggedValues,
        reader: GradientReader,
    ) -> None:
        self.start = time.perf_counter()
        self.tracker, self.queue, self.logged_values = tracker, queue, logged_values
        self.reader = reader
        self.repeated = RepeatedSteps(
            queue, tracker, reader, self.start, self.emit_repeated
        )
        self.handles: list[Any] = []
        self.joined = False
        self.between_steps: Callable[[], None] | None = None
        self._stopped = False  # then it emits nothing more
        self._left_alone = False  # closed without the other ranks, which need its part

    @uncompiled
    def log_values(self, values: Mapping[str, object]) -> None:
        """Keeps values for the next measured step; does nothing once closed.

        The budget does not contain its time, because the user asks for each call.
        """
        if self.handles and not self._stopped:
            self.logged_values.add(values)
            self.repeated.pause()  # after it, because the training may be in another thread

    def call_between_steps(self) -> None:
        """Calls `between_steps`, which may raise an exception."""
        if self.between_steps is not None:
            self.between_steps()

    @never_raises
    def end_repetition(self) -> None:
        """Lets the hook measure the next step, and not machine code alone."""
        self.repeated.end()

    @never_raises
    def emit_repeated(self) -> None:
        """Emits the steps that machine code has measured, if that is due."""
        self.repeated.emit()

    @never_raises
    def emit_ready(self) -> None:
        """Emits the measured steps that are ready, without waiting."""
        self.repeated.take()
        self.queue.emit_ready()

    @never_raises
    def flush(self) -> None:
        """Emits all measured steps and waits for those still on an accelerator."""
        self.repeated.take()
        self.queue.flush()

    def leave(self) -> None:
        """Prepares to close: on a sharded model, waits until all ranks close.

        If a rank does not close, this rank emits nothing more, but its hooks stay: without
        them, the other ranks would wait for its part for ever.
        """
        if not self.tracker.sharded or not self.handles:
            return
        try:
            from gradsound.measure.distributed.rendezvous import wait_for_ranks

            wait_for_ranks("close()")
        except (RuntimeError, ValueError) as error:  # ValueError: no process group any more
            self._left_alone = torch.distributed.is_initialized()
            self._stop()
            warn(f"{error}; this rank goes on adding up gradients with the others")

    def close(self) -> None:
        """Emits all measured steps and removes the hooks. A second call does nothing."""
        self.end_repetition()
        self.flush()
        while self.handles and not self._left_alone:
            self.handles.pop().remove()

    def stop_after_error(self) -> None:
        """Ends measuring because of the exception in progress, with one warning."""
        with suppress(Exception):  # the queue itself may have failed
            self.repeated.end()
            self.queue.flush()
        self.queue.pending.clear()
        if self._stopped:
            return
        self._stop()
        if not self.tracker.sharded:  # the other ranks still need this rank's hooks
            self.close()
        warn_of_error()

    def _stop(self) -> None:
        self._stopped = True
