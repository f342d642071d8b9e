"""Moments that wait to be heard: every one in turn, or all as one."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Protocol

from gradsound.music.moments import merge_moments

if TYPE_CHECKING:
    from gradsound.music.moments import Moment

_READ_AHEAD = 16  # moments
_POLL_SECONDS = 0.1  # seconds to wait for room, at most


class Backlog(Protocol):
    """Moments that were read and not yet played."""

    def put(self, moment: Moment) -> bool:
        """Adds one; may wait for a moment for room, and returns whether there was."""

    def take(self) -> Moment | None:
        """The next to play, if there is one."""

    def empty(self) -> bool:
        """Whether there is none."""


class FifoBacklog:
    """Keeps every moment, as far as there is room."""

    def __init__(self) -> None:
        self._moments: queue.Queue[Moment] = queue.Queue(_READ_AHEAD)

    def put(self, moment: Moment) -> bool:
        """As `Backlog.put`."""
        try:
            self._moments.put(moment, timeout=_POLL_SECONDS)
        except queue.Full:
            return False
        return True

    def take(self) -> Moment | None:
        """As `Backlog.take`."""
        try:
            return self._moments.get_nowait()
        except queue.Empty:
            return None

    def empty(self) -> bool:
        """As `Backlog.empty`."""
        return self._moments.empty()


class MergingBacklog:
    """Keeps one moment that has what is remarkable of all that came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moment: Moment | None = None

    def put(self, moment: Moment) -> bool:
        """As `Backlog.put`."""
        with self._lock:
            kept = self._moment
            self._moment = moment if kept is None else merge_moments(kept, moment)
        return True

    def take(self) -> Moment | None:
        """As `Backlog.take`."""
        with self._lock:
            moment, self._moment = self._moment, None
        return moment

    def empty(self) -> bool:
        """As `Backlog.empty`."""
        return self._moment is None
