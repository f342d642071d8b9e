"""Queues of moments that were read but not played: first in first out, or merged."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gradsound.music.moments import merge_groups
from gradsound.runs.step_block import make_block

if TYPE_CHECKING:
    from gradsound.music.moments import Moment

MIN_STEP_SECONDS = 1 / 15  # steps that follow faster are merged; no ear follows them
_READ_AHEAD = 16  # moments; bounds the memory of a reader that is faster than the sound
_MERGE_AT_ONCE = 64  # moments; merging many costs little more than merging two
_POLL_SECONDS = 0.1  # wait for room, at most; the reader must notice that it was stopped


class Backlog(Protocol):
    """Holds the moments that the reader thread put and the player has not popped."""

    def put(self, moment: Moment) -> bool:
        """Adds a moment. Returns False if the queue stays full for 0.1 s."""

    def pop(self) -> Moment | None:
        """Removes and returns the next moment; None if the backlog is empty."""

    def empty(self) -> bool:
        """Returns whether the backlog holds no moment."""


class FifoBacklog:
    """Keeps up to 16 moments in the order in which they were put.

    Example:
        >>> backlog = FifoBacklog()
        >>> backlog.put("step 0"), backlog.put("step 1")
        (True, True)
        >>> backlog.pop(), backlog.pop(), backlog.pop()
        ('step 0', 'step 1', None)
    """

    def __init__(self) -> None:
        self._moments: queue.Queue[Moment] = queue.Queue(_READ_AHEAD)

    def put(self, moment: Moment) -> bool:
        """Implements `Backlog.put`."""
        try:
            self._moments.put(moment, timeout=_POLL_SECONDS)
        except queue.Full:
            return False
        return True

    def pop(self) -> Moment | None:
        """Implements `Backlog.pop`."""
        try:
            return self._moments.get_nowait()
        except queue.Empty:
            return None

    def empty(self) -> bool:
        """Implements `Backlog.empty`."""
        return self._moments.empty()


class MergingBacklog:
    """Merges all waiting moments into one; each layer keeps its largest norm.

    Example:
        >>> import numpy as np
        >>> from gradsound.music.moments import Moment
        >>> from gradsound.runs.step import Step
        >>> backlog = MergingBacklog()
        >>> for number, norm in enumerate([1.0, 50.0, 2.0]):
        ...     norms = np.array([norm], np.float32)
        ...     step = Step(number, number / 100, norms, np.zeros(1, bool))
        ...     _ = backlog.put(Moment(number, step))
        >>> merged = backlog.pop()
        >>> merged.first, merged.step.number, merged.step.norms.tolist()
        (0, 2, [50.0])
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moments: list[Moment] = []

    def put(self, moment: Moment) -> bool:
        """Implements `Backlog.put`; never waits and always returns True."""
        with self._lock:
            self._moments.append(moment)
            if len(self._moments) == _MERGE_AT_ONCE:
                self._moments = [_merge(self._moments)]
        return True

    def pop(self) -> Moment | None:
        """Implements `Backlog.pop`."""
        with self._lock:
            moments, self._moments = self._moments, []
        return _merge(moments) if moments else None

    def empty(self) -> bool:
        """Implements `Backlog.empty`."""
        return not self._moments


def _merge(moments: list[Moment]) -> Moment:
    """Returns one moment for one or more."""
    if len(moments) == 1:
        return moments[0]
    steps = make_block([moment.step for moment in moments])
    alarms = [moment.alarms for moment in moments]
    (merged,) = merge_groups(steps, alarms, np.zeros(1, np.intp))
    # A moment that was merged before begins at a lower number than its step has.
    return replace(merged, first=min(moment.first for moment in moments))
