"""Measures the steps that are each like the one before by machine code alone.

In a training loop, the code of Python has left the processor's caches when a hook runs, so
each function that it calls takes a multiple of its time. Shapes: P parameters.
"""

from __future__ import annotations

import ctypes
import time
from functools import partial
from threading import RLock
from types import BuiltinFunctionType
from typing import TYPE_CHECKING
from weakref import WeakMethod

import numpy as np

from gradsound.measure.hooks.guards import uncompiled
from gradsound.measure.norms.builtin_function import Memory, make_builtin
from gradsound.measure.optimizer_parameters import held_addresses
from gradsound.measure.pending_step import PendingBlock

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch.optim import Optimizer

    from gradsound.measure.gradient_reader import GradientReader
    from gradsound.measure.hooks.step_hooks import StepHook
    from gradsound.measure.norms.object_norms import ObjectNorms
    from gradsound.measure.parameter_tracker import ParameterTracker
    from gradsound.measure.step_queue import StepQueue

_STEPS_MAX = 1024  # before Python measures one again; it queues them
_STEPS_MIN = 8  # fewer are not worth the preparation
_CLOCK = "clock_gettime(CLOCK_MONOTONIC)"  # the one that the machine code reads


class RepeatedSteps:
    """The steps of one optimizer that machine code measures while nothing changes.

    It takes the place of a hook. At each step it looks whether the hook would find what it
    found at the step before: the same parameters, the same kinds of gradients, no closure.
    Then it reads the norms and the clock, and calls `emit` if that is due. Else it calls
    the hook, which measures the step.

    Args:
        queue: Gets the steps, and says when it emits the next ones.
        tracker: The parameters.
        reader: Reads their gradients, and has the machine code for that.
        start: When the run began, in seconds of ``time.perf_counter()``.
        emit: A method that calls `emit` and raises nothing.

    Attributes:
        start: As given.
        active: Whether there may be steps that `take` has to queue.
    """

    def __init__(
        self,
        queue: StepQueue,
        tracker: ParameterTracker,
        reader: GradientReader,
        start: float,
        emit: Callable[[], None],
    ) -> None:
        self._queue, self._tracker, self._reader = queue, tracker, reader
        self.start = start
        self._emit = uncompiled(partial(_call, WeakMethod(emit)))  # weak, to make no cycle
        self._lock = RLock()  # a notebook emits steps from another thread
        self._memory = Memory(ctypes.sizeof(_Steps))
        self._steps = _Steps.from_buffer(self._memory)
        self._times = np.zeros(_STEPS_MAX)  # seconds of time.perf_counter()
        self._held: NDArray[np.int64] | None = None  # None if it has to be made anew
        self._taken_before = self._taken = 0  # by `take`: before `begin`, and since then
        self._number = self._row = 0  # of the first step since `begin`
        self._rows = np.zeros((0, 0))
        self._first, self._without_gradient = tracker.first, np.zeros(0, bool)
        self._hook: StepHook | None = None
        self.active = False
        self._is_possible = time.get_clock_info("perf_counter").implementation == _CLOCK

    @property
    def step_count(self) -> int:
        """How many steps it measured."""
        return self._taken_before + int(self._steps.count)

    def begin(self, optimizer: Optimizer, hook: StepHook, number: int) -> None:
        """Lets machine code measure the next steps, if they are like the last one.

        Args:
            optimizer: The optimizer.
            hook: The hook on its steps, which has measured the last one just now.
            number: Number of the next step.
        """
        # A test may have replaced the clock.
        is_possible = self._is_possible and type(time.perf_counter) is BuiltinFunctionType
        objects = self._reader.objects if is_possible else None
        if objects is None or (room := objects.make_room()) < _STEPS_MIN:
            return
        with self._lock:
            self.take()
            if self._held is None and self._tracker.held.differ(exactly=True):
                return  # the hook looks up the parameters at the next step
            steps = self._steps
            self._taken_before, steps.count = self.step_count, 0
            self._taken = 0  # last, for a signal handler that takes steps
            self._number, self._row, self._rows = number, objects.row + 1, objects.rows
            self._without_gradient = self._reader.without_gradient
            self._first = self._tracker.first
            steps.most, steps.due = min(room, _STEPS_MAX), self._queue.next_emission
            self._remember(optimizer, objects, hook)
            self.active, steps.repeats = True, 1

    def _remember(self, optimizer: Optimizer, objects: ObjectNorms, hook: StepHook) -> None:
        """Tells the machine code what the optimizer holds, and what the hook is."""
        if (held := self._held) is None:
            held = self._held = held_addresses(optimizer)
        self._steps.times, self._steps.held = self._times.ctypes.data, held.ctypes.data
        self._steps.request = objects.request_address
        if self._hook is not hook:
            self._hook = hook
            self._steps.hook, self._steps.emit = id(hook.function), id(self._emit)
            from gradsound.measure.norms.object_norms import functions

            hook.replace(
                make_builtin("step", functions()[1], self._memory, takes_none=False)
            )
        self._memory.kept = self._times, held, objects, hook.function, self._emit

    def take(self) -> None:
        """Queues the steps that machine code has measured."""
        with self._lock:
            begin, end = self._taken, self._steps.count
            if begin >= end:
                return
            steps = PendingBlock(
                self._number + begin,
                self._times[begin:end] - self.start,
                self._rows[self._row + begin : self._row + end],
                self._without_gradient,
                self._first,
            )
            pending = self._queue.pending
            # A signal handler may run at any call: its exception comes before both lines
            # or after both, and it may have taken the steps itself.
            if self._taken == begin:
                self._taken = end
                pending.append(steps)
                self._tracker.count_steps(end - begin)

    def emit(self) -> None:
        """Emits the steps that machine code has measured, if that is due."""
        self.take()
        self._queue.emit_if_due(time.perf_counter())
        self._steps.due = self._queue.next_emission
        if self._tracker.check_is_due:
            self.pause()

    def pause(self) -> None:
        """Lets the hook measure the next step."""
        self._steps.repeats = 0

    def end(self) -> None:
        """Lets the hook measure the next step, and queues those before."""
        if self._steps.repeats < 0:  # the optimizer holds other parameters or groups
            self._held = None
            self._tracker.held.compare_all()
        self._steps.repeats = 0
        self.take()
        self.active = False  # last, because an exception of a signal handler may come


class _Steps(ctypes.Structure):
    _fields_ = [
        ("repeats", ctypes.c_int64),
        ("count", ctypes.c_int64),
        ("most", ctypes.c_int64),
        ("due", ctypes.c_double),
        ("times", ctypes.c_int64),
        ("held", ctypes.c_int64),
        ("request", ctypes.c_int64),
        ("hook", ctypes.c_int64),
        ("emit", ctypes.c_int64),
    ]


def _call(method: WeakMethod[Callable[[], None]]) -> None:
    """Calls a method of an object that may be gone."""
    if (alive := method()) is not None:
        alive()
